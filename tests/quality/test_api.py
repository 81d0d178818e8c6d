"""What the API tells of rounds, workers and pictures, to whom, and what a curator does through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from annotation_site.models import Round, Task, Vote, Worker
from quality.models import Adjudication, Consensus, QCPass, WorkerAction, WorkerSkill
from tests.annotation_site.api_world import OTHER, ApiWorld, one_world

pytestmark = pytest.mark.django_db
PETS = "datasets/birds"


@pytest.fixture(scope="module")
def shared_world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[ApiWorld]:
    with one_world(tmp_path_factory.mktemp("api"), django_db_blocker) as built:
        yield built


@pytest.fixture
def world(shared_world: ApiWorld, db: None) -> ApiWorld:
    return shared_world


def walk(world: ApiWorld, path: str, key: str, limit: int, role: str = "curator") -> list[dict[str, Any]]:
    """Every row of a list, by following `next`."""
    rows: list[dict[str, Any]] = []
    at = f"{path}{'&' if '?' in path else '?'}limit={limit}"
    while at:
        answer = world.get(at, role)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert len(body[key]) <= limit
        rows += body[key]
        at = body["next"] and body["next"].removeprefix("http://testserver")
    return rows


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_rounds_with_their_figures(world: ApiWorld) -> None:
    rows = walk(world, f"{PETS}/rounds", "rounds", 1)
    assert [row["round"] for row in rows] == list(
        world.dataset.rounds.order_by("-pk").values_list("pk", flat=True)
    )
    row = next(row for row in rows if row["round"] == world.labelled.pk)
    round = Round.objects.get(pk=world.labelled.pk)
    assert row["votes"] == Vote.objects.filter(task__round=round, voided=False).count() > 0
    assert (row["tasks"], row["settled"]) == (round.tasks_total, round.tasks_settled)
    assert row["settled"] + row["exhausted"] + row["collecting"] == row["tasks"]
    assert walk(world, f"{PETS}/rounds?state=closed", "rounds", 5) == []


def test_one_round_with_its_passes(world: ApiWorld) -> None:
    one = world.get(f"{PETS}/rounds/{world.labelled.pk}", "researcher").json()
    made = QCPass.objects.get(round=world.labelled)
    assert one["last_pass"]["settled"] == made.settled
    assert (
        sum(one["confidences"]["counts"])
        == Consensus.objects.filter(task__round=world.labelled, task__gold=False).count()
    )
    assert [p["number"] for p in walk(world, f"{PETS}/rounds/{world.labelled.pk}/passes", "passes", 1)] == [1]
    assert "no round" in problem(world.get(f"{PETS}/rounds/99999"), 404)


def test_workers_by_skill_a_page_at_a_time(world: ApiWorld) -> None:
    rows = walk(world, f"{PETS}/workers", "workers", 2)
    held = WorkerSkill.objects.filter(round=world.labelled).order_by("-skill", "pk")
    assert [row["worker"] for row in rows] == [skill.worker.code for skill in held]
    assert rows == walk(world, f"{PETS}/workers", "workers", 200)
    assert all(row["lo"] <= row["skill"] <= row["hi"] for row in rows)
    one = world.get(f"{PETS}/workers/{OTHER}", "reviewer").json()
    votes = Vote.objects.filter(worker=world.other, voided=False).count()
    assert one["votes"] == votes > 0
    assert 0 < one["agreement"]["agree"] < one["agreement"]["of"] <= votes
    assert one["confusions"]
    [done] = walk(world, f"{PETS}/workers/{OTHER}/actions", "actions", 5)
    assert (done["action"], done["reason"], done["by"]) == ("warn", "too quick", "cora")


def test_the_most_uncertain_come_first_and_gold_never(world: ApiWorld) -> None:
    rows = walk(world, f"{PETS}/review", "tasks", 2, "reviewer")
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    wanted = Consensus.objects.filter(task__gold=False).values_list("task_id", flat=True)
    assert sorted(row["task"] for row in rows) == sorted(wanted)
    voted = next(row for row in rows if row["round"] == world.labelled.pk)
    assert sum(said["votes"] for said in voted["votes"]) == Task.objects.get(pk=voted["task"]).votes
    some = walk(world, f"{PETS}/review?round={world.labelled.pk}&category=owl", "tasks", 50)
    assert some
    assert {row["label"] for row in some} == {"owl"}


def test_one_images_story(world: ApiWorld) -> None:
    sha = world.plain.image.sha256
    told = world.get(f"{PETS}/images/{sha}", "researcher").json()
    assert {task["round"] for task in told["tasks"]} >= {world.labelled.pk, world.verify.pk}
    assert any(task["consensus"] for task in told["tasks"])
    assert "worker" not in str(told)
    given = walk(world, f"{PETS}/images/{sha}/votes", "votes", 2, "reviewer")
    assert len(given) == Vote.objects.filter(task__image=world.plain.image).count() > 2
    assert OTHER in {vote["worker"] for vote in given}
    [found] = walk(world, f"{PETS}/images/{sha}/candidates", "candidates", 5, "researcher")
    assert found["licence"] == "CC BY 4.0"
    assert world.get(f"{PETS}/images/{world.gold.image.sha256}").json()["gold"][0]["label"] == "owl"
    assert "no image" in problem(world.get(f"{PETS}/images/{'0' * 64}"), 404)


def test_a_cursor_of_another_list_is_refused(world: ApiWorld) -> None:
    for cursor in ("nonsense", "W10", "WyJhIl0", "WzFd", "é", "A" * 900):
        assert "next" in problem(world.get(f"{PETS}/review?cursor={cursor}"), 422)
    for limit in (0, 201, "many"):
        problem(world.get(f"{PETS}/review?limit={limit}"), 422)


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("rounds", {"reviewer", "researcher", "curator"}),
        ("review", {"reviewer", "researcher", "curator"}),
        ("workers", {"reviewer", "curator"}),
        (f"workers/{OTHER}", {"reviewer", "curator"}),
        (f"workers/{OTHER}/actions", {"reviewer", "curator"}),
        ("images/SHA", {"reviewer", "researcher", "curator"}),
        ("images/SHA/candidates", {"reviewer", "researcher", "curator"}),
        ("images/SHA/votes", {"reviewer", "curator"}),
        ("", {"reviewer", "researcher", "curator"}),
    ],
)
def test_who_may_read(world: ApiWorld, path: str, may: set[str]) -> None:
    address = f"{PETS}/{path}".rstrip("/").replace("SHA", world.plain.image.sha256)
    for role in world.tokens:
        assert world.get(address, role).status_code == (200 if role in may else 403), role
    problem(world.get(address, ""), 401)


def test_what_has_not_changed_is_not_sent_again(world: ApiWorld) -> None:
    first = world.get(f"{PETS}/rounds")
    assert first["Cache-Control"] == "private, no-cache"
    again = world.get(f"{PETS}/rounds", **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    world.post(f"{PETS}/rounds/{world.verify.pk}/close", None)
    assert world.get(f"{PETS}/rounds", **{"If-None-Match": first["ETag"]}).status_code == 200


def test_settling_and_closing(world: ApiWorld) -> None:
    path = f"{PETS}/rounds/{world.labelled.pk}"
    made = world.post(f"{path}/settle", None, "reviewer").json()
    assert made["settled"] == Round.objects.get(pk=world.labelled.pk).tasks_settled
    closed = world.post(f"{path}/close", None, "reviewer").json()
    assert closed["state"] == "closed"
    assert "closed" in problem(world.post(f"rounds/{world.labelled.pk}/claim", {}, "annotator"), 409)
    for role in ("annotator", "researcher", "stranger"):
        problem(world.post(f"{path}/close", None, role), 403)
        problem(world.post(f"{path}/settle", None, role), 403)


def test_pausing_opening_again_and_other_numbers(world: ApiWorld) -> None:
    path, claim = f"{PETS}/rounds/{world.verify.pk}", f"rounds/{world.verify.pk}/claim"
    for role in ("reviewer", "annotator"):
        problem(world.post(f"{path}/pause", None, role), 403)
    assert world.post(f"{path}/pause", None).json()["state"] == "paused"
    assert "paused" in problem(world.post(claim, {}, "annotator"), 409)
    assert world.post(f"{path}/reopen", None).json()["state"] == "open"
    assert world.post(claim, {}, "annotator").status_code == 200
    changed = world.patch(path, {"votes_max": 5, "price": "0.02", "title": "Owls?"}).json()
    assert (changed["votes_max"], changed["price"], changed["title"]) == (5, 0.02, "Owls?")
    for wrong in (
        {"votes_max": 0},
        {"confidence": 1},
        {"batch_size": 10**9},
        {"price": "NaN"},
        {"title": "\x00"},
    ):
        problem(world.patch(path, wrong), 422)
    assert "least <= most" in problem(world.patch(path, {"votes_min": 6}), 409)
    world.post(f"{path}/close", None)
    for again in ("close", "pause", "reopen", "settle"):
        assert "closed" in problem(world.post(f"{path}/{again}", None), 409)
    assert "closed" in problem(world.patch(path, {"votes_max": 7}), 409)


def test_an_expert_decides_and_takes_it_back(world: ApiWorld) -> None:
    path = f"{PETS}/tasks/{world.plain.pk}/decision"
    assert "no answer" in problem(world.post(path, {"label": "lion"}), 422)
    problem(world.post(path, {"label": "owl"}, "researcher"), 403)
    done = world.post(path, {"label": "owl"}, "reviewer").json()
    assert (done["label"], done["by"]) == ("owl", "some-reviewer")
    assert Consensus.objects.get(task=world.plain).method == "adjudication"
    row = next(r for r in walk(world, f"{PETS}/review", "tasks", 50) if r["task"] == world.plain.pk)
    assert row["decision"]["by"] == "some-reviewer"
    assert world.delete(path, "reviewer").status_code == 204
    assert "Nothing was decided" in problem(world.delete(path, "reviewer"), 422)
    assert Adjudication.objects.filter(task=world.plain).count() == 2
    assert "gold" in problem(world.post(f"{PETS}/tasks/{world.gold.pk}/decision", {"label": "owl"}), 422)


def test_suspending_with_a_reason(world: ApiWorld) -> None:
    path = f"{PETS}/workers/{OTHER}/actions"
    for reason in ("", "  ", "a\x00b", None):
        problem(world.post(path, {"action": "suspend", "reason": reason}), 422)
    problem(world.post(path, {"action": "suspend", "reason": "spam"}, "reviewer"), 403)
    assert not Worker.objects.get(code=OTHER).suspended
    assert world.post(path, {"action": "suspend", "reason": "spam"}).status_code == 201
    assert Worker.objects.get(code=OTHER).suspended
    assert "suspended" in problem(world.post(path, {"action": "more_gold", "reason": "sure?"}), 409)
    assert world.post(path, {"action": "restore", "reason": "mended"}).status_code == 201
    assert not Worker.objects.get(code=OTHER).suspended
    assert list(WorkerAction.objects.order_by("pk").values_list("action", "by"))[-2:] == [
        ("suspend", "some-curator"),
        ("restore", "some-curator"),
    ]
    problem(world.post(f"{PETS}/workers/nobody/actions", {"action": "warn", "reason": "x"}), 404)


def test_voiding_votes_with_a_reason(world: ApiWorld) -> None:
    path, body = f"{PETS}/workers/{OTHER}/void", {"round": world.labelled.pk, "reason": "random clicks"}
    held = Vote.objects.filter(worker=world.other, task__round=world.labelled)
    before = held.count()
    problem(world.post(path, {"round": world.labelled.pk}), 422)
    problem(world.post(path, body, "reviewer"), 403)
    assert not held.filter(voided=True).exists()
    done = world.post(path, body)
    assert done.status_code == 201
    assert done.json()["votes"] == before == held.filter(voided=True).count()
    assert "no counted vote" in problem(world.post(path, body), 409)
