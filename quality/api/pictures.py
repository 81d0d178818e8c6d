"""One image's story: where it came from, what was asked about it, what people said, what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema

from annotation_site.api.access import LOGGED_IN, Name, dataset_of
from annotation_site.api.cursors import OLDEST, Cursor, Limit, page
from annotation_site.api.problems import READING
from annotation_site.models import Role, Task, Vote
from ingest.models import Candidate, Image, Takedown
from quality.api.review import DecisionOut, decision_line
from quality.models import Adjudication, Consensus, Gold, Reference

router = Router(tags=["images"], auth=LOGGED_IN)
SHOWN = 500
"""Copies and tasks told of one image at most."""

Sha = Annotated[str, Field(max_length=64)]


class ConsensusOut(Schema):
    """What the votes on a task come to. `posterior`: label -> probability."""

    label: str
    confidence: float
    votes: int
    tie: bool
    method: str
    posterior: dict[str, float]


class AskedTask(Schema):
    """The image, or a copy of it, in a round. `category`: what a verify round proposed."""

    task: int
    image: str
    round: int
    title: str
    question: str
    category: str | None
    state: str
    gold: bool
    audit: bool
    votes: int
    consensus: ConsensusOut | None
    decisions: list[DecisionOut]


class KnownOut(Schema):
    """An answer that is known: `by` names an expert, or how gold came to be."""

    image: str
    label: str
    by: str
    retired: datetime | None = None


class ReleasedAs(Schema):
    """A release that holds this very file, and what it calls it."""

    version: str
    label: str


class TakenDownOut(Schema):
    """Why the image is shown no more, who decided it and when."""

    reason: str
    by: str
    created: datetime


class ImageOut(Schema):
    """An image. `representative`: the one of its duplicate group that is labelled; `copies`: the others.

    Where `taken_down` says why, the addresses of its picture show nothing any more.
    """

    image: str
    width: int
    height: int
    format: str
    bytes: int
    animated: bool
    created: datetime
    image_url: str
    thumbnail_url: str
    representative: str | None
    group: int | None
    copies: list[str]
    taken_down: TakenDownOut | None
    releases: list[ReleasedAs]
    tasks: list[AskedTask]
    references: list[KnownOut]
    gold: list[KnownOut]


class GivenVote(Schema):
    """One vote, void or not, under the worker's pseudonym."""

    task: int
    worker: str
    label: str
    seconds: float | None
    created: datetime
    instructions_version: int
    voided: bool
    void_reason: str


class ImageVotesOut(Schema):
    """Votes on an image and its copies, the oldest first."""

    votes: list[GivenVote]
    next: str | None


class CandidateOut(Schema):
    """One place where the image was found."""

    image: str
    url: str
    page_url: str
    licence: str
    author: str
    caption: str
    source: str
    kind: str
    category: str | None
    state: str
    found: datetime
    fetched: datetime | None


class CandidatesOut(Schema):
    """Where an image and its copies were found, the first place first."""

    candidates: list[CandidateOut]
    next: str | None


@router.get("datasets/{name}/images/{sha256}", response={200: ImageOut, **READING}, url_name="dataset_image")
def image(request: HttpRequest, name: Name, sha256: Sha) -> Any:
    """What is known about one image; a copy tells its group's tasks, too."""
    shown = _image(request, name, sha256, Role.REVIEWER, Role.RESEARCHER)
    group = shown.group
    members = _members(shown)
    full, thumb = (reverse(n, args=[name, shown.sha256]) for n in ("image_full", "image_thumb"))
    ids = [member.pk for member in members]
    references = Reference.objects.filter(image__in=ids).select_related("category", "image").order_by("pk")
    gold = Gold.objects.filter(image__in=ids).select_related("category", "image").order_by("pk")
    return {
        "image": shown.sha256,
        "width": shown.width,
        "height": shown.height,
        "format": shown.format,
        "bytes": shown.bytes,
        "animated": shown.animated,
        "created": shown.created,
        "image_url": full,
        "thumbnail_url": thumb,
        "representative": group.representative.sha256 if group and group.representative else None,
        "group": shown.group_id,
        "copies": [m.sha256 for m in members if m.pk != shown.pk and m.taken_down is None],
        "taken_down": _taken_down(shown),
        "releases": _releases(shown),
        "tasks": _tasks(ids),
        "references": [{"image": r.image.sha256, "label": r.label, "by": r.expert} for r in references],
        "gold": [
            {"image": g.image.sha256, "label": g.label, "by": g.origin, "retired": g.retired} for g in gold
        ],
    }


@router.get(
    "datasets/{name}/images/{sha256}/votes", response={200: ImageVotesOut, **READING}, url_name="image_votes"
)
def votes(request: HttpRequest, name: Name, sha256: Sha, cursor: Cursor, limit: Limit) -> Any:
    """Every vote on an image and its copies. For reviewers and curators alone."""
    shown = _image(request, name, sha256, Role.REVIEWER)
    tasks = Task.objects.filter(image__in=[member.pk for member in _members(shown)])
    found = Vote.objects.filter(task__in=list(tasks.values_list("pk", flat=True)))
    rows, following = page(request, found.select_related("worker", "category"), OLDEST, cursor, limit)
    lines = [
        {
            "task": vote.task_id,
            "worker": vote.worker.code,
            "label": vote.label,
            "seconds": vote.seconds,
            "created": vote.created,
            "instructions_version": vote.instructions_version,
            "voided": vote.voided,
            "void_reason": vote.void_reason,
        }
        for vote in rows
    ]
    return {"votes": lines, "next": following}


@router.get(
    "datasets/{name}/images/{sha256}/candidates",
    response={200: CandidatesOut, **READING},
    url_name="image_candidates",
)
def candidates(request: HttpRequest, name: Name, sha256: Sha, cursor: Cursor, limit: Limit) -> Any:
    """Where an image and its copies were found, with licence and author."""
    shown = _image(request, name, sha256, Role.REVIEWER, Role.RESEARCHER)
    found = Candidate.objects.filter(image__in=[member.pk for member in _members(shown)])
    rows, following = page(request, found.select_related("source__category", "image"), OLDEST, cursor, limit)
    lines = [
        {
            "image": row.image.sha256 if row.image else shown.sha256,
            "url": row.url,
            "page_url": row.page_url,
            "licence": row.licence,
            "author": row.author,
            "caption": row.caption,
            "source": row.source.location,
            "kind": row.source.kind,
            "category": row.source.category.key if row.source.category else None,
            "state": row.get_state_display(),
            "found": row.found,
            "fetched": row.fetched,
        }
        for row in rows
    ]
    return {"candidates": lines, "next": following}


def _taken_down(image: Image) -> dict[str, Any] | None:
    if image.taken_down is None:
        return None
    entry = Takedown.objects.filter(dataset=image.dataset_id, sha256=image.sha256).first()
    return {
        "reason": entry.reason if entry else "",
        "by": entry.by if entry else "",
        "created": entry.created if entry else image.taken_down,
    }


def _releases(image: Image) -> list[dict[str, str]]:
    """The newest first. Its split there is the release's to tell."""
    held = image.release_images.select_related("release", "category").order_by("-release_id")[:SHOWN]
    return [{"version": row.release.version, "label": row.category.key} for row in held]


def _image(request: HttpRequest, name: str, sha256: str, *roles: str) -> Image:
    dataset = dataset_of(request, name, *roles)
    found = dataset.images.select_related("group__representative").filter(sha256=sha256).first()
    if found is None:
        raise Http404(f"There is no image {sha256} in dataset {name}.")
    return found


def _members(image: Image) -> list[Image]:
    """The image and its copies: what is said of one is said of all."""
    return list(image.group.images.order_by("pk")[:SHOWN]) if image.group else [image]


def _tasks(image_ids: list[int]) -> list[dict[str, Any]]:
    held = Task.objects.filter(image__in=image_ids).order_by("-round_id", "pk")
    tasks = list(held.select_related("round", "category", "consensus", "image")[:SHOWN])
    decisions: dict[int, list[dict[str, Any]]] = {}
    for row in Adjudication.objects.filter(task__in=tasks).order_by("pk"):
        decisions.setdefault(row.task_id, []).append(decision_line(row))
    return [
        {
            "task": task.pk,
            "image": task.image.sha256,
            "round": task.round_id,
            "title": str(task.round),
            "question": task.round.question,
            "category": task.category.key if task.category else None,
            "state": task.get_state_display(),
            "gold": task.gold,
            "audit": task.audit,
            "votes": task.votes,
            "consensus": _consensus(task),
            "decisions": decisions.get(task.pk, []),
        }
        for task in tasks
    ]


def _consensus(task: Task) -> dict[str, Any] | None:
    held: Consensus | None = getattr(task, "consensus", None)
    if held is None:
        return None
    return {name: getattr(held, name) for name in ConsensusOut.model_fields}
