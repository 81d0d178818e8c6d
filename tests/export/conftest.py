"""A store of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.world import World


@pytest.fixture
def world(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A dataset with labelled pictures in every split."""
    monkeypatch.setattr("os.sync", lambda: None)  # no power cut is tested, and the disk is everybody's
    settings.STORAGE_URL = str(tmp_path / "store")
    return World().fill()
