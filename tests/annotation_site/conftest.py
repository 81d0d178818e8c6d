"""The running site, once for all tests that need one, and a Chromium to look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.annotation_site.site import Site, running_site
from tests.annotation_site.windows import launched


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """See `running_site`."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """See `launched`. Of a module: its driver's event loop stays in this thread for as long as it runs."""
    yield from launched()
