"""A curator's pages of pictures in a real Chromium: by keyboard, without scripts, and axe finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from annotation_site.models import Membership, User
from ingest.models import Dataset, Image, NearTakedown, Takedown
from ingest.services.duplicates import join_groups
from tests.accessibility import wrong_on
from tests.chromium import find_chromium
from tests.export.visitors import wait_for_the_server
from tests.export.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Its driver keeps an event loop in this thread; the database is used between its calls."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])


@pytest.fixture
def visit(browser: Browser, live_server: Any, world: World) -> Iterator[Open]:
    """Opens windows of a curator who has logged in; no policy may be broken in them."""
    user = User.objects.create(username="ada")
    Membership.objects.create(user=user, dataset=world.dataset, role="curator")
    client = Client()
    client.force_login(user)
    session = client.cookies["sessionid"].value
    faults: list[str] = []
    contexts = []

    def window(width: int = 1280, scheme: Any = "light", *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 700},
            base_url=live_server.url,
            java_script_enabled=scripts,
            color_scheme=scheme,
        )
        context.set_default_timeout(30_000)
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
        return page

    yield window
    for context in contexts:
        context.close()
    wait_for_the_server()
    assert faults == []


def join_two() -> list[Image]:
    images = list(Image.objects.order_by("pk"))
    Dataset.objects.update(groups_found=len(images), images_stored=len(images))
    join_groups(images[0].dataset, [images[0].group_id or 0, images[1].group_id or 0], "ada")
    return images


def test_arrows_move_through_the_grid_and_enter_opens(world: World, visit: Open) -> None:
    page = visit()
    page.goto("/d/birds/images/")
    expect(page.get_by_text("Arrow keys move")).to_be_visible()
    links = page.locator(".grid a")
    page.keyboard.press("ArrowRight")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    tops = links.evaluate_all("all => all.map(a => Math.round(a.getBoundingClientRect().top))")
    columns = next(place for place, top in enumerate(tops) if top > tops[0])
    page.keyboard.press("ArrowDown")
    expect(links.nth(1 + columns)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("End")
    expect(links.last).to_be_focused()
    newest = Image.objects.order_by("-pk")[0]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/d/birds/images/{newest.sha256}")
    expect(page.get_by_role("heading", name="What is known about this picture?")).to_be_visible()


def test_split_join_and_takedown_without_a_script(world: World, visit: Open) -> None:
    images = join_two()
    page = visit(scripts=False)
    page.goto("/d/birds/duplicates/")
    page.get_by_label("split off").nth(1).check()
    page.get_by_role("button", name="Split off what is ticked").click()
    expect(page.get_by_text("1 file is a picture of its own now")).to_be_visible()
    page.goto("/d/birds/duplicates/")
    page.get_by_label("One file: SHA-256 or address").fill(images[0].sha256)
    page.get_by_label("The other").fill(images[1].candidates.get().url)
    page.get_by_role("button", name="Join…").click()
    page.get_by_role("button", name="Join 2 files").click()
    expect(page.get_by_text("2 files show one picture now.")).to_be_visible()
    page.goto(f"/d/birds/images/{images[0].sha256}")
    page.get_by_role("link", name="Take this picture down…").click()
    expect(page.get_by_text("This takes 2 files down, for good.")).to_be_visible()
    page.get_by_label("Why?").fill("its author asked")
    page.get_by_role("button", name="Take 2 files down").click()
    expect(page.get_by_text("2 files were taken down.")).to_be_visible()
    assert set(Image.objects.exclude(taken_down=None)) == set(images[:2])


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_axe_finds_nothing(world: World, visit: Open, width: int, scheme: str) -> None:
    images = join_two()
    entry = Takedown.objects.create(dataset=world.dataset, sha256="ab" * 32, reason="asked", by="ada")
    NearTakedown.objects.create(takedown=entry, image=images[3], distance=4)
    page = visit(width, scheme)
    wrong = []
    sha = images[0].sha256
    for path in (
        "images/", "images/?least=0&order=sure", "images/?least=x", f"images/{sha}",
        "duplicates/", "takedown/", f"takedown/?image={sha}", "takedown/?image=abc",
    ):  # fmt: skip
        page.goto(f"/d/birds/{path}")
        page.wait_for_load_state("networkidle")
        wrong += wrong_on(page, path)
    assert wrong == []
