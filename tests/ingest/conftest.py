"""Fixtures of the ingest tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ingest.local_web import Web


@pytest.fixture
def web() -> Iterator[Web]:
    """A local web server of the test's own."""
    server = Web()
    yield server
    server.close()
