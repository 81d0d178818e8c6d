"""The running site, once for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.annotation_site.site import Site, running_site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """See `running_site`."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running
