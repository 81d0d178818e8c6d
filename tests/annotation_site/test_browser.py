"""The labelling page in a real Chromium, by what it shows: text, focus, keys named on screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.annotation_site.site import Site
from tests.annotation_site.windows import log_in, shown, until, votes, window

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """See `window`."""
    with window(browser, site) as page:
        yield page


def seen(page: Page) -> None:
    """Wait for the picture: the page takes no answer to one that nobody can have seen."""
    until(page, "(i => Boolean(i && i.complete && i.naturalWidth))(document.querySelector('main img'))")


def answer(page: Page, keys: str) -> None:
    """Press a key for each picture, once the picture is there."""
    for key in keys:
        seen(page)
        page.keyboard.press(key)


def test_log_in_vote_with_keys_see_progress_to_the_end(page: Page, site: Site) -> None:
    log_in(page, 0)
    page.get_by_role("link", name="Start labelling Eyes").click()
    shown(page, "1 of 10")
    answer(page, "123")
    shown(page, "4 of 10")
    page.keyboard.press("Backspace")
    shown(page, "3 of 10")
    answer(page, "n" + "u" * 7)
    shown(page, "1 of 10")  # of the next batch, without a load in between
    seen(page)
    page.get_by_role("button", name="Eel").click()
    shown(page, "2 of 10")
    answer(page, "2" * 34)
    expect(page.get_by_role("heading", name="That was all")).to_be_visible()
    shown(page, "Saved")
    given = votes(site, site.rounds["Eyes"], 0)
    assert given[:10] == ["cat", "dog", "__none__", *["__unsure__"] * 7]
    assert len(given) == 45
    assert given.count("eel") == 1
    page.get_by_role("link", name="My votes").click()
    expect(page.get_by_text("You have given 45 votes")).to_be_visible()


def test_a_reload_in_the_middle_of_a_batch_loses_nothing(page: Page, site: Site) -> None:
    log_in(page, 1)
    page.goto(f"/label/{site.rounds['Reload']}/")
    answer(page, "1231")
    shown(page, "5 of 10")
    page.reload()
    shown(page, "1 of 6")  # what is left of the batch
    shown(page, "Saved")
    assert votes(site, site.rounds["Reload"], 1) == ["cat", "dog", "eel", "cat"]


def test_a_lost_network_and_a_closed_tab_lose_nothing(page: Page, site: Site) -> None:
    round_id = site.rounds["Network"]
    log_in(page, 2)
    page.goto(f"/label/{round_id}/")
    shown(page, "1 of 10")
    answer(page, "1111")
    page.wait_for_load_state("networkidle")  # the next pictures and the next batch are here
    page.context.set_offline(True)
    answer(page, "222222")
    shown(page, "1 of 10")
    answer(page, "33")
    expect(page.get_by_text("Waiting for the network: 10 answers")).to_be_visible()
    assert votes(site, round_id, 2) == []
    page.close()  # the browser may still deliver what a closing tab sends, as if the network were back
    page.context.set_offline(False)
    again = page.context.new_page()
    again.goto(f"/label/{round_id}/")
    shown(again, "Saved")
    given = votes(site, round_id, 2)
    assert sorted(given) == ["cat"] * 4 + ["dog"] * 6 + ["eel"] * 2, "all are there, and none twice"


def test_an_ended_session_keeps_the_answers_until_the_next_log_in(page: Page, site: Site) -> None:
    round_id = site.rounds["Reload"]
    log_in(page, 3)
    page.goto(f"/label/{round_id}/")
    shown(page, "1 of 10")
    page.context.clear_cookies(name="sessionid")
    answer(page, "1" * 10)
    expect(page.get_by_text("You are logged out. Your 10 answers are kept on this device.")).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in in a new tab").click()
    log_in(opened.value, 3)
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")
    shown(page, "Saved")
    assert votes(site, round_id, 3) == ["cat"] * 10


def test_help_explains_the_categories_and_their_keys(page: Page, site: Site) -> None:
    log_in(page, 4)
    page.goto(f"/label/{site.rounds['Reload']}/")
    shown(page, "1 of 10")
    page.keyboard.press("?")
    expect(page.get_by_text("Look twice.")).to_be_visible()
    expect(page.get_by_text("What a dog is.")).to_be_visible()
    page.keyboard.press("1")  # answers nothing while the help is open
    page.keyboard.press("Escape")
    shown(page, "1 of 10")


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_no_page_scrolls_sideways_and_targets_are_large(page: Page, site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    log_in(page, 5)
    for path in ("/", "/me/", f"/label/{site.rounds['Reload']}/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes: list[Any] = page.evaluate(
        "[...document.querySelectorAll('main button')].filter(b => b.offsetParent).map(b => b.offsetHeight)"
    )
    assert min(sizes) >= 44, json.dumps(sizes)


def test_the_colours_can_be_switched_and_stay_switched(page: Page, site: Site) -> None:
    log_in(page, 6)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after
