"""The grid of a verify round and the search among many categories, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.annotation_site.site import Site
from tests.annotation_site.windows import log_in, shown, until, votes, window

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """See `window`."""
    with window(browser, site) as page:
        yield page


def open_round(page: Page, site: Site, name: str) -> None:
    """Go there and wait until every picture of the grid is there."""
    page.goto(f"/label/{site.rounds[name]}/")
    loaded(page)


def loaded(page: Page) -> None:
    until(
        page,
        "(() => { const all = [...document.querySelectorAll('main form img')].filter(i => i.closest('li'));"
        " return all.length && all.every(i => i.complete && i.naturalWidth); })()",
    )


def ticked(page: Page) -> list[int]:
    """Which pictures of the grid have a tick, from 0 on."""
    boxes = page.get_by_role("checkbox", name=re.compile("^Picture"))
    return [place for place in range(boxes.count()) if boxes.nth(place).is_checked()]


def picture(page: Page, place: int) -> Locator:
    return page.get_by_role("checkbox", name=re.compile("^Picture")).nth(place)


def tab_to(page: Page, target: Locator) -> None:
    """By the Tab key alone, as somebody does who has no mouse."""
    for _ in range(40):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never came to {target}")


def test_a_hundred_pictures_by_keyboard_alone_from_the_log_in_on(page: Page, site: Site) -> None:
    round_id = site.rounds["Grid"]
    page.goto("/")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("w0")
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type("secret-0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What needs your eyes?")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Start labelling Grid", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("^Which of these show: (Cat|Dog)$"))).to_be_visible()
    loaded(page)
    first = page.get_by_role("heading", level=1).inner_text()
    expect(picture(page, 0)).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert ticked(page) == [0, 2, 3, 4]
    page.keyboard.press("End")
    page.keyboard.press("u")
    shown(page, "4 of 24 ticked")
    page.keyboard.press("i")
    assert len(ticked(page)) == 24 - 4 - 1, "what nobody can tell stays so"
    page.keyboard.press("i")
    page.keyboard.press("Enter")
    shown(page, "0 of 24 ticked")  # the next grid, with no load in between
    page.keyboard.press("Backspace")
    shown(page, "4 of 24 ticked")
    assert ticked(page) == [0, 2, 3, 4]
    assert page.get_by_role("heading", level=1).inner_text() == first
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    shown(page, "0 of 24 ticked")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    given = votes(site, round_id, 0)
    assert (len(given), given.count("yes"), given.count("unsure")) == (24, 3, 1)
    asked: set[str] = set()
    for sizes in (24, 2, 22, 24, 4):  # 50 of each category: a grid ends where its category does
        shown(page, f"0 of {sizes} ticked")
        loaded(page)
        asked.add(page.get_by_role("heading", level=1).inner_text())
        page.keyboard.press("a")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="That was all")).to_be_visible()
    shown(page, "Saved")
    given = votes(site, round_id, 0)
    assert len(given) == 100
    assert given.count("yes") == 3 + 76
    assert asked == {"Which of these show: Cat", "Which of these show: Dog"}


def test_ticks_survive_a_reload_and_only_sending_makes_them_answers(page: Page, site: Site) -> None:
    round_id = site.rounds["Grid lost"]
    log_in(page, 1)
    open_round(page, site, "Grid lost")
    picture(page, 3).focus()
    page.keyboard.press("Space")
    page.reload()
    loaded(page)
    assert ticked(page) == [3]
    assert votes(site, round_id, 1) == []
    page.wait_for_load_state("networkidle")  # the next batch and its pictures are here
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    shown(page, "0 of 24 ticked")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Waiting for the network: 48 answers")).to_be_visible()
    page.close()  # the browser may still deliver what a closing tab sends, as if the network were back
    page.context.set_offline(False)
    again = page.context.new_page()
    again.goto(f"/label/{round_id}/")
    shown(again, "Saved")
    given = votes(site, round_id, 1)
    assert (len(given), given.count("yes")) == (48, 25), "all are there, and none twice"


def test_a_closer_look_by_key_and_by_pointer(page: Page, site: Site) -> None:
    log_in(page, 2)
    open_round(page, site, "Grid lost")
    lens = page.locator("main").get_by_alt_text("Picture 1 of 24").last
    page.keyboard.press("z")
    expect(lens).to_have_attribute("src", re.compile("/full$"))
    page.keyboard.press("ArrowRight")  # it follows
    expect(page.locator("main").get_by_alt_text("Picture 2 of 24")).to_have_count(2)
    page.keyboard.press("z")
    expect(page.locator("main").get_by_alt_text("Picture 2 of 24")).to_have_count(1)
    page.get_by_alt_text("Picture 5 of 24").hover()
    expect(page.locator("main").get_by_alt_text("Picture 5 of 24")).to_have_count(2)
    assert ticked(page) == []


def test_by_touch_on_a_phone(browser: Browser, site: Site) -> None:
    with window(
        browser, site, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    ) as page:
        log_in(page, 3)
        open_round(page, site, "Grid touch")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_alt_text("Picture 2 of 24").tap()
        page.get_by_role("listitem").nth(0).get_by_text("?", exact=True).tap()
        shown(page, "1 of 24 ticked")
        page.get_by_role("button", name="Look closer").tap()
        page.get_by_alt_text("Picture 4 of 24").tap()  # looks, and does not tick
        expect(page.get_by_alt_text("Picture 4 of 24")).to_have_count(2)
        page.get_by_role("button", name="Look closer").tap()
        page.get_by_role("button", name="Send and go on").tap()
        shown(page, "0 of 24 ticked")
        shown(page, "Saved")
        given = votes(site, site.rounds["Grid touch"], 3)
        assert (len(given), given.count("yes")) == (24, 1)


def test_without_scripts_it_is_a_form(browser: Browser, site: Site) -> None:
    with window(browser, site, java_script_enabled=False) as page:
        log_in(page, 4)
        page.goto(f"/label/{site.rounds['Grid touch']}/")
        page.get_by_alt_text("Picture 2", exact=True).click()
        page.get_by_role("listitem").nth(2).get_by_text("?", exact=True).click()
        page.get_by_role("button", name="Send and go on").click()
        assert ticked(page) == []
        given = votes(site, site.rounds["Grid touch"], 4)
        assert (len(given), given.count("yes"), given.count("unsure")) == (24, 1, 1)


def test_a_category_of_many_is_found_by_typing(page: Page, site: Site) -> None:
    log_in(page, 5)
    page.goto(f"/label/{site.rounds['Many']}/")
    shown(page, "1 of 6")
    for typed in ("finch 7", "taenio", "etag"):  # a name, a synonym, letters without their accents
        before = page.get_by_text(re.compile(r"^\d of 6$")).inner_text()
        until(page, "document.querySelector('main form img').complete")
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        expect(page.get_by_text(before, exact=True)).to_have_count(0)
    page.keyboard.type("finch")
    expect(page.get_by_text("61 fit; Enter gives “Finch 0”")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Finch 1", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    shown(page, "5 of 6")
    page.keyboard.press("-")
    shown(page, "6 of 6")
    page.keyboard.press("Backspace")
    shown(page, "5 of 6")
    page.keyboard.press(".")
    page.keyboard.type("nobody has such a name")
    shown(page, "No category has such a name.")
    page.keyboard.press("Enter")
    shown(page, "6 of 6")
    page.keyboard.press("Escape")
    page.keyboard.press("-")
    shown(page, "1 of 6")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert votes(site, site.rounds["Many"], 5) == ["n7", "n60", "n61", "n1", "__unsure__", "__none__"]


def test_the_page_warns_before_a_lease_ends(page: Page, site: Site) -> None:
    log_in(page, 6)
    code = (
        "import django, json; django.setup()\n"
        "from annotation_site.models import Round\n"
        f"print(json.dumps(Round.objects.filter(pk={site.rounds['Many']}).update(lease_seconds={{seconds}})))"
    )
    site.python(code.format(seconds=100))
    page.goto(f"/label/{site.rounds['Many']}/")
    shown(page, "These pictures are kept for you for 2 more min.")
    site.python(code.format(seconds=1800))
