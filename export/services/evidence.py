"""What the database knows of duplicate groups: members, votes, consensus, references, history, provenance.

Read for a few hundred images at a time, a fixed number of queries each, so that a release of any size needs
the same memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import models
from django.db.models import Q

from annotation_site.models import Round, Task, Vote
from export.layout import SPLITS
from export.models import GivenSplit, ReleaseImage, Withdrawal
from export.selection import Member
from ingest.models import Candidate, Dataset, Image
from quality.models import Consensus, Gold
from quality.opinion import Finding
from quality.services.known import settled_references

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
    stood in test were released as. `bound`: images that stand in test in this very major version.
    """

    members: dict[int, list[Member]]
    findings: dict[int, list[Finding]]
    ballots: dict[int, list[Ballot]]
    references: dict[int, str]
    gold: set[int]
    kept_categories: dict[int, str]
    bound: set[int]


@dataclass(frozen=True)
class Question:
    """What is asked of the database for every chunk.

    `earlier`, `siblings`: ids of the releases before the one being made, and of those in its major version.
    `rounds`: whose votes decide; empty: all of them.
    `given`: splits of a split file that is not in the database yet, by image id. `held`: what there is any of
    in this dataset; what there is none of is not asked for.
    """

    dataset: Dataset
    earlier: list[int]
    siblings: set[int]
    rounds: frozenset[int] = frozenset()
    given: dict[int, str] = field(default_factory=dict)
    held: frozenset[type[models.Model]] = frozenset({Gold, GivenSplit, Withdrawal})


def what_is_held(dataset: Dataset) -> frozenset[type[models.Model]]:
    """Which rare rows a dataset has at all: known answers, splits that came with it, withdrawn images."""
    return frozenset(
        kind
        for kind in (Gold, GivenSplit, Withdrawal)
        if kind.objects.filter(image__dataset=dataset).exists()
    )


def image_chunks(dataset: Dataset) -> Iterator[list[ImageRow]]:
    """Every image by SHA-256, with what its group says; each query starts where the last one ended."""
    last = ""
    held = dataset.images.order_by("sha256")
    columns = ("id", "sha256", "phash", "group_id", "group__draw")
    of_group = ("group__representative_id", "group__representative__sha256")
    while True:
        chunk = [
            ImageRow(*row) for row in held.filter(sha256__gt=last).values_list(*columns, *of_group)[:CHUNK]
        ]
        if chunk:
            yield chunk
        if len(chunk) < CHUNK:
            return
        last = chunk[-1].sha256


def evidence_of(groups: set[int], question: Question) -> Evidence:
    """Read everything about some duplicate groups."""
    group_of: dict[int, int] = {}
    shas: dict[int, str] = {}
    images = Image.objects.filter(group_id__in=groups).order_by("id")
    gone: set[int] = set()
    for image_id, sha256, group_id, down in images.values_list("id", "sha256", "group_id", "taken_down"):
        group_of[image_id], shas[image_id] = group_id, sha256
        if down is not None:
            gone.add(image_id)
    splits, kept, bound = _history(list(group_of), question)
    rows = _of(GivenSplit, group_of, question, "image_id", "split")
    given = {image_id: SPLITS[split] for image_id, split in rows} | {
        image_id: question.given[image_id] for image_id in group_of if image_id in question.given
    }
    gone |= {image_id for (image_id,) in _of(Withdrawal, group_of, question, "image_id")}
    members: dict[int, list[Member]] = defaultdict(list)
    for image_id, group_id in group_of.items():
        earlier = frozenset(splits.get(image_id, ()))
        member = Member(image_id, shas[image_id], earlier, given.get(image_id), image_id in gone)
        members[group_id].append(member)
    return Evidence(
        members,
        _findings(group_of, question.rounds),
        _ballots(group_of, question.rounds),
        _references(group_of, settled_references(question.dataset, group_of)),
        {group_of[image_id] for (image_id,) in _of(Gold, group_of, question, "image_id")},
        kept,
        bound,
    )


def _of(
    kind: type[Gold | GivenSplit | Withdrawal], images: Iterable[int], question: Question, *columns: str
) -> Iterable[tuple]:
    """Columns of the rows about some images."""
    return kind.objects.filter(image_id__in=images).values_list(*columns) if kind in question.held else ()


def _history(
    image_ids: list[int], question: Question
) -> tuple[dict[int, set[str]], dict[int, str], set[int]]:
    """Image -> splits it stood in; image -> its last category in test; images that must stay in test."""
    splits: dict[int, set[str]] = defaultdict(set)
    kept: dict[int, str] = {}
    bound: set[int] = set()
    if not question.earlier:
        return splits, kept, bound
    rows = ReleaseImage.objects.filter(image_id__in=image_ids, release_id__in=question.earlier)
    columns = ("image_id", "split", "category__key", "release_id")
    for image_id, split, category, release in rows.order_by("release_id").values_list(*columns):
        splits[image_id].add(SPLITS[split])
        if split == ReleaseImage.Split.TEST:
            kept[image_id] = category
            if release in question.siblings:
                bound.add(image_id)
    return splits, kept, bound


def _references(group_of: dict[int, int], settled: dict[int, str]) -> dict[int, str]:
    """Group -> settled reference; two different ones for one picture settle nothing."""
    labels: dict[int, set[str]] = defaultdict(set)
    for image_id, group_id in group_of.items():
        if image_id in settled:
            labels[group_id].add(settled[image_id])
    return {group: next(iter(said)) for group, said in labels.items() if len(said) == 1}


def _findings(group_of: dict[int, int], rounds: frozenset[int]) -> dict[int, list[Finding]]:
    rows = Consensus.objects.filter(task__image_id__in=group_of).exclude(task__state=Task.State.WITHDRAWN)
    if rounds:
        rows = rows.filter(task__round_id__in=rounds)
    found: dict[int, list[Finding]] = defaultdict(list)
    columns = ("task__image_id", "task__round_id", "label", "confidence", "posterior", "task__category__key")
    for row in rows.order_by("id").values_list(*columns, "task__state"):
        image_id, round_id, label, confidence, posterior, proposed, state = row
        finished = state != Task.State.OPEN
        said = Finding(round_id, label, confidence, posterior, proposed, finished)
        found[group_of[image_id]].append(said)
    return found


def _ballots(group_of: dict[int, int], rounds: frozenset[int]) -> dict[int, list[Ballot]]:
    """The counted votes of some groups, whichever member was shown; those of repeat rounds measure people."""
    votes = Vote.objects.counted().filter(task__image_id__in=group_of)
    votes = votes.exclude(task__round__access=Round.Access.REPEAT)
    if rounds:
        votes = votes.filter(task__round_id__in=rounds)
    found: dict[int, list[Ballot]] = defaultdict(list)
    columns = ("task__image_id", "worker__code", "answer", "category__key", "seconds", "created")
    of_task = ("task__round_id", "task__gold", "task__audit", "task__category__key")
    for row in votes.order_by("id").values_list(*columns, *of_task):
        ballot = Ballot(*row)
        found[group_of[ballot.image_id]].append(ballot)
    return found


def provenance_of(
    image_ids: list[int], sources: frozenset[int] = frozenset()
) -> dict[int, tuple[str, str, str, str]]:
    """Image -> (URL, page, licence, author) of the find that brought it (the first of several).

    Args:
        sources: ids of the sources whose finds count; empty: all.
    """
    stored = Q(state=Candidate.State.STORED) | Q(state=Candidate.State.SAME_BYTES)
    rows = Candidate.objects.filter(stored, image_id__in=image_ids).order_by("image_id", "state", "id")
    if sources:
        rows = rows.filter(source_id__in=sources)
    found: dict[int, tuple[str, str, str, str]] = {}
    for image_id, *source in rows.values_list("image_id", "url", "page_url", "licence", "author"):
        found.setdefault(image_id, (source[0], source[1], source[2], source[3]))
    return found
