"""What a person reads about themselves: where they can label, what they are told, and their own figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest
from ninja import Router, Schema

from annotation_site.api.access import LOGGED_IN, Id, user_of
from annotation_site.api.cursors import NEWEST, Cursor, Limit, page
from annotation_site.api.problems import READING
from annotation_site.models import Participation, Round
from annotation_site.services.access import round_for_labelling, rounds_to_label
from annotation_site.services.accounts import worker_of
from annotation_site.services.agreement import agreement
from annotation_site.services.claims import invited
from annotation_site.services.instructions import told
from annotation_site.services.quiz import missing
from annotation_site.services.refusals import NotAllowed

router = Router(tags=["own work"], auth=LOGGED_IN)


class RoleOut(Schema):
    """A role; `dataset` is null where it holds in every dataset."""

    dataset: str | None
    role: str


class MeOut(Schema):
    """The caller. `worker` is the name under which their votes stand; `pace` is counted votes a minute."""

    username: str
    worker: str
    roles: list[RoleOut]
    votes: int
    seconds: float
    pace: float | None


class OwnRound(Schema):
    """The caller's own votes in a round. `right_share`: of known pictures, once it is told; else null."""

    round: int
    dataset: str
    question: str
    title: str
    state: str
    votes: int
    seconds: float
    last_vote: datetime | None
    right_share: float | None


class OwnRoundsOut(Schema):
    """Rounds in which the caller was given work, the one joined last first."""

    rounds: list[OwnRound]
    next: str | None


class OpenRound(Schema):
    """A round that hands out work to the caller."""

    round: int
    dataset: str
    question: str
    title: str


class OpenRoundsOut(Schema):
    """Open rounds, the newest first; `next` is the address of the following ones, or null."""

    rounds: list[OpenRound]
    next: str | None


class ExampleOut(Schema):
    """A picture that shows a category (`good`), or what is easily taken for it."""

    image: str
    category: str
    good: bool
    note: str


class AskedOut(OpenRound):
    """What a round asks and tells those who vote. `quiz`: that the caller has to pass first, or null."""

    state: str
    quiz: int | None
    choices: list[str]
    batch_size: int
    lease_seconds: int
    instructions: str
    instructions_version: int
    examples: list[ExampleOut]


@router.get("me", response={200: MeOut, **READING}, url_name="me")
def me(request: HttpRequest) -> Any:
    """The caller's name, roles, and own figures over all rounds."""
    user = user_of(request)
    worker = worker_of(user)
    own = Participation.objects.filter(worker=worker).aggregate(votes=Sum("votes"), seconds=Sum("seconds"))
    votes, seconds = own["votes"] or 0, own["seconds"] or 0.0
    roles = user.memberships.select_related("dataset").order_by("dataset__name", "role")
    return {
        "username": user.username,
        "worker": worker.code,
        "roles": [{"dataset": m.dataset.name if m.dataset else None, "role": m.role} for m in roles],
        "votes": votes,
        "seconds": seconds,
        "pace": 60 * votes / seconds if seconds else None,
    }


@router.get("me/rounds", response={200: OwnRoundsOut, **READING}, url_name="own_rounds")
def own_rounds(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The caller's own votes, by round."""
    held = Participation.objects.filter(worker=worker_of(user_of(request))).select_related("round__dataset")
    rows, following = page(request, held, NEWEST, cursor, limit)
    lines = [
        {
            **_asked(row.round),
            "state": row.round.state,
            "votes": row.votes,
            "seconds": row.seconds,
            "last_vote": row.last_vote,
            "right_share": agreement(row),
        }
        for row in rows
    ]
    return {"rounds": lines, "next": following}


@router.get("rounds", response={200: OpenRoundsOut, **READING}, url_name="open_rounds")
def open_rounds(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The rounds in which the caller can label now, of all datasets."""
    found = rounds_to_label(user_of(request)).select_related("dataset")
    rows, following = page(request, found, NEWEST, cursor, limit)
    return {"rounds": [_asked(row) for row in rows], "next": following}


@router.get("rounds/{round_id}", response={200: AskedOut, **READING}, url_name="asked")
def asked(request: HttpRequest, round_id: Id) -> Any:
    """What a round asks and tells those who may vote in it: question, labels, instructions, examples."""
    user = user_of(request)
    round = round_for_labelling(user, round_id)
    if not invited(worker_of(user), round):
        raise NotAllowed("This round is for invited people only.")
    now = told(round)
    return {
        **_asked(round),
        "state": round.state,
        "quiz": missing(user, [round.quiz_id or 0]).values_list("pk", flat=True).first(),
        "choices": round.choices(),
        "batch_size": round.batch_size,
        "lease_seconds": round.lease_seconds,
        "instructions": now.text,
        "instructions_version": now.version,
        "examples": [
            {"image": sha, "category": key, "good": good, "note": note}
            for key, pictures in now.examples.items()
            for sha, good, note in pictures
        ],
    }


def _asked(round: Round) -> dict[str, Any]:
    return {
        "round": round.pk,
        "dataset": round.dataset.name,
        "question": round.question,
        "title": str(round),
    }
