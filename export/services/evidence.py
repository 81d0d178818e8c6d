"""What the database knows of duplicate groups: members, votes, consensus, references, history, provenance.

Read for a few hundred images at a time, a fixed number of queries each, so that a release of any size needs
the same memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from annotation_site.models import Round, Task, Vote
from export.models import ReleaseImage
from export.selection import Finding, Member
from ingest.models import Candidate, Dataset, Image
from quality.models import Consensus, Gold

CHUNK = 400
"""Images looked at together; a query names at most a few times as many ids."""


class Ballot(NamedTuple):
    """A counted vote. `category` is what the worker chose, `proposed` what the task asked about."""

    image_id: int
    worker: str
    answer: int
    category: str | None
    seconds: float | None
    created: datetime
    round_id: int
    gold: bool
    audit: bool
    proposed: str | None


class ImageRow(NamedTuple):
    """An image and what its duplicate group says; `represented_by` is the representative's SHA-256."""

    id: int
    sha256: str
    phash: int
    group: int | None
    draw: float | None
    representative: int | None
    represented_by: str | None


@dataclass
class Evidence:
    """Everything known of some duplicate groups, by group id; `kept_categories` by image id.

    `references`: settled ones only. `gold`: groups with a known answer. `kept_categories`: what images that
    stood in test were released as.
    """

    members: dict[int, list[Member]]
    findings: dict[int, list[Finding]]
    ballots: dict[int, list[Ballot]]
    references: dict[int, str]
    gold: set[int]
    kept_categories: dict[int, str]


def image_chunks(dataset: Dataset) -> Iterator[list[ImageRow]]:
    """Every image by SHA-256, with what its group says; each query starts where the last one ended."""
    last = ""
    columns = ("id", "sha256", "phash", "group_id", "group__draw")
    of_group = ("group__representative_id", "group__representative__sha256")
    while True:
        rows = (
            dataset.images.filter(sha256__gt=last).order_by("sha256").values_list(*columns, *of_group)[:CHUNK]
        )
        chunk = [ImageRow(*row) for row in rows]
        if not chunk:
            return
        yield chunk
        last = chunk[-1].sha256


def evidence_of(groups: set[int], earlier: list[int], settled: dict[int, str]) -> Evidence:
    """Read everything about some duplicate groups.

    Args:
        groups: their ids.
        earlier: ids of the releases before the one being made.
        settled: settled references, label by image id.
    """
    group_of: dict[int, int] = {}
    shas: dict[int, str] = {}
    images = Image.objects.filter(group_id__in=groups).order_by("id")
    for image_id, sha256, group_id in images.values_list("id", "sha256", "group_id"):
        group_of[image_id], shas[image_id] = group_id, sha256
    splits, kept = _history(list(group_of), earlier)
    members: dict[int, list[Member]] = defaultdict(list)
    for image_id, group_id in group_of.items():
        members[group_id].append(Member(image_id, shas[image_id], frozenset(splits[image_id])))
    gold = Gold.objects.filter(image_id__in=group_of).values_list("image_id", flat=True)
    return Evidence(
        members,
        _findings(group_of),
        _ballots(group_of),
        _references(group_of, settled),
        {group_of[image_id] for image_id in gold},
        kept,
    )


def _history(image_ids: list[int], releases: list[int]) -> tuple[dict[int, set[str]], dict[int, str]]:
    """Image -> splits it stood in before; image -> its last category in test."""
    splits: dict[int, set[str]] = defaultdict(set)
    kept: dict[int, str] = {}
    if not releases:
        return splits, kept
    rows = ReleaseImage.objects.filter(image_id__in=image_ids, release_id__in=releases).order_by("release_id")
    for image_id, split, category in rows.values_list("image_id", "split", "category__key"):
        splits[image_id].add(ReleaseImage.Split(split).label)
        if split == ReleaseImage.Split.TEST:
            kept[image_id] = category
    return splits, kept


def _references(group_of: dict[int, int], settled: dict[int, str]) -> dict[int, str]:
    """Group -> settled reference; two different ones for one picture settle nothing."""
    labels: dict[int, set[str]] = defaultdict(set)
    for image_id, group_id in group_of.items():
        if image_id in settled:
            labels[group_id].add(settled[image_id])
    return {group: next(iter(said)) for group, said in labels.items() if len(said) == 1}


def _findings(group_of: dict[int, int]) -> dict[int, list[Finding]]:
    rows = Consensus.objects.filter(task__image_id__in=group_of).exclude(task__state=Task.State.WITHDRAWN)
    found: dict[int, list[Finding]] = defaultdict(list)
    columns = ("task__image_id", "task__round_id", "label", "confidence", "posterior", "task__category__key")
    for image_id, *rest in rows.order_by("id").values_list(*columns):
        found[group_of[image_id]].append(Finding(*rest))
    return found


def _ballots(group_of: dict[int, int]) -> dict[int, list[Ballot]]:
    """The counted votes of some groups, whichever member was shown; those of repeat rounds measure people."""
    votes = Vote.objects.counted().filter(task__image_id__in=group_of)
    votes = votes.exclude(task__round__access=Round.Access.REPEAT)
    found: dict[int, list[Ballot]] = defaultdict(list)
    columns = ("task__image_id", "worker__code", "answer", "category__key", "seconds", "created")
    of_task = ("task__round_id", "task__gold", "task__audit", "task__category__key")
    for row in votes.order_by("id").values_list(*columns, *of_task):
        ballot = Ballot(*row)
        found[group_of[ballot.image_id]].append(ballot)
    return found


def provenance_of(image_ids: list[int]) -> dict[int, tuple[str, str, str, str]]:
    """Image -> (URL, page, licence, author) of the find that brought it (the first of several)."""
    stored = Q(state=Candidate.State.STORED) | Q(state=Candidate.State.SAME_BYTES)
    rows = Candidate.objects.filter(stored, image_id__in=image_ids).order_by("image_id", "state", "id")
    found: dict[int, tuple[str, str, str, str]] = {}
    for image_id, *source in rows.values_list("image_id", "url", "page_url", "licence", "author"):
        found.setdefault(image_id, (source[0], source[1], source[2], source[3]))
    return found
