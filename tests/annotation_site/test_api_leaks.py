"""An annotator reads every call of the API and learns nothing of gold, consensus, splits or others' votes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from annotation_site.models import Participation, Round, Task, Vote, Worker
from export.models import Share
from tests.annotation_site.api_world import ApiWorld, one_world

pytestmark = pytest.mark.django_db
SECRET = {
    "gold", "gold_rate", "gold_votes", "audit", "audit_rate", "consensus", "confidence", "confidences",
    "posterior", "split", "skill", "flags", "reference", "references", "decision", "decisions", "agreement",
    "label_accuracy", "settled", "exhausted", "rank", "wanted", "draw", "votes_max",
}  # fmt: skip
"""Keys that no answer to an annotator has."""
OPEN_TO_ALL = {"/api/v1/me", "/api/v1/me/rounds", "/api/v1/me/tokens", "/api/v1/rounds",
               "/api/v1/rounds/{round_id}", "/api/v1/quizzes/{quiz_id}", "/api/v1/joinable",
               "/api/v1/datasets", "/api/v1/releases", "/api/v1/datasets/{name}/categories",
               "/api/v1/datasets/{name}/consent"}  # fmt: skip
"""What an annotator may read: the list of releases is empty where none is shared."""


@pytest.fixture(scope="module")
def shared_world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[ApiWorld]:
    with one_world(tmp_path_factory.mktemp("api"), django_db_blocker) as built:
        yield built


@pytest.fixture
def world(shared_world: ApiWorld, db: None) -> ApiWorld:
    """Nothing is shared with the public: what a public release shows, everybody may know."""
    Share.objects.all().delete()
    return shared_world


def reads(world: ApiWorld, turns: int = 3) -> Iterator[tuple[str, str]]:
    """(path in the description, address) of every GET, for up to `turns` values of each name in it."""
    known = world.known
    for path, methods in world.get("openapi.json").json()["paths"].items():
        if "get" not in methods:
            continue
        names = [p["name"] for p in methods["get"].get("parameters", []) if p["in"] == "path"]
        for turn in range(turns):
            address = path
            for name in names:
                there = known.get(name, [1])
                address = address.replace(f"{{{name}}}", str(there[turn % len(there)]))
            yield path, address


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a document with what it holds, at any depth."""
    if isinstance(value, dict):
        for key, held in value.items():
            yield key, held
            yield from parts(held)
    elif isinstance(value, list):
        for held in value:
            yield from parts(held)


def test_no_call_tells_an_annotator(world: ApiWorld) -> None:
    opened = set()
    others = set(Worker.objects.exclude(user__username="some-annotator").values_list("code", flat=True))
    for path, address in reads(world):
        answer = world.get(address, "annotator")
        assert answer.status_code in (200, 403, 404), (address, answer.status_code)
        if answer.status_code != 200:
            assert set(answer.json()) == {"type", "title", "status", "detail"}
            continue
        opened.add(path)
        body = answer.json()
        assert not SECRET & {key for key, _ in parts(body)}, address
        assert not others & {held for _, held in parts(body) if isinstance(held, str)}, address
    assert opened == OPEN_TO_ALL
    assert world.get("releases", "annotator").json()["releases"] == []


def test_a_refusal_does_not_tell_what_there_is(world: ApiWorld) -> None:
    """403 comes before anything of the dataset is looked up."""
    there, not_there = world.gold.image.sha256, "0" * 64
    for path in ("images/{}", "images/{}/votes", "images/{}/candidates"):
        answers = [world.get(f"datasets/birds/{path.format(sha)}", "annotator") for sha in (there, not_there)]
        assert answers[0].content == answers[1].content
    for pk in (world.labelled.pk, 99_999):
        assert world.get(f"datasets/birds/rounds/{pk}", "annotator").status_code == 403
    for code in (world.other.code, "nobody"):
        assert world.get(f"datasets/birds/workers/{code}", "annotator").status_code == 403


def test_gold_looks_and_answers_like_any_other(world: ApiWorld) -> None:
    """The batch, the answer to its votes and one's own figures have one shape, whatever the tasks are."""
    Vote.objects.filter(worker__user__username="some-annotator").delete()
    Participation.objects.filter(worker__user__username="some-annotator").delete()
    Task.objects.filter(round=world.labelled, gold=False).update(state=0, claimable=True, wanted=9)
    Round.objects.filter(pk=world.labelled.pk).update(gold_rate=0.5)
    batch = world.post(f"rounds/{world.labelled.pk}/claim", {"size": 8}, "annotator").json()
    gold = set(Task.objects.filter(round=world.labelled, gold=True).values_list("pk", flat=True))
    kinds: dict[bool, list[Any]] = {True: [], False: []}
    for task in batch["tasks"]:
        kinds[task["task"] in gold].append(task)
    assert kinds[True], "the batch holds no gold: nothing is tested"
    assert kinds[False]
    shapes = {json.dumps({key: type(held).__name__ for key, held in task.items()}) for task in batch["tasks"]}
    assert len(shapes) == 1
    for is_gold in (True, False):
        before = world.get("me", "annotator").json()["votes"]
        task = kinds[is_gold][0]["task"]
        votes = [{"task": task, "label": "finch", "seconds": 1}]
        body = {"assignment": batch["assignment"], "key": f"k{is_gold}", "votes": votes}
        sent = world.post("votes", body, "annotator").json()
        assert sent == {"results": [{"task": task, "status": "stored"}]}
        assert world.get("me", "annotator").json()["votes"] == before + 1


OWN = ("/login", "/votes", "/claim", "/answers", "/acceptances", "/join", "/consent/acceptance",
       "/me/tokens/{token_id}")  # fmt: skip
"""Writing calls for everybody: to label, to join, for one's own consent and tokens."""


def writes(world: ApiWorld) -> Iterator[tuple[str, str, Any]]:
    """(method, address, the example that its description shows) of every call that changes something."""
    document, known = world.get("openapi.json").json(), world.known
    for path, methods in document["paths"].items():
        for method in set(methods) - {"get"}:
            if path.endswith(OWN):
                continue
            body = None
            if "requestBody" in methods[method]:
                schema = methods[method]["requestBody"]["content"]["application/json"]["schema"]
                body = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"][0]
            address = path
            for name, values in known.items():
                address = address.replace(f"{{{name}}}", str(values[0]))
            yield method.upper(), address, body


def test_nothing_is_done_by_those_who_may_not(world: ApiWorld) -> None:
    """Annotators, curators of another dataset, tokens that may only read, strangers, and nobody at all."""
    tried = 0
    for method, address, body in writes(world):
        for role, status in (
            ("annotator", 403),
            ("outsider", 403),
            ("reader", 403),
            ("stranger", 403),
            ("", 401),
        ):
            answer = world.ask(method, address, role, body, {})
            assert answer.status_code == status, (method, address, role, answer.content)
        tried += 1
    assert tried >= 26


def test_nothing_of_a_dataset_is_read_from_outside(world: ApiWorld) -> None:
    for path, address in reads(world, 1):
        for role in ("outsider", "stranger", ""):
            status = world.get(address, role).status_code
            if "/datasets/{name}" in path:
                assert status == (403 if role else 401), (address, role)
            elif not path.startswith("/api/v1/releases"):
                assert status in ((200, 403, 404) if role else (401,)), (address, role)
    assert world.get("datasets", "outsider").json()["datasets"][0]["name"] == "elsewhere"
    assert world.get("datasets/birds/members", "reader").status_code == 200
