"""What every test may rely on: folders of its own, passwords that cost nothing, an empty cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import settings as property_tests

# `pytest` by hand looks for new examples each time; `make test` gives the same answer twice.
property_tests.register_profile("explore", deadline=None)
property_tests.register_profile("same", deadline=None, derandomize=True)
property_tests.load_profile("explore")


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """No test reads or writes the data of this machine."""
    settings.DATA_DIR = tmp_path / "data"
    settings.STORAGE_URL = str(tmp_path / "data" / "store")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
