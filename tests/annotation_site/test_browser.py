"""The labelling page in a real Chromium, by what it shows: text, focus, keys named on screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.annotation_site.site import Site
from tests.chromium import find_chromium

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong

VOTES = """
import django, json; django.setup()
from annotation_site.models import Vote
votes = Vote.objects.filter(task__round={round}, worker__user__username="{name}", voided=False)
print(json.dumps([v.label for v in votes.select_related("category").order_by("pk")]))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium; where none can be had the tests fail with one line that says what to install."""
    path = find_chromium()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A fresh window, on which no script may fail and no policy be broken."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=site.url)
    context.set_default_timeout(30_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    context.close()
    assert faults == []


def log_in(page: Page, number: int) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(f"w{number}")
    page.get_by_label("Password").fill(f"secret-{number}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What needs your eyes?")).to_be_visible()


def votes(site: Site, round_id: int, number: int) -> list[str]:
    found: list[str] = site.python(VOTES.format(round=round_id, name=f"w{number}"))
    return found


def answer(page: Page, keys: str) -> None:
    """Press a key for each picture, once the picture is there."""
    for key in keys:
        for _ in range(300):
            if page.evaluate(
                "(i => Boolean(i && i.complete && i.naturalWidth))(document.querySelector('main img'))"
            ):
                break
            page.wait_for_timeout(20)
        page.keyboard.press(key)


def shown(page: Page, text: str) -> None:
    expect(page.get_by_text(text, exact=True).first).to_be_visible()


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
