"""A published release to train on, and folders of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.models import Release
from export.services.publish import publish_release
from tests.export.world import World


@pytest.fixture
def release(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """The release of a small dataset."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL = str(tmp_path / "store")
    settings.RUNS_DIR = tmp_path / "runs"
    return publish_release(World().fill().dataset, "1.0.0", tmp_path / "releases").release
