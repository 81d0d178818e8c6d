"""A Chromium and what people do in it, for all tests of pages: by text, focus and keys named on screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.annotation_site.site import Site
from tests.chromium import find_chromium

PATIENCE = 30_000
"""A busy machine is slow, not wrong."""
expect.set_options(timeout=PATIENCE)

VOTES = """
import django, json; django.setup()
from annotation_site.models import Vote
votes = Vote.objects.filter(task__round={round}, worker__user__username="{name}", voided=False)
print(json.dumps([v.label for v in votes.select_related("category").order_by("pk")]))
"""


def launched() -> Iterator[Browser]:
    """A Chromium; where none can be had the tests fail with one line that says what to install."""
    path = find_chromium()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@contextmanager
def window(browser: Browser, site: Site, **options: Any) -> Iterator[Page]:
    """A fresh window, on which no script may fail and no policy be broken."""
    options.setdefault("viewport", {"width": 1280, "height": 800})
    context = browser.new_context(base_url=site.url, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    context.close()
    assert faults == []


def until(page: Page, script: str) -> None:
    """Wait until an expression holds; Playwright's own way to wait is refused by the pages' policy."""
    for _ in range(PATIENCE // 20):
        if page.evaluate(script):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never came true: {script}")


def log_in(page: Page, number: int) -> None:
    """As worker `number` of the site."""
    page.goto("/")
    page.get_by_label("User name").fill(f"w{number}")
    page.get_by_label("Password").fill(f"secret-{number}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What needs your eyes?")).to_be_visible()


def votes(site: Site, round_id: int, number: int) -> list[str]:
    """The labels that the worker's counted votes carry, in their order."""
    found: list[str] = site.python(VOTES.format(round=round_id, name=f"w{number}"))
    return found


def shown(page: Page, text: str) -> None:
    """Wait until the text stands on the page."""
    expect(page.get_by_text(text, exact=True).first).to_be_visible()
