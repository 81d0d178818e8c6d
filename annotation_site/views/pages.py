"""The first page, one's own figures, and the sign of life."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, connection
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from annotation_site.models import Participation, Round, User
from annotation_site.services.access import LOOKERS, datasets_for, rounds_to_label
from annotation_site.services.accounts import worker_of
from annotation_site.services.agreement import agreement
from annotation_site.services.joining import joinable
from annotation_site.services.quiz import missing
from annotation_site.views.quiz import minutes
from ingest.models import Dataset

JOINABLE = 50
"""Datasets to join that are listed."""


@dataclass(frozen=True)
class OpenRound:
    """A round as an annotator sees it: nothing of others' answers."""

    round: Round
    own_votes: int
    most: int
    """Pictures that this person can answer here."""
    first: dict[str, Any] | None = None
    """`quiz` that has to be passed first, how many `pictures` it has and how many `minutes` it takes."""


@dataclass(frozen=True)
class DatasetLine:
    """A dataset on the first page, with its kept figures."""

    dataset: Dataset
    url: str
    rounds_open: int
    tasks: int
    settled: int


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Rounds to label in, datasets to join, and for those who look after datasets, the datasets."""
    assert isinstance(request.user, User)
    context = {
        "rounds": _open_rounds(request.user),
        "datasets": _dataset_lines(request.user),
        "joinable": joinable(request.user).order_by("title", "name")[:JOINABLE],
    }
    return render(request, "annotation_site/home.html", context)


def _open_rounds(user: User) -> list[OpenRound]:
    worker = worker_of(user)
    rounds = rounds_to_label(user)
    own = dict(Participation.objects.filter(worker=worker, round__in=rounds).values_list("round_id", "votes"))
    repeated = rounds.filter(access=Round.Access.REPEAT, invitations__worker=worker)
    most = dict(repeated.order_by().values_list("pk").annotate(n=Count("invitations")))
    listed = list(rounds.select_related("dataset").order_by("-pk"))
    first = _to_pass(user, {r.quiz_id for r in listed if r.quiz_id})
    return [
        OpenRound(r, own.get(r.pk, 0), most.get(r.pk, r.tasks_total), first.get(r.quiz_id or 0))
        for r in listed
    ]


def _to_pass(user: User, quiz_ids: Collection[int]) -> dict[int, Any]:
    """Quiz id -> the quiz that this person has to pass first; no query where no round asks for one."""
    if not quiz_ids:
        return {}
    asked = Q(versions__number=F("version"), versions__questions__image__taken_down=None)
    counted = missing(user, quiz_ids).annotate(pictures=Count("versions__questions", filter=asked))
    rows = counted.values_list("pk", "pictures")
    return {pk: {"quiz": pk, "pictures": n, "minutes": minutes(n)} for pk, n in rows}


def _dataset_lines(user: User) -> list[DatasetLine]:
    datasets = datasets_for(user, *LOOKERS).prefetch_related("rounds")
    return [_dataset_line(dataset, dataset.rounds.all()) for dataset in datasets]


def _dataset_line(dataset: Dataset, rounds: Iterable[Round]) -> DatasetLine:
    try:
        url = reverse("dataset", args=[dataset.name])
    except NoReverseMatch:
        url = ""
    rounds = list(rounds)
    return DatasetLine(
        dataset,
        url,
        rounds_open=sum(r.state == Round.State.OPEN for r in rounds),
        tasks=sum(r.tasks_total for r in rounds),
        settled=sum(r.tasks_settled for r in rounds),
    )


@login_required
@require_safe
def me(request: HttpRequest) -> HttpResponse:
    """One's own votes, pace and rounds."""
    assert isinstance(request.user, User)
    parts = list(
        Participation.objects.filter(worker=worker_of(request.user), votes__gt=0)
        .select_related("round__dataset")
        .order_by("-last_vote")
    )
    again = {part.round.dataset for part in parts if part.look_again}
    votes = sum(part.votes for part in parts)
    seconds = sum(part.seconds for part in parts)
    pace = 60 * votes / seconds if seconds else None
    context = {
        "parts": [(part, agreement(part)) for part in parts],
        "told": any(agreement(part) is not None for part in parts),
        "again": [(dataset, url) for dataset in again if (url := _feedback(dataset))],
        "votes": votes,
        "pace": pace,
        "roles": request.user.memberships.select_related("dataset"),
    }
    return render(request, "annotation_site/me.html", context)


def _feedback(dataset: Dataset) -> str:
    """Where a later stage shows what to look at again; empty where none does."""
    try:
        return reverse("feedback", args=[dataset.name])
    except NoReverseMatch:
        return ""


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the site and its database answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})
