"""How good a dataset's labels are, and how sure one can be: everything that the quality report shows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from django.core.cache import cache
from django.db.models import Max

from annotation_site.models import NO, YES, Task
from ingest.models import Dataset
from quality.accuracy import Calibration, calibration, poststratified, promised, verdict
from quality.agreement import (
    Ballots,
    Estimate,
    accuracy_interval,
    alpha,
    ballots,
    cohen_kappa,
    kappa,
    observed,
)
from quality.confusion import confusions, per_category, split_tasks
from quality.models import Adjudication, Consensus, Proposal, QCPass, Reference, WorkerSkill
from quality.services.evidence import Ballotbox, Labels, labels_of, open_box, votes_per_task

WORST_PAIRS = 8
"""Confusions shown with pictures."""
PICTURES = 4
"""Pictures of each."""
KEEP_SECONDS = 3600
"""How long a page's figures are kept, as long as nothing new was settled."""


class NothingToReport(ValueError):
    """The dataset has no counted vote; the message is one line for the user."""


@dataclass(frozen=True)
class Agreement:
    """How far people agree on one question, from the votes that no stopping rule chose."""

    question: str
    votes: int
    tasks: int
    alpha: Estimate
    kappa: Estimate
    observed: Estimate
    categories: list[dict[str, Any]]


@dataclass(frozen=True)
class Confusion:
    """Two categories that are taken for each other; `images`: sha256 of pictures that split people."""

    first: str
    second: str
    tasks: int
    share: float
    rate: float
    times_chance: float
    images: list[str]


@dataclass(frozen=True)
class SelfAgreement:
    """How often people repeat their own answer; `worker` is empty for all together."""

    worker: str
    same: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class DatasetQuality:
    """Figures of one dataset. Estimates are fractions with 95% intervals; NaN and n = 0: unknown.

    `verdict`: see `quality.accuracy.verdict`. `left_out`: reason -> votes (or pictures) not counted.
    """

    dataset: str
    labels: int
    votes: int
    workers: int
    references: Estimate
    basis: str
    sample: int
    gold: Estimate
    promised: Estimate
    verdict: str
    decided: int
    calibration: Calibration
    agreement: list[Agreement]
    confusions: list[Confusion]
    repeats: list[SelfAgreement]
    skills: list[dict[str, Any]]
    flags: dict[str, int]
    votes_per_task: list[tuple[int, int]]
    proposals: list[dict[str, Any]]
    left_out: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: NaN becomes null."""
        return _plain(asdict(self))


def quality_of(dataset: Dataset) -> DatasetQuality:
    """Work everything out anew: a few seconds at a million votes.

    Raises:
        NothingToReport: nobody has voted.
    """
    box = open_box(dataset)
    if not box.total:
        raise NothingToReport(f"dataset {dataset.name} has no votes yet")
    labels = labels_of(dataset)
    known = poststratified(labels.label.tolist(), labels.right)
    by_votes = ~labels.decided
    stated = promised(labels.confidence[by_votes])
    skills, flags = _skills(dataset)
    return DatasetQuality(
        dataset=dataset.name,
        labels=len(labels.label) + labels.gold,
        votes=box.total,
        workers=len(set().union(*(frame["worker"].unique() for frame in box.votes.values()))),
        references=known,
        basis=labels.basis,
        sample=labels.sample,
        gold=_share(box.gold_right, box.gold_asked),
        promised=stated,
        verdict=verdict(known, stated),
        decided=int(labels.decided.sum()),
        calibration=calibration(labels.confidence[by_votes], labels.right[by_votes]),
        agreement=[_agreement(question, frame) for question, frame in sorted(box.votes.items())],
        confusions=_confusions(box.votes["classify"]) if "classify" in box.votes else [],
        repeats=_repeats(box),
        skills=skills,
        flags=flags,
        votes_per_task=votes_per_task(dataset),
        proposals=_proposals(dataset),
        left_out=_left_out(dataset, box, labels),
    )


def kept_quality_of(dataset: Dataset) -> DatasetQuality:
    """`quality_of`, kept until something new is settled, decided, answered or voided, for an hour at most."""
    marks = [
        QCPass.objects.filter(round__dataset=dataset).aggregate(m=Max("id"))["m"],
        Adjudication.objects.filter(task__round__dataset=dataset).aggregate(m=Max("id"))["m"],
        Reference.objects.filter(dataset=dataset).aggregate(m=Max("id"))["m"],
        dataset.rounds.aggregate(m=Max("id"))["m"],
    ]
    key = f"quality {dataset.pk} {' '.join(map(str, marks))}".replace(" ", "-")
    found = cache.get(key)
    if found is None:
        found = quality_of(dataset)
        cache.set(key, found, KEEP_SECONDS)
    return found


def _share(right: int, n: int) -> Estimate:
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0)
    return Estimate(right / n, *accuracy_interval(right, n), n)


def _early(frame: pd.DataFrame) -> pd.DataFrame:
    """Votes that were asked for whatever the answers: gold and what the stopping rule added are left out."""
    return frame[frame["early"] & ~frame["gold"]]


def _agreement(question: str, frame: pd.DataFrame) -> Agreement:
    told = ballots(_early(frame))
    rows = per_category(told).to_dict("records") if question == "classify" else []
    named = [{str(key): value for key, value in row.items()} for row in rows]
    return Agreement(question, told.votes, len(told.tasks), alpha(told), kappa(told), observed(told), named)


def _confusions(frame: pd.DataFrame) -> list[Confusion]:
    """The worst pairs by the early votes, with the pictures that split all votes most evenly."""
    rows = confusions(ballots(_early(frame)), WORST_PAIRS)
    if not len(rows):
        return []
    plain = frame[~frame["gold"]]
    every: Ballots = ballots(plain)
    names = plain.drop_duplicates("task")
    sha = dict(zip(names["task"].astype(str), names["image"], strict=True))
    return [
        Confusion(
            row["first"],
            row["second"],
            int(row["tasks"]),
            row["share"],
            row["rate"],
            row["times_chance"],
            [sha[task] for task in split_tasks(every, row["first"], row["second"], PICTURES)],
        )
        for row in rows.to_dict("records")
    ]


def _repeats(box: Ballotbox) -> list[SelfAgreement]:
    """All together first, then each worker, the least steady first."""
    pairs = box.repeats
    if not len(pairs):
        return []

    def measured(worker: str, rows: pd.DataFrame) -> SelfAgreement:
        first, second = rows["first"].to_numpy(object), rows["second"].to_numpy(object)
        return SelfAgreement(
            worker, _share(int((first == second).sum()), len(rows)), cohen_kappa(first, second)
        )

    each = [measured(str(worker), rows) for worker, rows in pairs.groupby("worker", sort=True)]
    return [measured("", pairs), *sorted(each, key=lambda s: (s.same.value, s.worker))]


def _skills(dataset: Dataset) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Each worker's newest skill, the most votes first; and how many workers carry each flag."""
    held = WorkerSkill.objects.filter(round__dataset=dataset).order_by("round_id", "id")
    names = ("votes", "gold_votes", "skill", "lo", "hi", "flags", "evidence")
    newest: dict[str, dict[str, Any]] = {}
    for code, *values in held.values_list("worker__code", *names):
        newest[code] = {"worker": code, **dict(zip(names, values, strict=True))}
    flags = Counter(slug for row in newest.values() for slug in row["flags"].split(";") if slug)
    rows = sorted(newest.values(), key=lambda row: (-row["votes"], row["worker"]))
    return rows, dict(sorted(flags.items()))


def _proposals(dataset: Dataset) -> list[dict[str, Any]]:
    """By who proposed: how many proposals got an answer, the share confirmed, and what was promised."""
    held = Proposal.objects.filter(task__round__dataset=dataset, task__consensus__label__in=(YES, NO))
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for origin, sure, label in held.values_list("origin", "probability", "task__consensus__label"):
        rows[origin].append((math.nan if sure is None else sure, float(label == YES)))
    found = []
    for origin, pairs in sorted(rows.items()):
        table = np.array(pairs)
        sure = table[~np.isnan(table[:, 0])]
        right = int(table[:, 1].sum())
        promise = float(sure[:, 0].mean()) if len(sure) else math.nan
        found.append({"origin": origin, "confirmed": _share(right, len(table)), "promised": promise})
    return found


def _left_out(dataset: Dataset, box: Ballotbox, labels: Labels) -> dict[str, int]:
    left = Counter(box.left_out)
    for frame in box.votes.values():
        left["gold votes"] += int(frame["gold"].sum())
        left["asked after a look at the answers"] += int((~frame["early"] & ~frame["gold"]).sum())
    tasks = Task.objects.filter(round__dataset=dataset)
    left["withdrawn pictures"] = tasks.filter(state=Task.State.WITHDRAWN).count()
    told = Consensus.objects.filter(task__round__dataset=dataset)
    left["tasks without a consensus"] = tasks.exclude(round__access="repeat").count() - told.count()
    left["pictures on which experts differ"] = labels.unsettled_references
    left["gold pictures"] = labels.gold
    return {reason: n for reason, n in left.items() if n}


def _plain(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _plain(value) for key, value in thing.items()}
    if isinstance(thing, Estimate | Calibration) or hasattr(thing, "_asdict"):
        return _plain(thing._asdict())
    if isinstance(thing, list | tuple):
        return [_plain(value) for value in thing]
    if isinstance(thing, float | np.floating):
        return None if math.isnan(thing) else round(float(thing), 6)
    return int(thing) if isinstance(thing, np.integer) else thing
