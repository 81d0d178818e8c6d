"""What several test files of this stage need."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple]:
    """Run a command of this stage as a shell does: (exit code, stdout, stderr)."""
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)

    def go(name: str, *words: object) -> tuple[int, str, str]:
        command = import_module(f"quality.management.commands.{name}").Command()
        try:
            command.run_from_argv(["manage.py", name, *map(str, words)])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return go
