"""What a dataset's votes, known answers and repeats say about its labels, as plain tables."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from django.db.models import Count
from django.db.models.functions import Coalesce

from annotation_site.models import Round, Task
from annotation_site.services.tables import votes_table
from ingest.models import Dataset, DuplicateGroup
from ingest.splits import split_of
from quality.aggregation import aggregate
from quality.models import Adjudication, Consensus, Gold, Reference
from quality.services.consensus import consensus_by_image
from quality.services.followups import CHUNK, DECIDED
from quality.services.known import settled_references
from quality.services.stored import ABSTAIN, known_labels, read_tasks

NEARLY_ALL = 0.95
"""Where so many of a random sample are answered, the answers are taken for a random sample."""
KEPT = ["task", "image", "worker", "label", "gold"]


@dataclass
class Ballotbox:
    """Every counted vote, by question. `repeats`: pairs of answers of one worker to one picture.

    `votes[question]`: task, image, worker, label, gold, early (given before the stopping rule could choose).
    """

    votes: dict[str, pd.DataFrame] = field(default_factory=dict)
    repeats: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["worker", "first", "second"]))
    left_out: Counter[str] = field(default_factory=Counter)
    total: int = 0
    gold_right: int = 0
    gold_asked: int = 0


def open_box(dataset: Dataset) -> Ballotbox:
    """Read the votes of every round, one round at a time, and count what is left out and why."""
    box = Ballotbox()
    by_question: dict[str, list[pd.DataFrame]] = {}
    by_round: dict[int, pd.DataFrame] = {}
    again: list[pd.DataFrame] = []
    rounds = list(dataset.rounds.order_by("id"))
    repeated = {r.parent_id for r in rounds if r.is_repeat}
    for round in rounds:
        frame = votes_table(round, counted_only=False)
        counted = frame["status"] == "counted"
        for status, number in frame.loc[~counted, "status"].value_counts().items():
            box.left_out[f"voided: {status}"] += int(number)
        frame = frame.loc[counted, KEPT].reset_index(drop=True)
        if round.pk in repeated:
            by_round[round.pk] = frame
        if round.is_repeat:
            box.left_out["repeat"] += len(frame)
            if round.parent_id in by_round:
                again.append(_pairs(round, frame, by_round[round.parent_id]))
            continue
        box.total += len(frame)
        box.left_out["abstained"] += int(frame["label"].isin(ABSTAIN).sum())
        frame["early"] = frame.groupby("task", sort=False).cumcount() < round.votes_min
        _try_on_gold(round, frame, box)
        by_question.setdefault(round.question, []).append(frame)
    box.votes = {q: pd.concat(parts, ignore_index=True) for q, parts in by_question.items()}
    if again:
        box.repeats = pd.concat(again, ignore_index=True)
    return box


def _pairs(round: Round, second: pd.DataFrame, first: pd.DataFrame) -> pd.DataFrame:
    """A repeat's answers beside what the same worker said to the same question before."""
    old = Task.objects.filter(round=round.parent_id).values_list("image_id", "category_id", "pk")
    task_of = {(image, category): pk for image, category, pk in old.iterator(CHUNK)}
    new = Task.objects.filter(round=round).values_list("pk", "image_id", "category_id")
    before = {pk: task_of.get((image, category)) for pk, image, category in new.iterator(CHUNK)}
    second = second.assign(task=second["task"].map(before))[["task", "worker", "label"]]
    both = second.merge(first[["task", "worker", "label"]], on=["task", "worker"], suffixes=("_2", "_1"))
    both = both[~both["label_1"].isin(ABSTAIN) & ~both["label_2"].isin(ABSTAIN)]
    return both.rename(columns={"label_1": "first", "label_2": "second"})[["worker", "first", "second"]]


def _try_on_gold(round: Round, frame: pd.DataFrame, box: Ballotbox) -> None:
    """How often the crowd finds gold's answers when it is not told them, with as few votes as others get."""
    if not frame["gold"].any() or not round.qc_passes.exists():
        return  # a round that was never settled has decided no label yet
    tasks = read_tasks(round)
    known = known_labels(round, tasks[tasks["gold"]])
    if not known:
        return
    plain = tasks[~tasks["gold"] & (tasks["votes"] > 0)]
    usual = int(np.median(plain["votes"])) if len(plain) else round.votes_min
    place = frame.groupby("task", sort=False).cumcount()
    shown = frame[~frame["gold"] | (place < usual)]
    choices = [label for label in round.choices() if label not in ABSTAIN]
    told = aggregate(shown, labels=choices).consensus
    answer = dict(zip(told["task"].astype(np.int64), told["label"], strict=True))
    asked = [task for task in known if task in answer]
    box.gold_asked += len(asked)
    box.gold_right += sum(answer[task] == known[task] for task in asked)


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset, one row a labelled picture; gold's are left out, being known.

    `label`: object[n]. `confidence`: float64[n]. `right`: float64[n], 1 or 0 by a blind reference, NaN where
    none speaks for it. `decided`: bool[n], by an expert. `basis`: `test`, `audit`, `some` or `none`.
    """

    label: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    decided: np.ndarray
    gold: int
    unsettled_references: int
    basis: str
    sample: int


def labels_of(dataset: Dataset) -> Labels:
    """Every picture's consensus beside its reference. What experts decided in the open is no reference.

    References judge the whole dataset where they are a random sample: nearly all of the test split (drawn
    before any vote), or nearly all audited pictures. Otherwise every reference is used, and `basis` says
    that they may have been chosen.
    """
    rows = [(c.image_id, c.label, c.confidence) for c in consensus_by_image(dataset)]
    standing = Coalesce("image__group__representative_id", "image_id")
    gold = set(Gold.objects.filter(dataset=dataset).values_list(standing, flat=True))
    plain = [row for row in rows if row[0] not in gold]
    image = np.fromiter((row[0] for row in plain), np.int64, len(plain))
    label = np.array([row[1] for row in plain], dtype=object)
    decided = Consensus.objects.filter(task__round__dataset=dataset, method=DECIDED)
    of_task = Coalesce("task__image__group__representative_id", "task__image_id")
    by_expert = set(decided.values_list(of_task, flat=True)) if Adjudication.objects.exists() else set()
    truth = _references(dataset)
    right = np.array(
        [float(truth[i] == said) if i in truth else math.nan for i, said, _ in plain], dtype=float
    )
    basis, sample = "none", 0
    if truth:
        right, basis, sample = _sampled(dataset, image, right)
    experts = Reference.objects.filter(dataset=dataset).values_list("image_id").distinct().count()
    return Labels(
        label,
        np.array([row[2] for row in plain], dtype=float),
        right,
        np.isin(image, list(by_expert)),
        len(rows) - len(plain),
        experts - len(settled_references(dataset)),
        basis,
        sample,
    )


def _references(dataset: Dataset) -> dict[int, str]:
    """Settled references by the picture that stands for the image; contradicting ones settle nothing."""
    settled = settled_references(dataset)
    held = Reference.objects.filter(dataset=dataset)
    stands = dict(
        held.values_list("image_id", Coalesce("image__group__representative_id", "image_id")).distinct()
    )
    found: dict[int, set[str]] = {}
    for image_id, label in settled.items():
        found.setdefault(stands[image_id], set()).add(label)
    return {image_id: next(iter(said)) for image_id, said in found.items() if len(said) == 1}


def _sampled(dataset: Dataset, image: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, str, int]:
    """The answers of a random sample alone, where there is one: (right, basis, size of the sample)."""
    shares = dataset.shares
    groups = DuplicateGroup.objects.filter(dataset=dataset, representative__isnull=False)
    drawn = groups.filter(draw__lt=shares.test).values_list("representative_id", "draw")
    test = {pk for pk, draw in drawn.iterator(CHUNK) if split_of(draw, shares) == "test"}
    audit = Task.objects.filter(round__dataset=dataset, audit=True)
    for basis, ids in (("test", test), ("audit", set(audit.values_list("image_id", flat=True)))):
        inside = np.isin(image, list(ids))
        if inside.any() and (~np.isnan(right[inside])).mean() >= NEARLY_ALL:
            return np.where(inside, right, math.nan), basis, int(inside.sum())
    return right, "some", len(image)


def votes_per_task(dataset: Dataset) -> list[tuple[int, int]]:
    """(votes, tasks with so many), by votes; gold, repeats and withdrawn tasks left out."""
    held = Task.objects.filter(round__dataset=dataset, gold=False).exclude(state=Task.State.WITHDRAWN)
    held = held.exclude(round__access=Round.Access.REPEAT)
    rows = held.values_list("votes").annotate(n=Count("id")).order_by("votes")
    return [(votes, n) for votes, n in rows]
