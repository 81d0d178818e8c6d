"""A store of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.world import World


@pytest.fixture
def world(db: None, settings: object, tmp_path: Path) -> World:
    """A dataset with labelled pictures in every split."""
    settings.STORAGE_URL = str(tmp_path / "store")
    return World().fill()
