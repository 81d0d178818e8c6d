"""The API's own page in a real Chromium: under the site's policy, and with nothing from another host."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.annotation_site.site import Site
from tests.annotation_site.windows import window

pytestmark = pytest.mark.browser


def test_the_page_of_the_api_asks_no_other_host(browser: Browser, site: Site) -> None:
    asked: list[str] = []
    with window(browser, site) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/api/v1/docs")
        expect(page.get_by_text("/api/v1/rounds/{round_id}/claim", exact=True)).to_be_visible()
        page.get_by_text("/api/v1/me", exact=True).click()
        page.get_by_role("button", name="Execute").click()
        expect(page.get_by_text("Log in first").first).to_be_visible()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
    assert hosts == {urlsplit(site.url).netloc}
