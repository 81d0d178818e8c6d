"""The calls of the API."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from annotation_site.api.access import LOGGED_IN, Id, user_of
from annotation_site.api.examples import shown
from annotation_site.api.payloads import batch_payload
from annotation_site.api.problems import PROBLEMS, Problem
from annotation_site.models import ApiToken
from annotation_site.services.access import round_for_labelling
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import claim_batch
from annotation_site.services.consent import require_consent
from annotation_site.services.logins import check_password
from annotation_site.services.quiz import require_quiz
from annotation_site.services.votes import MAX_VOTES, Answer, record_votes

router = Router(tags=["labelling"])


class LoginIn(Schema):
    """A name and its password."""

    model_config = shown(username="mei", **{"password": "correct horse battery staple"})
    username: Annotated[str, Field(max_length=150)]
    password: Annotated[str, Field(max_length=1_000)]


class LoginOut(Schema):
    """A token for `Authorization: Bearer TOKEN`."""

    token: str


class ClaimIn(Schema):
    """How many tasks are wanted; `holding`: batches at hand, which are not to be handed out again."""

    model_config = shown(size=20, holding=[])
    size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    holding: Annotated[list[Id], Field(max_length=20)] = []


class TaskOut(Schema):
    """One picture to judge; in a verify round `category` is the category proposed."""

    task: int
    image_url: str
    thumbnail_url: str
    category: str | None


class BatchOut(Schema):
    """A leased batch; its votes are due before `expires`."""

    assignment: int
    expires: str
    question: str
    choices: list[str]
    tasks: list[TaskOut]


class VoteIn(Schema):
    """One answer; `seconds` is the time that it took."""

    task: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    label: Annotated[str, Field(max_length=200)]
    seconds: float | None = None


class VotesIn(Schema):
    """Answers of one batch under a key of the sender's own; the same key gives the same answer again."""

    model_config = shown(
        assignment=81, key="6f1c-0", votes=[{"task": 4711, "label": "finch", "seconds": 1.8}]
    )
    assignment: Id
    key: Annotated[str, Field(min_length=1, max_length=64)]
    votes: Annotated[list[VoteIn], Field(min_length=1, max_length=MAX_VOTES)]


class ResultOut(Schema):
    """What became of one answer: stored, duplicate, late or rejected."""

    task: int
    status: str


class VotesOut(Schema):
    """One result for each answer, in the order sent."""

    results: list[ResultOut]


@router.post("login", response={200: LoginOut, 401: Problem, 422: Problem, 429: Problem})
def login(request: HttpRequest, body: LoginIn) -> dict[str, str]:
    """A token for programs. Shown once; only its hash is kept."""
    return {"token": ApiToken.issue(check_password(request, body.username, body.password))}


@router.post("rounds/{round_id}/claim", response={200: BatchOut, 204: None, **PROBLEMS}, auth=LOGGED_IN)
def claim(request: HttpRequest, round_id: Id, body: ClaimIn) -> Any:
    """Lease a batch of tasks, or 204 when nothing is left for this worker.

    A batch that was claimed and not finished comes again, unless `holding` names it.
    """
    user = user_of(request)
    round = round_for_labelling(user, round_id)
    require_consent(user, round.dataset)
    require_quiz(user, round)
    batch = claim_batch(worker_of(user), round, body.size or 0, holding=body.holding)
    return HttpResponse(status=204) if batch is None else batch_payload(batch, round)


@router.post("votes", response={200: VotesOut, **PROBLEMS}, auth=LOGGED_IN)
def votes(request: HttpRequest, body: VotesIn) -> dict[str, Any]:
    """Store answers, all in one transaction: what is confirmed is on disk."""
    answers = [Answer(v.task, v.label, v.seconds) for v in body.votes]
    results = record_votes(worker_of(user_of(request)), body.assignment, body.key, answers)
    return {"results": [{"task": task, "status": status} for task, status in results]}
