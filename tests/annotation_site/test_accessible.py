"""axe-core finds nothing on any page of the site: WCAG 2.2 A and AA, light on a desk and dark on a phone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.accessibility import LOOK_NAMES, LOOKS, wrong_on
from tests.annotation_site.site import Site
from tests.annotation_site.windows import log_in, window

pytestmark = pytest.mark.browser

# A round with votes that agree and disagree, a consensus, and somebody who may see all of it.
CURATED = """
import django, json; django.setup()
from django.core.management import call_command
from annotation_site.models import Round, Worker
from annotation_site.services.accounts import AccountRow, create_users
from annotation_site.services.claims import claim_batch
from annotation_site.services.rounds import open_round
from annotation_site.services.votes import Answer, record_votes
from ingest.models import Dataset
dataset = Dataset.objects.get(name="pets")
create_users([AccountRow("w9", "curator", None, "secret-9")])
pictures = dataset.images.filter(bytes__gt=9).order_by("pk").values_list("pk", flat=True)[:30]
made = open_round(dataset, "classify", tasks=[(pk, None) for pk in pictures], title="Looked at", votes_min=3,
                  votes_max=5, batch_size=30)
for number, name in enumerate(["w0", "w1", "w2"]):
    worker = Worker.objects.get(user__username=name)
    batch = claim_batch(worker, made)
    answers = [Answer(t.pk, "cat" if t.pk % 3 else ["cat", "dog", "eel"][number]) for t in batch.tasks]
    record_votes(worker, batch.assignment.pk, f"axe{number}", answers)
call_command("aggregate", "pets", round=made.pk, stdout=open("/dev/null", "w"))
print(json.dumps([made.pk, dataset.images.get(pk=pictures[0]).sha256, worker.code]))
"""


# A quiz of five pictures, red to blue: each shows a dog.
QUIZ = """
import json
from annotation_site.services.quiz_making import NewQuestion, Wanted, save_quiz
from ingest.models import Dataset
dataset = Dataset.objects.get(name="pets")
shas = dataset.images.filter(bytes__gt=9).order_by("pk").values_list("sha256", flat=True)[50:55]
asked = [NewQuestion(sha, "dog", "Mind the ears.") for sha in shas]
print(json.dumps(save_quiz(dataset, Wanted("Ears", "classify", asked), by=None).pk))
"""


def check(page: Page, path: str) -> list[str]:
    """What is wrong with a page, a line a rule."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, path
    expect(page.locator("main")).to_be_visible()
    return wrong_on(page, path)


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
def test_pages_of_those_who_label(browser: Browser, site: Site, look: dict[str, Any]) -> None:
    rounds = (f"/label/{site.rounds[name]}/" for name in ("Reload", "Grid touch", "Many"))
    with window(browser, site, **look) as page:
        wrong = check(page, "/login/") + check(page, "/releases/")
        log_in(page, 7)
        for path in ("/", "/me/", *rounds):
            wrong += check(page, path)
            if path.startswith("/label/"):
                page.keyboard.press("?")
                expect(page.get_by_role("dialog")).to_be_visible()
                wrong += wrong_on(page, f"{path} help")
    assert wrong == []


def test_a_quiz_by_keyboard(browser: Browser, site: Site) -> None:
    """Keys answer, Enter goes on; what an answer was worth is where the focus is."""
    number = site.python(QUIZ)
    with window(browser, site, **LOOKS[-1]) as page:
        log_in(page, 6)
        wrong = check(page, f"/quiz/{number}/")
        page.get_by_role("button", name="Begin").press("Enter")
        expect(page.get_by_alt_text("The picture to judge")).to_be_visible()
        wrong += wrong_on(page, "a question")
        for place in range(5):
            expect(page).to_have_title(f"Picture {place + 1} of 5 · Ears")
            page.keyboard.press("1" if place == 0 else "2")
            expect(page.get_by_role("status").filter(has_text="Mind the ears.")).to_be_visible()
            expect(page.locator(":focus")).to_have_accessible_description(
                re.compile("^Not right" if place == 0 else "^Right")
            )
            wrong += wrong_on(page, "an answer") if place == 0 else []
            page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="You have passed")).to_be_visible()
        wrong += wrong_on(page, "the end")
    assert wrong == []


@pytest.mark.parametrize("look", LOOKS, ids=LOOK_NAMES)
def test_pages_of_those_who_look_after_a_dataset(
    browser: Browser, site: Site, curated: tuple[int, str, str], look: dict[str, Any]
) -> None:
    round_id, sha256, worker = curated
    # Images, duplicates, takedown and members are looked at beside their own journeys.
    parts = [
        "sources",
        "rounds",
        "rounds/new",
        "quizzes/new",
        "review",
        "quality",
        "workers",
        "releases",
        "runs",
    ]
    paths = [f"/d/pets/{part}{'' if '/' in part else '/'}" for part in ["", *parts]]
    paths[0] = "/d/pets/"
    paths += [f"/d/pets/rounds/{round_id}", f"/d/pets/images/{sha256}", f"/d/pets/workers/{worker}", "/"]
    with window(browser, site, **look) as page:
        log_in(page, 9)
        wrong = [line for path in paths for line in check(page, path)]
    assert wrong == []


@pytest.fixture(scope="module")
def curated(site: Site) -> tuple[int, str, str]:
    """A round with a consensus: its number, one of its pictures, one of its workers."""
    round_id, sha256, worker = site.python(CURATED)
    return round_id, sha256, worker
