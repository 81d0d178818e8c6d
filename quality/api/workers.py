"""Workers of a dataset, by their pseudonyms: how well they label, and what a person decides about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import Count, Exists, OuterRef
from django.http import Http404, HttpRequest
from ninja import Field, Query, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, Id, Name, Reason, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, By, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import Role, Round, Vote, Worker
from ingest.models import Dataset
from quality.api.rounds import round_of
from quality.jobs import settle_round
from quality.models import WorkerAction, WorkerSkill
from quality.services import report, workers
from quality.services.gold_trial import MOST_GOLD, USUAL_GOLD

router = Router(tags=["workers"], auth=LOGGED_IN)
Action = WorkerAction.Action
LATEST = 2_000
"""Votes of one worker that agreement is measured on: the newest."""


class FlagOut(Schema):
    """Something that was noticed, and the figures behind it."""

    flag: str
    evidence: str


class GoldRecord(Schema):
    """Answers to experts' gold."""

    right: int
    given: int


class SkillOut(Schema):
    """A worker in a round, as of its last pass: the share of right votes with a 95% interval."""

    worker: str
    suspended: bool
    round: int
    votes: int
    skill: float
    lo: float
    hi: float
    gold: GoldRecord | None
    flags: list[FlagOut]


class WorkersOut(Schema):
    """Workers of one round, the most skilled first; `round` is null where no round has had a pass."""

    round: int | None
    workers: list[SkillOut]
    next: str | None


class Agreement(Schema):
    """The newest votes on tasks with a consensus: how many say what it says."""

    agree: int
    of: int


class Confused(Schema):
    """How often the worker said one thing where the consensus is another."""

    consensus: str
    said: str
    times: int


class WorkerOut(Schema):
    """One worker: each round as of now, agreement with the consensus, and what the policy proposes."""

    worker: str
    provider: str
    suspended: bool
    votes: int
    rounds: list[SkillOut]
    agreement: Agreement
    median_seconds: float | None
    confusions: list[Confused]
    proposed: str | None


class ActionOut(Schema):
    """What a person did about a worker, and why."""

    action: str
    reason: str
    by: str
    round: int | None
    votes: int
    gold: int
    created: datetime


class ActionsOut(Schema):
    """What was done about a worker, the newest first."""

    actions: list[ActionOut]
    next: str | None


class ActIn(Schema):
    """What to do. `gold`: further gold tasks, for `more_gold`."""

    model_config = shown(action="more_gold", reason="quick, and often alone", gold=10)
    action: Annotated[str, Field(pattern="^(suspend|restore|more_gold|warn|retrain)$")]
    reason: Reason
    gold: Annotated[int, Field(ge=1, le=MOST_GOLD)] = USUAL_GOLD


class VoidIn(Schema):
    """The round in which the worker's votes are not to count, and why."""

    model_config = shown(round=3, reason="answered without looking")
    round: Id
    reason: Reason


@router.get("datasets/{name}/workers", response={200: WorkersOut, **READING}, url_name="dataset_workers")
def worker_list(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    round: Annotated[int, Query(0, ge=0, le=2**63 - 1, description="a round; 0: the newest that had a pass")],
    flagged: bool = False,
) -> Any:
    """The workers of one round with skill, gold and flags."""
    dataset = dataset_of(request, name, Role.REVIEWER)
    chosen = round_of(request, name, round, Role.REVIEWER) if round else _newest(dataset)
    if chosen is None:
        return {"round": None, "workers": [], "next": None}
    held = WorkerSkill.objects.filter(round=chosen).select_related("worker")
    if flagged:
        held = held.exclude(flags="")
    rows, following = page(request, held, [By("skill", float, falling=True), By("pk", int)], cursor, limit)
    gold = report.gold_right(chosen, [row.worker_id for row in rows])
    return {
        "round": chosen.pk,
        "workers": [
            _skill(row.worker, chosen, row, row.votes, row.flags.split(";"), row.evidence.splitlines(), gold)
            for row in rows
        ],
        "next": following,
    }


@router.get(
    "datasets/{name}/workers/{path:code}/actions",
    response={200: ActionsOut, **READING},
    url_name="worker_actions",
)
def actions(request: HttpRequest, name: Name, code: str, cursor: Cursor, limit: Limit) -> Any:
    """What people did about this worker, and why."""
    dataset = dataset_of(request, name, Role.REVIEWER)
    rows, following = page(
        request, _worker(dataset, code).actions.filter(dataset=dataset), NEWEST, cursor, limit
    )
    return {"actions": [_action(row) for row in rows], "next": following}


@router.post(
    "datasets/{name}/workers/{path:code}/actions",
    response={201: ActionOut, **PROBLEMS},
    url_name="worker_actions",
)
def act(request: HttpRequest, name: Name, code: str, body: ActIn) -> Any:
    """Suspend or restore a worker, give more gold, or keep a note. Curators only."""
    dataset = dataset_of(request, name)
    worker, by = _worker(dataset, code), user_of(request).get_username()
    if body.action == Action.SUSPEND:
        done = workers.suspend_worker(worker, dataset, body.reason, by)
    elif body.action == Action.RESTORE:
        done = workers.restore_worker(worker, dataset, body.reason, by)
    elif body.action == Action.MORE_GOLD:
        done = workers.more_gold(worker, dataset, body.reason, by, body.gold).action
    else:
        done = workers.note(worker, dataset, body.action, body.reason, by)
    return Status(201, _action(done))


@router.post(
    "datasets/{name}/workers/{path:code}/void", response={201: ActionOut, **PROBLEMS}, url_name="void_votes"
)
def void(request: HttpRequest, name: Name, code: str, body: VoidIn) -> Any:
    """Void the worker's votes in a round: nothing is deleted, its tasks are open again. Curators only."""
    dataset = dataset_of(request, name)
    worker, round = _worker(dataset, code), round_of(request, name, body.round)
    done = workers.void_votes(worker, round, body.reason, user_of(request).get_username(), settle=False)
    if workers.may_settle(round):
        settle_round.delay(round.pk)
    return Status(201, _action(done))


@router.get(
    "datasets/{name}/workers/{path:code}", response={200: WorkerOut, **READING}, url_name="dataset_worker"
)
def worker_detail(request: HttpRequest, name: Name, code: str) -> Any:
    """One worker, as of now: votes since the last pass are weighed, too."""
    dataset = dataset_of(request, name, Role.REVIEWER)
    worker = _worker(dataset, code)
    rounds = {round.pk: round for round in dataset.rounds.filter(participations__worker=worker)}
    proposed = next((p for p in workers.proposals(dataset) if p.worker == worker.code), None)
    pace = report.pace(dataset, worker)
    reviews = workers.review(worker, dataset)
    return {
        "worker": worker.code,
        "provider": worker.provider,
        "suspended": worker.suspended,
        "votes": sum(review.votes for review in reviews),
        "rounds": [
            _skill(worker, rounds[told.round], told, told.votes, told.flags, told.evidence,
                   report.gold_right(rounds[told.round], [worker.pk]))
            for told in reviews
        ],
        "agreement": _agreement(dataset, worker),
        "median_seconds": pace["median"] if pace else None,
        "confusions": [
            {"consensus": truth, "said": said, "times": n}
            for truth, said, n in report.worker_confusions(dataset, worker)
        ],
        "proposed": proposed.action.value if proposed else None,
    }  # fmt: skip


def _newest(dataset: Dataset) -> Round | None:
    """The newest round that has skills."""
    has_skills = Exists(WorkerSkill.objects.filter(round=OuterRef("pk")))
    return dataset.rounds.filter(has_skills).order_by("-pk").first()


def _worker(dataset: Dataset, code: str) -> Worker:
    """Somebody who was given work in this dataset."""
    found = Worker.objects.filter(code=code).first()
    if found is None or not found.participations.filter(round__dataset=dataset).exists():
        raise Http404(f"There is no worker {code} in dataset {dataset.name}.")
    return found


def _agreement(dataset: Dataset, worker: Worker) -> dict[str, int]:
    newest = Vote.objects.counted().filter(worker=worker, task__round__dataset=dataset).order_by("-pk")
    judged = Vote.objects.filter(pk__in=list(newest.values_list("pk", flat=True)[:LATEST]))
    judged = judged.filter(task__consensus__isnull=False)
    return judged.aggregate(agree=Count("pk", filter=report.agrees_with_consensus()), of=Count("pk"))


def _skill(
    worker: Worker, round: Round, told: WorkerSkill | workers.Review, votes: int, flags: list[str],
    evidence: list[str], gold: dict[int, tuple[int, int]],
) -> dict[str, Any]:  # fmt: skip
    named = [flag for flag in flags if flag]
    lines = evidence + [""] * len(named)
    right = gold.get(worker.pk)
    return {
        "worker": worker.code,
        "suspended": worker.suspended,
        "round": round.pk,
        "votes": votes,
        "skill": told.skill,
        "lo": told.lo,
        "hi": told.hi,
        "gold": {"right": right[0], "given": right[1]} if right else None,
        "flags": [{"flag": flag, "evidence": line} for flag, line in zip(named, lines, strict=False)],
    }


def _action(row: WorkerAction) -> dict[str, Any]:
    return {
        "action": row.action,
        "reason": row.reason,
        "by": row.by,
        "round": row.round_id,
        "votes": row.votes,
        "gold": row.gold,
        "created": row.created,
    }
