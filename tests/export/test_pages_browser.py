"""The public pages in a real Chromium: by keyboard, on a phone, without scripts, without other hosts."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from export.models import Release
from export.services.publish import publish_release
from export.services.sharing import share_release
from tests.chromium import find_chromium
from tests.export.visitors import wait_for_the_server
from tests.export.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOME = "/releases/birds/1.0.0/"
UNNAMED = """
  [...document.querySelectorAll('img:not([alt]), a, button, input:not([type=hidden])')]
  .filter(e => !(e.alt || e.textContent.trim() || e.ariaLabel || e.labels?.length))
  .filter(e => !e.querySelector('img[alt]'))
  .map(e => e.outerHTML)
"""
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Its driver keeps an event loop in this thread; the database is used between its calls."""
    path = find_chromium()
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def release(live_server: Any, world: World, tmp_path: Path) -> Release:
    """A shared release of a tree of categories."""
    bird = world.dataset.categories.create(key="bird", name="Bird", gloss="Has feathers.")
    world.dataset.categories.exclude(pk=bird.pk).update(parent=bird)
    made = publish_release(world.dataset, "1.0.0", tmp_path / "out").release
    share_release(made, asks=["name"])
    return made


@pytest.fixture
def visit(browser: Browser, live_server: Any) -> Iterator[Open]:
    """Opens windows, in which no script may fail, no policy be broken and no other host be asked."""
    faults: list[str] = []
    contexts = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
        page.on("request", lambda r: None if r.url.startswith(live_server.url) else faults.append(r.url))

    def window(width: int = 1280, *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 700}, base_url=live_server.url, java_script_enabled=scripts
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        return page

    yield window
    for context in contexts:
        context.close()
    wait_for_the_server()
    assert faults == []


def test_from_the_list_to_the_archive_without_a_script(release: Release, visit: Open, tmp_path: Path) -> None:
    page = visit(scripts=False)
    page.goto("/releases/")
    page.get_by_role("link", name="Birds 1.0.0").click()
    expect(page.get_by_role("heading", name="Birds 1.0.0")).to_be_visible()
    page.get_by_role("link", name="Download").click()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("I accept these terms").check()
    page.get_by_role("button", name="Accept and go to the download").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="birds-1.0.0.tar").click()
    started.value.save_as(tmp_path / "birds.tar")
    with tarfile.open(tmp_path / "birds.tar") as tar:
        sums = tar.extractfile("birds-1.0.0/SHA256SUMS")
        assert sums is not None
        assert hashlib.sha256(sums.read()).hexdigest() == release.fingerprint
    assert release.acceptances.get().archives == 1


def test_browsing_by_keyboard_alone(release: Release, visit: Open) -> None:
    page = visit()
    page.goto(HOME)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "Browse the pictures")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What does Birds 1.0.0 show?")).to_be_visible()
    for name in ("Bird", "Owl"):
        tab_to(page, name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
    tab_to(page, "test")
    page.keyboard.press("Enter")
    expect(page.locator("ul.grid img")).to_have_count(3)
    tab_to(page, "Owl, picture 1")
    page.keyboard.press("Enter")
    picture = page.get_by_role("img", name="Owl")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.get_by_text("CC BY 4.0")).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the link of this name has the focus, which must be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(e => [e.getAttribute('aria-label') || e.textContent.trim() || e.querySelector('img')?.alt,"
            " getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        assert focused[1] != "none", focused
        if focused[0] == name:
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def test_on_a_narrow_phone_nothing_is_cut_off(release: Release, world: World, visit: Open) -> None:
    owl = world.categories["owl"]
    world.dataset.title, owl.name, owl.gloss = "W" * 90, "M" * 120, "Endless" * 40
    world.dataset.save()
    owl.save()
    page = visit(320)
    sha256 = release.release_images.select_related("image")[0].image.sha256
    places = ["", "card", "categories/", "categories/owl", f"pictures/{sha256}", "download", "changes/1.0.0"]
    for address in ["/releases/", "/releases/none/1.0.0/", *(HOME + place for place in places)]:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
        assert page.evaluate(UNNAMED) == [], address
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
        assert levels.count(1) == 1, address
        assert all(b <= a + 1 for a, b in pairwise(levels)), address


def test_one_click_selects_the_citation(release: Release, visit: Open) -> None:
    page = visit()
    page.goto(HOME)
    page.locator("pre.cite").first.click()
    assert page.evaluate("getSelection().toString()").startswith("@misc{birds-1-0-0,")
