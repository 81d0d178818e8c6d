"""Names with markup in them are text on every page: no script, no handler, no address that runs one."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from annotation_site.models import Instructions, Round, User, Worker
from ingest.models import Candidate, Category, Dataset, Source
from quality.models import WorkerSkill
from tests.annotation_site.api_world import ApiWorld, one_world

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}</title></textarea>"
RUNS = "javascript:alert(3)"
DATA_BLOCKS = {"application/json", "application/ld+json", "importmap", "speculationrules"}


class Live(HTMLParser):
    """Collects what of a page would run, or stands where only our own markup may."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attributes}
        if tag == "script" and "src" not in held and held.get("type") not in DATA_BLOCKS:
            self.faults.append("a script inside the page")
        if held.get("src") == "x":
            self.faults.append("the picture of the name")
        for name, value in held.items():
            if name.startswith("on"):
                self.faults.append(f"{tag} {name}={value}")
            if name in ("href", "src", "action", "formaction") and value.strip().lower().startswith(
                "javascript:"
            ):
                self.faults.append(f"{tag} {name}={value}")


@pytest.fixture(scope="module")
def shared_world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[ApiWorld]:
    with one_world(tmp_path_factory.mktemp("api"), django_db_blocker) as built:
        yield built


@pytest.fixture
def world(shared_world: ApiWorld, db: None) -> ApiWorld:
    """Everything that anybody can name is named so."""
    Dataset.objects.update(title=EVIL, description=EVIL, licence=EVIL)
    Category.objects.update(name=EVIL, gloss=EVIL, synonyms=f"{EVIL}|{EVIL}")
    Round.objects.update(title=EVIL)
    Instructions.objects.update(text=EVIL)
    Source.objects.update(location=RUNS)
    fields = ("page_url", "licence", "author", "caption", "reason", "detail")
    evil = {name: EVIL[: Candidate._meta.get_field(name).max_length or 999] for name in fields}
    Candidate.objects.update(**{**evil, "page_url": RUNS, "url": RUNS})
    User.objects.filter(username="some-annotator").update(username="<b onclick=alert(4)>ann", first_name=EVIL)
    Worker.objects.filter(code=shared_world.other.code).update(code="<i onclick=alert(5)>w")
    WorkerSkill.objects.update(flags="fast", evidence=EVIL)
    return shared_world


def pages(patterns: list[URLPattern | URLResolver], known: dict[str, Any]) -> Iterator[str]:
    """The address of every page of the site whose parts are known."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if not str(pattern.pattern).startswith(("admin", "api")):
                yield from pages(pattern.url_patterns, known)
        elif pattern.name and set(pattern.pattern.converters) <= set(known):
            try:
                yield reverse(pattern.name, kwargs={k: known[k] for k in pattern.pattern.converters})
            except NoReverseMatch:
                continue


def test_names_with_markup_are_text_on_every_page(world: ApiWorld) -> None:
    known = {
        "name": "birds", "round_id": world.verify.pk, "pk": world.labelled.pk, "version": "1.0.0",
        "sha": world.plain.image.sha256, "sha256": world.plain.image.sha256, "key": "finch",
        "code": "<i onclick=alert(5)>w", "old": "1.0.0",
    }  # fmt: skip
    addresses = sorted(set(pages(get_resolver().url_patterns, known)))
    addresses += [
        "/d/birds/sources/?state=stored",
        "/d/birds/review/?category=finch",
        "/d/birds/images/?q=<b>",
    ]
    seen: set[str] = set()
    for name in ("some-curator", "<b onclick=alert(4)>ann", ""):
        client = Client(raise_request_exception=True)
        if name:
            client.force_login(User.objects.get(username=name))
        for address in addresses:
            answer = client.get(address, follow=True)
            assert answer.status_code < 500, address
            if not answer.get("Content-Type", "").startswith("text/html"):
                continue
            assert "Content-Security-Policy" in answer
            page = Live()
            page.feed(answer.content.decode())
            assert page.faults == [], (address, name)
            if "&lt;script&gt;alert(1)" in answer.content.decode():
                seen.add(address)
    assert {"/d/birds/", "/d/birds/rounds/", "/releases/birds/1.0.0/", "/"} <= seen


def test_the_test_sees_markup_that_runs() -> None:
    page = Live()
    page.feed(f"<p>{EVIL}</p><a href='{RUNS}'>x</a>")
    assert len(page.faults) == 4
