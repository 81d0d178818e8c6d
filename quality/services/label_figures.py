"""How far a dataset's labels are: each picture once, however many rounds asked about it.

A dataset of up to `COUNTED` tasks is counted when a page asks. Of a larger one the figures are kept and
counted anew when a quality-control pass ends: between two passes consensus hardly moves, and no page walks
through a million pictures. `quality.opinion` says which round's word counts, as everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation_site.models import Round, Task
from annotation_site.services.locking import short_write
from ingest.models import Candidate, Dataset
from quality.models import Consensus, LabelFigures
from quality.opinion import Finding, in_todays_words, leading

COUNTED = 2_000
"""Tasks that are counted while a page is made: some 20 ms."""
CHUNK = 5_000
State = Task.State


@dataclass(frozen=True)
class CategoryFigures:
    """Of one category: pictures labelled and settled as it; and of those found under it how many are settled
    at all (`judged`) and settled as it (`confirmed`)."""

    images: int = 0
    settled: int = 0
    found: int = 0
    judged: int = 0
    confirmed: int = 0


@dataclass(frozen=True)
class Figures:
    """Pictures asked about, labelled (a consensus stands), settled, and unsure at the most votes.

    `categories`: by id, as of today. `counted`: when; None: right now. `known`: False for a large dataset
    that no pass has counted yet: then only what the rounds' counters say stands here.
    """

    asked: int = 0
    labelled: int = 0
    settled: int = 0
    unsure: int = 0
    categories: dict[str, CategoryFigures] = field(default_factory=dict)
    counted: datetime | None = None
    known: bool = True


def label_figures(dataset: Dataset) -> Figures:
    """The figures: counted now where that is quick, else as they were kept."""
    rounds = [r for r in dataset.rounds.all() if not r.is_repeat]
    tasks = sum(r.tasks_total for r in rounds)
    if tasks <= COUNTED:
        return count_figures(dataset, rounds)
    kept = LabelFigures.objects.filter(dataset=dataset).first()
    if kept is None:
        asked = max((r.tasks_total for r in rounds), default=0)
        settled = max((r.tasks_settled for r in rounds), default=0)
        unsure = max((r.tasks_exhausted for r in rounds), default=0)
        return Figures(asked, settled + unsure, settled, unsure, known=False)
    held = dict(kept.figures)
    categories = {key: CategoryFigures(**row) for key, row in held.pop("categories").items()}
    return _by_counters(Figures(**held, categories=categories, counted=kept.counted), rounds)


def keep_figures(dataset: Dataset) -> None:
    """Count a large dataset anew and keep it; a small one needs no keeping."""
    rounds = [r for r in dataset.rounds.all() if not r.is_repeat]
    if sum(r.tasks_total for r in rounds) <= COUNTED:
        return
    found = asdict(count_figures(dataset, rounds))
    del found["counted"], found["known"]
    with short_write():
        LabelFigures.objects.update_or_create(
            dataset=dataset, defaults={"figures": found, "counted": timezone.now()}
        )


def count_figures(dataset: Dataset, rounds: list[Round]) -> Figures:
    """Walk through every picture that has a consensus; some 25 s for a million."""
    images: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    judged: dict[int, str] = {}
    labelled = unsure = 0
    for image, label, is_settled, any_settled, exhausted in _pictures(dataset):
        labelled += 1
        unsure += exhausted and not any_settled
        if label is not None:
            images[label] += 1
            settled[label] += is_settled
        if any_settled:
            judged[image] = label if label is not None and is_settled else ""
    categories = _categories(dataset, images, settled, judged)
    tasks = Task.objects.filter(round__in=rounds).exclude(state=State.WITHDRAWN)
    if len(rounds) == 1 and rounds[0].question == Round.Question.CLASSIFY:
        asked = rounds[0].tasks_total
    else:
        asked = tasks.values("image").distinct().count() if rounds else 0
    return _by_counters(Figures(asked, labelled, len(judged), unsure, categories), rounds)


def _by_counters(figures: Figures, rounds: list[Round]) -> Figures:
    """With one classify round its kept counters are the newest word."""
    if len(rounds) != 1 or rounds[0].question != Round.Question.CLASSIFY:
        return figures
    only = rounds[0]
    now = {"asked": only.tasks_total, "settled": only.tasks_settled, "unsure": only.tasks_exhausted}
    return Figures(**{**vars(figures), **now})


def _pictures(dataset: Dataset) -> Iterator[tuple[int, str | None, bool, bool, bool]]:
    """For each labelled picture, by its group's representative: the label that counts today, whether the
    round that says so has settled it, whether any round has, and whether one gave it up."""
    successors = dataset.categories.successors()
    fields = ["stands", "task__round_id", "label", "confidence", "task__category__key", "task__state"]
    rows = (
        Consensus.objects.filter(task__round__dataset=dataset, task__image__taken_down=None)
        .exclude(task__state=State.WITHDRAWN)
        .annotate(stands=Coalesce("task__image__group__representative_id", "task__image_id"))
        .order_by("stands")
        .values_list(*fields, *(["posterior"] if successors else []))
    )
    for image, group in groupby(rows.iterator(CHUNK), key=lambda row: row[0]):
        said = list(group)
        states = {row[5] for row in said}
        findings = (
            Finding(row[1], row[2], row[3], row[6] if successors else {}, row[4], row[5] != State.OPEN)
            for row in said
        )
        told = leading(in_todays_words(findings, successors) if successors else findings)
        label, by = (None, None) if told is None else (told[0], told[1].round)
        is_settled = any(row[1] == by and row[5] == State.SETTLED for row in said)
        yield image, label, is_settled, State.SETTLED in states, State.EXHAUSTED in states


def _categories(
    dataset: Dataset, images: Counter[str], settled: Counter[str], judged: dict[int, str]
) -> dict[str, CategoryFigures]:
    keys = dict(dataset.categories.values_list("pk", "key"))
    found: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    confirmed: Counter[str] = Counter()
    known = ~Q(source__category__retired__isnull=False, source__category__merged_into=None)
    rows = (
        Candidate.objects.filter(
            known, source__dataset=dataset, source__category__isnull=False, image__isnull=False
        )
        .annotate(
            stands=Coalesce("image__group__representative_id", F("image_id")),
            under=Coalesce("source__category__merged_into", "source__category"),
        )
        .values_list("stands", "under")
        .distinct()
    )
    for image, under in rows.iterator(CHUNK):
        key = keys[under]
        found[key] += 1
        label = judged.get(image)
        seen[key] += label is not None
        confirmed[key] += label == key
    return {
        key: CategoryFigures(images[key], settled[key], found[key], seen[key], confirmed[key])
        for key in sorted(images.keys() | found.keys())
    }


def as_plain(figures: Figures) -> dict[str, Any]:
    """The four counts, for the API."""
    return {name: getattr(figures, name) for name in ("asked", "labelled", "settled", "unsure")}
