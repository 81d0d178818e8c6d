"""Making a round: what it would ask and cost, having it made, and how far that is."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Line, Name, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import MUCH, PROBLEMS, READING
from annotation_site.services.claims import MAX_BATCH
from annotation_site.services.refusals import KeyReused
from ingest.models import Dataset
from quality.api.rounds import RoundLine, round_line
from quality.api.rounds import router as of_rounds
from quality.jobs import begin
from quality.models import PlannedRound
from quality.presets import IMAGENET, SAMPLE_VOTES
from quality.services.choosing import EVERY, UNLABELLED, RoundPlan
from quality.services.followups import DISPUTED, UNSURE, UnusableRound
from quality.services.foresight import INVITED, LISTED, Asked, foresee
from quality.services.planned import is_stuck, plan_round

router = Router(tags=["rounds"], auth=LOGGED_IN)
"""To be added before `of_rounds`, whose `rounds/{round_id}` would take `rounds/planned` for a number."""
State = PlannedRound.State
USUAL = RoundPlan()
PRESET_LEAST = 2
"""Votes at least under the preset: there the number of agreeing votes is the rule."""
MOST_NAMED = 5_000
"""Images or proposals in one request."""
Share = Annotated[float, Field(ge=0, le=1)]
Key = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[^\x00\r\n]*$")]


class ProposalIn(Schema):
    """A label to be verified, from a model or another tool, and how sure that was."""

    image: Key
    label: Annotated[str, Field(max_length=100)]
    probability: Share | None = None


class RoundIn(Schema):
    """What a round asks, on which images, how often, of whom. All but `question` may be left out.

    Which images: `images` says all, unlabelled, disputed, unsure (a consensus below `below`) or listed
    (`names`: SHA-256, source path or address); or `proposals` names them with labels for a verify round; or
    `repeat` asks the people of that round a `share` of their own answers again.
    """

    model_config = shown(
        question="classify", title="What bird is it?", images="unlabelled", votes_min=3, votes_max=9,
        confidence=0.95, gold_rate=0.1, price="0.02", key="2026-w18",
    )  # fmt: skip
    question: Annotated[str, Field(pattern="^(classify|verify)$")] | None = None
    title: Line = ""
    instructions: Annotated[str, Field(max_length=20_000, pattern=NO_NUL)] = ""
    images: Annotated[str, Field(pattern=f"^({EVERY}|{UNLABELLED}|{DISPUTED}|{UNSURE}|{LISTED})$")] = EVERY
    below: Annotated[float, Field(gt=0, le=1)] | None = None
    names: Annotated[list[Key], Field(max_length=MOST_NAMED)] = []
    category: Annotated[str, Field(max_length=100, description="verify this one alone")] = ""
    proposals: Annotated[list[ProposalIn], Field(min_length=1, max_length=MOST_NAMED)] | None = None
    origin: Annotated[str, Field(max_length=100, pattern=NO_NUL, description="who proposes")] = "the API"
    repeat: Annotated[int, Field(ge=1, le=2**63 - 1, description="the round to repeat")] | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 0.05
    votes_min: Annotated[int, Field(ge=1, le=1_000)] | None = None
    votes_max: Annotated[int, Field(ge=1, le=1_000)] | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] = USUAL.confidence
    category_confidence: dict[str, Annotated[float, Field(gt=0, lt=1)]] = {}
    expected_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = None
    least_gain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    preset: Annotated[str, Field(pattern=f"^(|{IMAGENET})$")] = ""
    gold_rate: Annotated[float, Field(ge=0, le=0.9)] = USUAL.gold_rate
    audit_rate: Share = USUAL.audit_rate
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None = None
    lease_minutes: Annotated[int, Field(ge=1, le=1_440)] = USUAL.lease_seconds // 60
    order: Literal["finish", "spread", "unsure"] = "finish"
    price: Annotated[Decimal, Field(ge=0, lt=10_000, decimal_places=4, description="of a vote, in USD")] = (
        Decimal(0)
    )
    quiz: Annotated[Id, Field(description="that annotators pass first")] | None = None
    tells_agreement: Annotated[bool, Field(description="people see how they did on gold, in the end")] = True
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    workers: Annotated[list[Line], Field(max_length=1_000, description="only these people")] | None = None
    least_skill: Annotated[float, Field(gt=0, lt=1, description="surely right so often")] | None = None
    key: Annotated[
        str,
        Field(max_length=200, pattern=NO_NUL, description="of the sender's own: sent twice, it is one round"),
    ] = ""


class ForeseenOut(Schema):
    """What a round would be. `exact`: counted; else at most so many. Costs in USD, gold included.

    `images`: pictures asked about; `tasks`: of them with their categories, gold aside. `workers`: how many
    are invited; null: everyone. `quizzed`: pictures left out, since the round's quiz tells their answer.
    """

    images: int
    tasks: int
    gold: int
    votes_least: int
    votes_most: int
    cost_least: float
    cost_most: float
    exact: bool
    workers: int | None
    quizzed: int


class PlannedOut(Schema):
    """A round that was ordered: `waiting`, `making`, `open` (then `round` is it) or `failed` (with `error`).

    `made`: of `tasks`, so far; `stuck`: nobody is at it any more, and it can be begun again. `url`: where to
    look for how far it is.
    """

    planned: int
    state: str
    tasks: int
    made: int
    stuck: bool
    round: int | None
    error: str
    by: str
    created: datetime
    url: str


class PlannedRoundsOut(Schema):
    """Rounds that were ordered and are not open yet, the newest first."""

    planned: list[PlannedOut]
    next: str | None


@router.post("datasets/{name}/rounds/preview", response={200: ForeseenOut, **MUCH}, url_name="round_foreseen")
def preview(request: HttpRequest, name: Name, body: RoundIn) -> Any:
    """What such a round would ask, get and cost; nothing is made. Curators only."""
    dataset = dataset_of(request, name)
    return vars(foresee(dataset, Asked.of(_asked(dataset, body))))


@of_rounds.post(
    "datasets/{name}/rounds",
    response={201: RoundLine, 202: PlannedOut, **MUCH},
    url_name="dataset_rounds",
)
def make(request: HttpRequest, name: Name, body: RoundIn) -> Any:
    """Make a round and open it. 202 with an address to look at where it is large. Curators only.

    With a `key`, the same request again gives the same round; another one under that key is 409.
    """
    dataset, user = dataset_of(request, name), user_of(request)
    asked = _asked(dataset, body)
    text = f"{user.pk} {dataset.pk} {body.key}" if body.key else secrets.token_hex(32)
    key = hashlib.sha256(text.encode()).hexdigest()
    planned = dataset.planned_rounds.filter(key=key).first()
    if planned is None:
        foreseen = foresee(dataset, Asked.of(asked))
        planned = plan_round(dataset, key, asked, user.get_username(), foreseen.tasks + foreseen.gold)
    if planned.asked != asked:
        raise KeyReused("This key has made another round: choose a new one.")
    if planned.state == State.WAITING:
        planned = begin(planned)
    if planned.state == State.FAILED:
        raise UnusableRound(planned.error)
    if planned.state == State.OPEN and planned.round is not None:
        return Status(201, round_line(planned.round, planned.round.votes_counted))
    return Status(202, _planned(request, planned))


@router.get(
    "datasets/{name}/rounds/planned", response={200: PlannedRoundsOut, **READING}, url_name="planned_rounds"
)
def planned_rounds(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """Rounds that are being made, wait for it, or could not be made. Curators only."""
    found = dataset_of(request, name).planned_rounds.exclude(state=State.OPEN)
    rows, following = page(request, found.select_related("dataset"), NEWEST, cursor, limit)
    return {"planned": [_planned(request, row) for row in rows], "next": following}


@router.get(
    "datasets/{name}/rounds/planned/{planned_id}",
    response={200: PlannedOut, **READING},
    url_name="planned_round",
)
def planned_round(request: HttpRequest, name: Name, planned_id: Id) -> Any:
    """How far the making of a round is. Curators only."""
    return _planned(request, _planned_of(request, name, planned_id))


@router.post(
    "datasets/{name}/rounds/planned/{planned_id}/again",
    response={202: PlannedOut, **PROBLEMS},
    url_name="planned_again",
)
def make_again(request: HttpRequest, name: Name, planned_id: Id) -> Any:
    """Go on with a round whose making was killed or failed, unless somebody is at it. Curators only."""
    planned = _planned_of(request, name, planned_id)
    if planned.state == State.FAILED or is_stuck(planned):
        planned = begin(planned)
    return Status(202, _planned(request, planned))


def _asked(dataset: Dataset, body: RoundIn) -> dict[str, Any]:
    """What is asked for, as `PlannedRound.asked` keeps it."""
    question, ways = (
        body.question,
        [body.images != EVERY, body.proposals is not None, body.repeat is not None],
    )
    if sum(ways) > 1:
        raise UnusableRound("images, proposals and repeat each say which images: give one of them")
    if body.repeat is not None:
        first = dataset.rounds.filter(pk=body.repeat).first()
        if first is None:
            raise Http404(f"There is no round {body.repeat} in dataset {dataset.name}.")
        if question not in (None, first.question) or body.category:
            raise UnusableRound("a repeat asks what its round asked: leave out question and category")
        question = first.question
    if question is None:
        raise UnusableRound("question says what is asked: classify or verify")
    if body.preset:
        least, most = PRESET_LEAST, SAMPLE_VOTES
    else:
        least, most = USUAL.votes_min, max(USUAL.votes_max, body.votes_min or 0)
    invited = body.workers is not None or body.least_skill is not None
    return {
        **body.dict(exclude={"key", "names", "workers", "proposals", "price"}),
        "question": question,
        "votes_min": body.votes_min or min(least, body.votes_max or least),
        "votes_max": body.votes_max or most,
        "price": str(body.price),
        "keys": "\n".join(body.names),
        "access": INVITED if invited else "everyone",
        "workers": "\n".join(body.workers or ()),
        "proposals": None if body.proposals is None
        else [[row.image, row.label, row.probability] for row in body.proposals],
    }  # fmt: skip


def _planned_of(request: HttpRequest, name: str, planned_id: int) -> PlannedRound:
    found = dataset_of(request, name).planned_rounds.select_related("dataset").filter(pk=planned_id).first()
    if found is None:
        raise Http404(f"Nobody ordered a round {planned_id} of dataset {name}.")
    return found


def _planned(request: HttpRequest, row: PlannedRound) -> dict[str, Any]:
    where = reverse("api:planned_round", args=[row.dataset.name, row.pk])
    return {
        "planned": row.pk,
        "state": row.state,
        "tasks": row.tasks,
        "made": row.made,
        "stuck": is_stuck(row),
        "round": row.round_id if row.state == State.OPEN else None,
        "error": row.error,
        "by": row.by,
        "created": row.created,
        "url": request.build_absolute_uri(where),
    }
