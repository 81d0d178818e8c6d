"""Coming to a dataset in a real Chromium: from a curator's link to the first vote, without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.accessibility import LOOK_NAMES, LOOKS
from tests.annotation_site.site import Site
from tests.annotation_site.test_accessible import check
from tests.annotation_site.windows import shown, window

pytestmark = pytest.mark.browser

# A dataset of its own, so that what it asks of people asks nothing of those in other tests.
GUESTS = """
import django, json; django.setup()
from annotation_site.models import Entrance
from annotation_site.services.accounts import AccountRow, create_users
from annotation_site.services.rounds import open_round
from ingest.models import Category, Dataset
from ingest.services.images import store_image
from tests.annotation_site.world import jpeg
dataset = Dataset.objects.create(name="guests", title="Guests")
Category.objects.create(dataset=dataset, key="cat", name="Cat", position=0)
picture, _ = store_image(dataset, jpeg("navy"))
made = open_round(dataset, "classify", tasks=[(picture.pk, None)], title="Who is it?")
create_users([AccountRow("host", "curator", dataset, "secret-host")])
Entrance.objects.create(dataset=dataset, sign_up="open")
print(json.dumps(made.pk))
"""
WHO = """
import django, json; django.setup()
from annotation_site.models import Consent, Vote
print(json.dumps([[c.user.username for c in Consent.objects.filter(text__dataset__name="guests")],
                  [v.label for v in Vote.objects.filter(worker__user__username="newcomer")]]))
"""


@pytest.fixture(scope="module")
def round_id(site: Site) -> int:
    """The round of the dataset `guests`."""
    return int(site.python(GUESTS))


def enter(page: Page, name: str) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(f"secret-{name}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_from_a_link_to_the_first_vote(browser: Browser, site: Site, round_id: int) -> None:
    with window(browser, site) as page:
        enter(page, "host")
        page.goto("/d/guests/")
        page.get_by_role("link", name="Members").click()
        page.get_by_role("link", name="Write a text").click()
        page.get_by_label("Text").fill("Votes are published without names.")
        page.get_by_role("button", name="Save as a new version").click()
        shown(page, "Saved as version 1.")
        page.get_by_role("link", name="Members").last.click()
        page.get_by_role("button", name="Make a link").click()
        link = page.get_by_label("The new link")
        expect(link).to_be_focused()
        address = link.input_value()
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "java_script_enabled": False}
    with window(browser, site, **phone) as page:
        page.goto(address)
        page.get_by_label("User name").fill("newcomer")
        page.get_by_label("Password", exact=True).fill("violet-otter-42")
        page.get_by_label("The same password again").fill("violet-otter-42")
        page.get_by_role("button", name="Make my account and join").click()
        shown(page, "Welcome to Guests. Your role: annotator.")
        page.get_by_role("link", name="Start labelling").click()
        shown(page, "Votes are published without names.")
        page.get_by_role("button", name="I do not accept").click()
        expect(page.get_by_text("You did not accept.")).to_be_visible()
        page.get_by_role("link", name="Start labelling").click()
        page.get_by_role("button", name="I have read this and accept").click()
        page.get_by_role("button", name="Cat").click()
        expect(page.get_by_role("heading", name="That was all")).to_be_visible()
    assert site.python(WHO) == [["newcomer"], ["cat"]]


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
def test_the_pages_on_people_are_accessible(
    browser: Browser, site: Site, round_id: int, look: dict[str, Any]
) -> None:
    strangers = ("/login/", "/password/reset/", "/password/reset/sent/", "/password/x/y/", "/d/guests/join/")
    hosts = (
        "/me/account/",
        "/me/tokens/",
        *(f"/d/guests/{p}/" for p in ("members", "members/consent", "consent")),
    )
    with window(browser, site, **look) as page:
        wrong = [line for path in strangers for line in check(page, path)]
        enter(page, "host")
        wrong += [line for path in hosts for line in check(page, path)]
    assert wrong == []
