"""What every test may rely on: folders of its own, passwords that cost nothing, an empty cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from hypothesis import settings as property_tests

# fmt: off
LONG = [
    "test_pipeline", "test_retrain", "test_torchrun", "test_resume", "test_accessible", "test_browser",
    "test_browser_people", "test_browser_grid", "test_live", "test_ingest_killed", "test_bucket",
    "test_bucket_lock", "test_api_browser", "test_campaign", "test_benchmark", "test_doubts_go_back",
    "test_curator_pictures_browser", "test_api_fuzz",
]
# fmt: on
"""Files that take long begin first: else, in the end, all wait for the one that has the last of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the rest stays in order."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


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


@pytest.fixture(scope="module")
def kept_rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """For what all tests of a module look at: a module-scoped fixture that asks for this one may write rows.

    They stand in a transaction around the module's tests, each of which rolls its own changes back. The
    objects that a test gets must be its own (`deepcopy`, or read anew): nothing rolls those back. Not for a
    module with a test that commits (`transaction=True`).
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)
