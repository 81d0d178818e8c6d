"""The numbers that quality's pages show: each question a few queries, whatever the size of a page."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, Sum
from django.utils.translation import gettext as _

from annotation_site.models import NO, NONE, UNSURE, VERIFY_UNSURE, YES, Round, Task, Vote, Worker
from annotation_site.services.tables import votes_table
from ingest.models import Dataset
from quality.agreement import krippendorff_alpha
from quality.models import Consensus, Gold
from quality.services.label_figures import as_plain, label_figures

SAMPLE = 10_000
"""Rows that a chart is drawn from. Task ids are dealt at random, so the first ones are a random sample."""
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
Answer = Vote.Answer


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; `sampled` says that they come from a random sample of the rows."""

    counts: list[int]
    edges: Sequence[float]
    sampled: bool

    @property
    def total(self) -> int:
        """Things counted."""
        return sum(self.counts)


def funnel(dataset: Dataset) -> dict[str, int]:
    """How far the labels are: pictures asked about, labelled (a consensus stands), settled and unsure.

    Each picture once; see `label_figures` for what is counted now and what is kept.
    """
    return as_plain(label_figures(dataset))


def label_names(dataset: Dataset) -> dict[str, str]:
    """Every label a vote may carry -> its name in people's words."""
    return {
        **dict(dataset.categories.values_list("key", "name")),
        NONE: _("none of these"),
        UNSURE: _("not sure"),
        VERIFY_UNSURE: _("not sure"),
        YES: _("yes"),
        NO: _("no"),
    }


def category_counts(dataset: Dataset) -> list[dict[str, Any]]:
    """What pictures are labelled as, most frequent first: `label`, `name`, `images`, `settled`."""
    names = label_names(dataset)
    found = label_figures(dataset).categories
    rows = [
        {"label": label, "name": names.get(label, label), "images": row.images, "settled": row.settled}
        for label, row in found.items()
        if row.images
    ]
    return sorted(rows, key=lambda row: (-row["images"], row["label"]))


def confidence_histogram(round: Round) -> Histogram:
    """Consensus of the round's tasks (gold left out) by confidence."""
    held = Consensus.objects.filter(task__round=round, task__gold=False).order_by("task_id")
    counts = [0] * (len(EDGES) - 1)
    rows = held.values_list("confidence", flat=True)[: SAMPLE + 1]
    seen = 0
    for confidence in rows.iterator(5000):
        seen += 1
        counts[min(int(confidence * len(counts)), len(counts) - 1)] += 1
    return Histogram(counts, EDGES, seen > SAMPLE)


def category_progress(round: Round) -> list[dict[str, Any]]:
    """`label`, `tasks`, `settled`, `unsure` by proposed category or by consensus, the most unsure first.

    Empty for a round too large to count on a page; gold left out.
    """
    if round.tasks_total > SAMPLE:
        return []
    tasks = Task.objects.filter(round=round, gold=False).exclude(state=Task.State.WITHDRAWN)
    verify = round.question == Round.Question.VERIFY
    by = F("category__key") if verify else F("consensus__label")
    rows = tasks.filter(consensus__isnull=False) if not verify else tasks
    found = (
        rows.values(label=by)
        .annotate(
            tasks=Count("id"),
            settled=Count("id", filter=Q(state=Task.State.SETTLED)),
            unsure=Count("id", filter=Q(state=Task.State.EXHAUSTED)),
        )
        .order_by("-unsure", "-tasks", "label")
    )
    return [dict(row) for row in found]


def agreement(round: Round) -> float | None:
    """Krippendorff's alpha (nominal) over the round's votes; None where nothing can be compared."""
    alpha = krippendorff_alpha(votes_table(round))
    return None if math.isnan(alpha) else alpha


def votes_by_label(task_ids: Iterable[int]) -> dict[int, list[tuple[str, int]]]:
    """Task id -> (label, counted votes), the most frequent first."""
    rows = (
        Vote.objects.counted()
        .filter(task_id__in=list(task_ids))
        .values_list("task_id", "answer", "category__key")
        .annotate(n=Count("id"))
    )
    told: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for task_id, answer, key, n in rows:
        told[task_id].append((key or str(Answer(answer).label), n))
    return {task_id: sorted(found, key=lambda pair: (-pair[1], pair[0])) for task_id, found in told.items()}


def gold_right(round: Round, worker_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Worker id -> (right, given) on tasks whose answer experts gave as gold. Unsure is not right."""
    known = Gold.objects.filter(
        dataset=round.dataset, image=OuterRef("task__image"), origin=Gold.Origin.EXPERT
    )
    rows = (
        Vote.objects.counted()
        .filter(Exists(known), task__round=round, worker_id__in=list(worker_ids))
        .values_list("worker_id")
        .annotate(right=Count("id", filter=agrees_with_consensus()), given=Count("id"))
    )
    return {worker_id: (right, given) for worker_id, right, given in rows}


def agrees_with_consensus() -> Q:
    """Votes that say what the task's consensus says (which on gold is the known answer)."""
    return (
        Q(answer=Answer.CATEGORY, category=F("task__consensus__category"))
        | Q(answer=Answer.NONE, task__consensus__label=NONE)
        | Q(answer=Answer.YES, task__consensus__label=YES)
        | Q(answer=Answer.NO, task__consensus__label=NO)
    )


def worker_confusions(dataset: Dataset, worker: Worker, most: int = 10) -> list[tuple[str, str, int]]:
    """(consensus, the worker's answer, how often) where they differ, the most frequent first."""
    rows = (
        Vote.objects.counted()
        .filter(worker=worker, task__round__dataset=dataset, task__consensus__isnull=False)
        .exclude(agrees_with_consensus())
        .values_list("task__consensus__label", "answer", "category__key")
        .annotate(n=Count("id"))
        .order_by("-n", "task__consensus__label")[:most]
    )
    return [(truth, key or str(Answer(answer).label), n) for truth, answer, key, n in rows]


def pace(dataset: Dataset, worker: Worker, most: int = 2000) -> dict[str, Any] | None:
    """How long the worker's latest votes took: median seconds and a histogram. None without times."""
    held = Vote.objects.filter(worker=worker, task__round__dataset=dataset, seconds__isnull=False)
    seconds = [s for s in held.order_by("-id").values_list("seconds", flat=True)[:most] if s is not None]
    if not seconds:
        return None
    edges = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)
    counts = [0] * (len(edges) - 1)
    for value in seconds:
        place = sum(value >= edge for edge in edges[1:-1])
        counts[place] += 1
    return {"median": median(seconds), "histogram": Histogram(counts, edges, False), "votes": len(seconds)}


def round_votes(rounds: Iterable[Round]) -> dict[int, int]:
    """Round id -> counted votes, from the participations' kept figures, in one query."""
    rows = Round.objects.filter(pk__in=[r.pk for r in rounds]).annotate(n=Sum("participations__votes"))
    return {pk: n or 0 for pk, n in rows.values_list("pk", "n")}


def label_counts(round: Round, most: int = 30) -> list[tuple[str, int]]:
    """(label, tasks) by the round's consensus, the most frequent first; from the sample where it is large."""
    held = Consensus.objects.filter(task__round=round, task__gold=False).order_by("task_id")
    counts = Counter(held.values_list("label", flat=True)[:SAMPLE].iterator(5000))
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
