"""Rounds: how far they are, what each pass found; settling and closing them."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from ninja import Field, Query, Router, Schema, Status
from ninja.errors import HttpError

from annotation_site.api.access import LOGGED_IN, Id, Name, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import Role, Round
from annotation_site.services.changing import pause_round, reopen_round
from annotation_site.services.claims import MAX_BATCH
from annotation_site.services.refusals import RoundNotOpen
from annotation_site.services.rounds import close_round
from quality.aggregation.votes import BadVotes
from quality.jobs import begin_change, settle_now
from quality.models import QCPass
from quality.services import report
from quality.services.consensus import estimated_accuracy
from quality.services.forecast import foretold, vote_price
from quality.services.round_changes import apply_change, foretell
from quality.services.settling import Wish

log = logging.getLogger(__name__)
router = Router(tags=["rounds"], auth=LOGGED_IN)
LOOKERS = (Role.REVIEWER, Role.RESEARCHER)


class RoundLine(Schema):
    """A round. `collecting`: tasks that wait for votes; `votes`: counted ones; `price`: of a vote, in USD."""

    round: int
    question: str
    title: str
    state: str
    access: str
    parent: int | None
    votes_min: int
    votes_max: int
    confidence: float
    gold_rate: float
    audit_rate: float
    price: float
    batch_size: int
    lease_seconds: int
    quiz: int | None
    tells_agreement: bool
    wishes: dict[str, Any]
    created: datetime
    closed: datetime | None
    tasks: int
    settled: int
    exhausted: int
    collecting: int
    votes: int


class RoundsOut(Schema):
    """Rounds, the newest first; `next` is the address of the following ones, or null."""

    rounds: list[RoundLine]
    next: str | None


class PassOut(Schema):
    """A quality-control pass. `forecast`: votes still to come then, with a 90% interval."""

    number: int
    method: str
    votes: int
    settled: int
    exhausted: int
    asked_again: int
    votes_asked: int
    mean_confidence: float | None
    forecast: dict[str, Any] | None
    created: datetime


class PassesOut(Schema):
    """Passes, the newest first; `next` is the address of the following ones, or null."""

    passes: list[PassOut]
    next: str | None


class Spread(Schema):
    """Tasks by the confidence of their consensus; `sampled`: counted on a random sample."""

    counts: list[int]
    edges: list[float]
    sampled: bool


class RoundOut(RoundLine):
    """One round. `forecast`: votes and cost still to come; `accuracy`: what the references confirm."""

    instructions_version: int
    last_pass: PassOut | None
    forecast: dict[str, float] | None
    accuracy: dict[str, Any] | None
    confidences: Spread
    by_category: list[dict[str, Any]]
    follow_ups: list[int]


class ChangeIn(Schema):
    """Other numbers for a round that is not closed; what is left out stays as it is.

    `price`: in USD; `quiz`: that annotators pass first, 0: none.
    """

    model_config = shown(votes_max=7, confidence=0.97, price="0.02")
    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] | None = None
    votes_min: Annotated[int, Field(ge=1, le=1_000)] | None = None
    votes_max: Annotated[int, Field(ge=1, le=1_000)] | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    price: Annotated[Decimal, Field(ge=0, lt=10_000, decimal_places=4)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None = None
    lease_seconds: Annotated[int, Field(ge=60, le=7 * 86_400)] | None = None
    quiz: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    tells_agreement: bool | None = None

    def wanted(self) -> dict[str, Any]:
        """Field of Round -> the value that it is to have."""
        told = {key: value for key, value in self.dict(exclude_unset=True).items() if value is not None}
        if "quiz" in told:
            told["quiz_id"] = told.pop("quiz") or None
        return told


class Foretold(Schema):
    """What a change would do, a sentence for each thing; none where nothing differs."""

    told: list[str]


class Started(Schema):
    """It goes on in the background; the round shows it when it is done."""

    round: int
    started: bool


@router.get("datasets/{name}/rounds", response={200: RoundsOut, **READING}, url_name="dataset_rounds")
def rounds(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    state: Annotated[str, Query("", pattern="^(|open|paused|closed)$")],
) -> Any:
    """The rounds of a dataset with their progress, or those in one state."""
    found: QuerySet[Round] = dataset_of(request, name, *LOOKERS).rounds.all()
    if state:
        found = found.filter(state=state)
    rows, following = page(request, found, NEWEST, cursor, limit)
    votes = report.round_votes(rows)
    return {"rounds": [round_line(row, votes[row.pk]) for row in rows], "next": following}


@router.get(
    "datasets/{name}/rounds/{round_id}", response={200: RoundOut, **READING}, url_name="dataset_round"
)
def round(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """One round: how far it is, what it still takes, and how right it seems to be."""
    held = round_of(request, name, round_id, *LOOKERS)
    last = held.qc_passes.order_by("-number").first()
    spread = report.confidence_histogram(held)
    return {
        **round_line(held, held.votes_counted),
        "instructions_version": held.instructions_version,
        "last_pass": _pass(last) if last else None,
        "forecast": foretold(last, vote_price(held)) if last else None,
        "accuracy": estimated_accuracy(held) if last else None,
        "confidences": {"counts": spread.counts, "edges": list(spread.edges), "sampled": spread.sampled},
        "by_category": report.category_progress(held),
        "follow_ups": list(held.children.order_by("-pk").values_list("pk", flat=True)[:200]),
    }


@router.get(
    "datasets/{name}/rounds/{round_id}/passes", response={200: PassesOut, **READING}, url_name="passes"
)
def passes(request: HttpRequest, name: Name, round_id: Id, cursor: Cursor, limit: Limit) -> Any:
    """The quality-control passes over a round."""
    found = round_of(request, name, round_id, *LOOKERS).qc_passes.all()
    rows, following = page(request, found, NEWEST, cursor, limit)
    return {"passes": [_pass(row) for row in rows], "next": following}


@router.post(
    "datasets/{name}/rounds/{round_id}/settle",
    response={200: PassOut, 202: Started, **PROBLEMS},
    url_name="settle_round",
)
def settle(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """Run a quality-control pass. 200 with what it found, or 202 where a background worker does it."""
    held = round_of(request, name, round_id, Role.REVIEWER)
    job = settle_now(held)
    if job.failed():
        if isinstance(job.result, BadVotes):
            raise job.result
        log.error("round %s could not be settled: %s", held.pk, job.traceback)
        raise HttpError(500, "The pass failed; nothing was lost. The log says why.")
    if job.successful():
        return _pass(held.qc_passes.get(pk=job.result))
    return Status(202, {"round": held.pk, "started": True})


@router.post(
    "datasets/{name}/rounds/{round_id}/close", response={200: RoundLine, **PROBLEMS}, url_name="close_round"
)
def close(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """Hand out no more work of this round. A closed round stays closed."""
    held = round_of(request, name, round_id, Role.REVIEWER)
    if held.state == Round.State.CLOSED or not held.tasks_total:
        raise RoundNotOpen("The round is closed already, or not made yet.")
    close_round(held)
    return round_line(held, held.votes_counted)


@router.post(
    "datasets/{name}/rounds/{round_id}/pause", response={200: RoundLine, **PROBLEMS}, url_name="pause_round"
)
def pause(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """Hand out no work for now; batches that people hold can be finished. Curators only."""
    held = round_of(request, name, round_id)
    pause_round(held)
    return round_line(held, held.votes_counted)


@router.post(
    "datasets/{name}/rounds/{round_id}/reopen", response={200: RoundLine, **PROBLEMS}, url_name="reopen_round"
)
def reopen(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """Hand out work again after a pause. Curators only."""
    held = round_of(request, name, round_id)
    reopen_round(held)
    return round_line(held, held.votes_counted)


@router.patch(
    "datasets/{name}/rounds/{round_id}",
    response={200: RoundLine, 202: Started, **PROBLEMS},
    url_name="dataset_round",
)
def change(request: HttpRequest, name: Name, round_id: Id, body: ChangeIn) -> Any:
    """Change votes, confidence, price, batches or title. 202 where its tasks follow later. Curators only."""
    held = round_of(request, name, round_id)
    made = apply_change(held, body.wanted(), user_of(request).get_username())
    if made is not None and not begin_change(made):
        return Status(202, {"round": held.pk, "started": True})
    return round_line(held, held.votes_counted)


@router.post(
    "datasets/{name}/rounds/{round_id}/foretell", response={200: Foretold, **PROBLEMS}, url_name="foretell"
)
def foretell_change(request: HttpRequest, name: Name, round_id: Id, body: ChangeIn) -> Any:
    """What such a change would do, in numbers; nothing is changed. Curators only."""
    return {"told": foretell(round_of(request, name, round_id), body.wanted())}


@router.post(
    "datasets/{name}/rounds/{round_id}/finish-change",
    response={200: RoundLine, 202: Started, **PROBLEMS},
    url_name="finish_change",
)
def finish_change(request: HttpRequest, name: Name, round_id: Id) -> Any:
    """Go on with a change whose job was killed. 202 where its tasks follow later. Curators only."""
    held = round_of(request, name, round_id)
    begun = [begin_change(left) for left in held.changes.filter(finished=False)]
    if not all(begun):
        return Status(202, {"round": held.pk, "started": True})
    return round_line(held, held.votes_counted)


def round_of(request: HttpRequest, name: str, round_id: int, *roles: str) -> Round:
    """The round of a dataset, for people with one of `roles` in it (and curators).

    Raises:
        Http404: no such dataset, or no such round in it.
        HttpError: 403, no such role.
    """
    found = dataset_of(request, name, *roles).rounds.filter(pk=round_id).first()
    if found is None:
        raise Http404(f"There is no round {round_id} in dataset {name}.")
    return found


def round_line(round: Round, votes: int) -> dict[str, Any]:
    """A round as it is sent."""
    settled, exhausted = round.tasks_settled, round.tasks_exhausted
    return {
        "round": round.pk,
        "question": round.question,
        "title": str(round),
        "state": round.state,
        "access": round.access,
        "parent": round.parent_id,
        "votes_min": round.votes_min,
        "votes_max": round.votes_max,
        "confidence": round.confidence,
        "gold_rate": round.gold_rate,
        "audit_rate": round.audit_rate,
        "price": float(round.price),
        "batch_size": round.batch_size,
        "lease_seconds": round.lease_seconds,
        "quiz": round.quiz_id,
        "tells_agreement": round.tells_agreement,
        "wishes": Wish.of(round).as_dict(),
        "created": round.created,
        "closed": round.closed,
        "tasks": round.tasks_total,
        "settled": settled,
        "exhausted": exhausted,
        "collecting": max(0, round.tasks_total - settled - exhausted),
        "votes": votes,
    }


def _pass(made: QCPass) -> dict[str, Any]:
    names = PassOut.model_fields
    return {name: getattr(made, name) for name in names}
