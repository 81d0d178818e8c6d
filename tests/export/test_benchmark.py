"""The benchmark runs, in its short form: so its figures can be made again."""

from __future__ import annotations

import pytest

from benchmarks import export_dataset, export_speed


def test_in_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert export_speed.main(["--quick", "--sides", "64"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("cp -r", "stripping", "export", "verify"))


def test_unusable_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert export_dataset.main(["many"]) == 2
    assert "usage:" in capsys.readouterr().err
