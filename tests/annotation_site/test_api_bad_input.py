"""Bad input over real HTTP: a clear 4xx, an entry in the server's log, and nothing stored."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import pytest

from tests.annotation_site.site import Site

COUNTS = """
import django, json; django.setup()
from annotation_site.models import Receipt, Vote
mine = {"worker__user__username__in": ["w5", "w6"]}
print(json.dumps([Vote.objects.filter(**mine).count(), Receipt.objects.filter(**mine).count()]))
"""
BROKEN = """
import django, json; django.setup()
from django.conf import settings
from ingest.models import Dataset, Image
from ingest.storage import open_store
from tests.annotation_site.world import image_row
dataset = Dataset.objects.get(name="pets")
images = [image_row(dataset, 900_001), image_row(dataset, 900_002)]
images[1].sha256 = open_store(settings.STORAGE_URL).put(b"\\xff\\xd8\\xff no picture at all")
Image.objects.bulk_create(images)
print(json.dumps([image.sha256 for image in images]))
"""


@dataclass
class Caller:
    """Somebody with a token, and what the server's log says since they last looked."""

    site: Site
    token: str = ""
    read: int = 0

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the document that came; a body that is no bytes goes as JSON."""
        place = urlparse(self.site.url)
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        known = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        line.request(method, path, data, {"Content-Type": "application/json", **known, **headers})
        answer = line.getresponse()
        text = answer.read()
        line.close()
        if answer.status >= 400:
            assert answer.getheader("Content-Type") == "application/problem+json"
            assert answer.getheader("X-Content-Type-Options") == "nosniff"
        return answer.status, json.loads(text) if text else None

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """A POST to the API."""
        return self.send("POST", f"/api/v1/{path}", body)

    def refused(self, path: str, body: Any, status: int, words: str = "") -> None:
        """It is refused with this status and words, and the log has one line about it."""
        self.news()
        found, document = self.post(path, body)
        assert (found, document["status"]) == (status, status), document
        assert words in document["detail"]
        entries = [line for line in self.news() if f"POST /api/v1/{path}: {status}, " in line]
        assert len(entries) == 1

    def news(self) -> list[str]:
        """New lines of the log."""
        text = (self.site.folder / "log").read_bytes()
        new, self.read = text[self.read :], len(text)
        return new.decode().splitlines()


def caller(site: Site, number: int) -> Caller:
    found = Caller(site)
    name = {"username": f"w{number}", "password": f"secret-{number}"}
    found.token = found.post("login", name)[1]["token"]
    return found


@pytest.fixture(scope="module")
def ann(site: Site) -> Caller:
    return caller(site, 5)


@pytest.fixture(scope="module")
def bob(site: Site) -> Caller:
    return caller(site, 6)


@pytest.fixture(scope="module")
def batch(ann: Caller, site: Site) -> Any:
    return ann.post(f"rounds/{site.rounds['bad']}/claim", {"size": 3})[1]


@pytest.fixture
def good(batch: Any) -> dict[str, Any]:
    """A batch of votes that would be taken."""
    votes = [{"task": task["task"], "label": "cat", "seconds": 1} for task in batch["tasks"]]
    return {"assignment": batch["assignment"], "key": "k", "votes": votes}


@pytest.fixture(autouse=True)
def nothing_is_stored(site: Site) -> Iterator[None]:
    """No test leaves a vote or a receipt, but for the one that says so by voting itself."""
    before = site.python(COUNTS)
    yield
    assert site.python(COUNTS) == before


def test_votes_for_somebody_elses_tasks(ann: Caller, bob: Caller, good: dict[str, Any], site: Site) -> None:
    bob.refused("votes", good, 404, "You have no assignment")
    own = bob.post(f"rounds/{site.rounds['bad']}/claim", {"size": 1})[1]
    ann.refused("votes", {**good, "assignment": own["assignment"]}, 404, "You have no assignment")


def test_labels_that_the_round_does_not_know(ann: Caller, good: dict[str, Any]) -> None:
    vote = good["votes"][0]
    for label in ("lion", "yes", "", "CAT", "cat ", "\x00", "<script>alert(1)</script>", "c" * 201, None, 7):
        ann.refused("votes", {**good, "votes": [*good["votes"][1:], {**vote, "label": label}]}, 422)


def test_batches_of_any_size(ann: Caller, good: dict[str, Any], site: Site) -> None:
    vote = good["votes"][0]
    ann.refused("votes", {**good, "votes": [vote] * 10_000}, 422, "1000")
    ann.refused("votes", {**good, "votes": []}, 422)
    ann.refused(f"rounds/{site.rounds['bad']}/claim", {"size": 10**9}, 422)
    ann.refused(f"rounds/{site.rounds['bad']}/claim", {"holding": list(range(1, 30))}, 422)


def test_wrong_types(ann: Caller, good: dict[str, Any]) -> None:
    vote = good["votes"][0]
    for wrong in (
        {**good, "assignment": "mine"},
        {**good, "assignment": None},
        {**good, "assignment": -1},
        {**good, "key": ["k"]},
        {**good, "key": "\ud800"},
        {**good, "votes": {"0": vote}},
        {**good, "votes": [[vote]]},
        {**good, "votes": [{**vote, "task": 1.5}]},
        {**good, "votes": [{**vote, "seconds": "long"}]},
        [],
        "votes",
        7,
        None,
        b"",
        b"{",
        b'{"assignment": 1, "assignment"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ):
        ann.refused("votes", wrong, 422)


def test_huge_uploads_are_not_read(ann: Caller) -> None:
    for path in ("votes", "login"):
        ann.refused(path, b'{"key": "' + b"k" * 3_000_000 + b'"}', 413, "larger")


def test_nobody_is_let_in_by_odd_tokens(site: Site, good: dict[str, Any]) -> None:
    for token in ("nonsense", "x" * 5_000, "' OR 1=1 --", "%00"):
        Caller(site, token).refused("votes", good, 401, "Log in")
    for name in ("nobody", "<b>w5</b>", "w5\x00", "w5' --"):
        Caller(site).refused("login", {"username": name, "password": "secret-5"}, 401, "do not go together")


def test_addresses_that_are_none(ann: Caller) -> None:
    for path, status in (
        ("rounds/999999999/claim", 404),
        ("rounds/9223372036854775808/claim", 422),
        ("rounds/-1/claim", 422),
        ("nowhere", 404),
    ):
        assert ann.post(path, {})[0] == status
    assert ann.send("GET", "/api/v1/rounds?cursor=%00")[0] == 422
    assert ann.send("PUT", "/api/v1/votes", {})[0] == 405
    assert ann.send("GET", "/api/v1/datasets/<script>/categories".replace("<", "%3C"))[0] == 404


def test_broken_pictures(ann: Caller, site: Site) -> None:
    for sha256 in site.python(BROKEN):
        for size in ("full", "thumb"):
            ann.news()
            path = f"/images/pets/{sha256}/{size}"
            place = urlparse(site.url)
            line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
            line.request("GET", path, headers={"Authorization": f"Bearer {ann.token}"})
            answer = line.getresponse()
            assert answer.status == 404, ann.news()[-12:]
            assert "missing or damaged" in answer.read().decode()
            assert any(path in entry for entry in ann.news())


class TestAnsweredBatches:
    """Batches that are answered: what of them is stored, and how often."""

    @pytest.fixture(autouse=True)
    def nothing_is_stored(self) -> None:
        """What is stored is counted by the test."""

    def test_tasks_that_somebody_else_holds(self, bob: Caller, good: dict[str, Any], site: Site) -> None:
        own = bob.post(f"rounds/{site.rounds['bad']}/claim", {"size": 1})[1]
        held = {task["task"] for task in own["tasks"]}
        theirs = [vote for vote in good["votes"] if vote["task"] not in held]
        before = site.python(COUNTS)[0]
        status, answer = bob.post("votes", {"assignment": own["assignment"], "key": "t", "votes": theirs})
        assert status == 200
        assert {result["status"] for result in answer["results"]} == {"rejected"}
        assert site.python(COUNTS)[0] == before

    def test_a_key_again(self, ann: Caller, good: dict[str, Any], site: Site) -> None:
        votes, receipts = site.python(COUNTS)
        status, first = ann.post("votes", good)
        assert status == 200
        assert ann.post("votes", good) == (200, first)
        assert site.python(COUNTS) == [votes + len(good["votes"]), receipts + 1]
        other = [{**vote, "label": "dog"} for vote in good["votes"]]
        ann.refused("votes", {**good, "votes": other}, 409, "key")
        status, again = ann.post("votes", {**good, "key": "k2", "votes": other})
        assert {result["status"] for result in again["results"]} == {"rejected"}
        assert site.python(COUNTS)[0] == votes + len(good["votes"])
