"""A round's tasks, known answers and results between the database and plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from django.db.models.functions import Coalesce

from annotation_site.models import NO, NONE, UNSURE, VERIFY_UNSURE, YES, Round, Task, Worker
from annotation_site.services.locking import short_write
from ingest.progress import progress
from quality.aggregation import Result
from quality.models import Consensus, Gold, WorkerSkill

CHUNK = 2000
"""Rows written in one transaction: well under a second on SQLite."""
SMALLEST = 0.0005
"""Probabilities below this are not kept in `Consensus.posterior`."""
ABSTAIN = (UNSURE, VERIFY_UNSURE)
FIELDS = ("label", "category_id", "confidence", "votes", "tie", "method", "posterior")


def read_tasks(round: Round, image_ids: Iterable[int] | None = None) -> np.ndarray:
    """The round's tasks as a structured array; `category` is 0 where none is proposed.

    All of them in order of id; or only those of `image_ids`.
    """
    columns = [
        ("id", np.int64), ("image", np.int64), ("category", np.int64), ("state", np.int8),
        ("gold", np.bool_), ("audit", np.bool_), ("votes", np.int32), ("wanted", np.int32),
        ("rank", np.int64),
    ]  # fmt: skip
    every = Task.objects.filter(round=round).order_by("id")
    proposed = Coalesce("category_id", 0)
    rows = every.values_list("id", "image_id", proposed, "state", "gold", "audit", "votes", "wanted", "rank")
    if image_ids is None:
        return np.fromiter(rows.iterator(CHUNK), dtype=columns)
    parts = [list(rows.filter(image_id__in=part)) for part in slices(image_ids)]
    return np.array([task for part in parts for task in part], dtype=columns)


def known_labels(round: Round, tasks: np.ndarray) -> dict[int, str]:
    """Task id -> the answer that experts' gold gives, in the words of the round's question.

    Gold taken from settled images is left out: it screens workers and proves nothing. So is gold for a
    category that had been merged or split when the round opened: it was not asked about.
    """
    held = Gold.objects.filter(dataset=round.dataset, origin=Gold.Origin.EXPERT)
    held = held.exclude(category__retired__lte=round.created)
    stands = Coalesce("image__group__representative_id", "image_id")
    gold = {}
    for image_id, standing_id, key in held.values_list("image_id", stands, "category__key"):
        gold[image_id] = gold[standing_id] = key or NONE
    keys = category_keys(round)
    wanted = tasks[np.isin(tasks["image"], np.fromiter(gold, np.int64, len(gold)))]
    return {
        int(task["id"]): as_answer(round, gold[int(task["image"])], keys.get(int(task["category"]), ""))
        for task in wanted
    }


def as_answer(round: Round, label: str, proposed: str) -> str:
    """A known category as the answer to the round's question."""
    if round.question == Round.Question.VERIFY:
        return YES if label == proposed else NO
    return label


def category_keys(round: Round) -> dict[int, str]:
    return dict(round.dataset.categories.values_list("id", "key"))


@dataclass(frozen=True)
class Answers:
    """What the votes say, by task in order of task id. Tasks without a definite vote are not here.

    `tasks`: int64[n]; `table`: the consensus rows in that order; `of_task[i]`: label -> probability.
    """

    tasks: np.ndarray
    table: pd.DataFrame
    post_start: np.ndarray
    post_end: np.ndarray
    post_label: np.ndarray
    post_probability: np.ndarray

    @classmethod
    def of(cls, result: Result, votes: pd.DataFrame) -> Answers:
        """Align the result's tables. A task on which everybody abstained has no consensus."""
        definite = ~votes["label"].isin(ABSTAIN)
        told = np.unique(votes["task"][definite].to_numpy(np.int64))
        table = result.consensus.assign(task=result.consensus["task"].astype(np.int64))
        table = table[np.isin(table["task"], told)].sort_values("task", ignore_index=True)
        tasks = table["task"].to_numpy(np.int64)
        owner = result.posteriors["task"].astype(np.int64).to_numpy()
        order = np.argsort(owner, kind="stable")
        owner = owner[order]
        return cls(
            tasks,
            table,
            np.searchsorted(owner, tasks, "left"),
            np.searchsorted(owner, tasks, "right"),
            result.posteriors["label"].to_numpy(object)[order],
            result.posteriors["probability"].to_numpy(np.float64)[order],
        )

    def rows(self, category_of: dict[str, int]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Task id and the values of FIELDS, one pair a task; probabilities rounded to 1e-6."""
        columns = [self.table[c].tolist() for c in ("label", "confidence", "votes", "tie", "method")]
        starts, ends = self.post_start.tolist(), self.post_end.tolist()
        for place, task in enumerate(self.tasks.tolist()):
            label, confidence, votes, tie, method = (column[place] for column in columns)
            part = slice(starts[place], ends[place])
            likely = zip(self.post_label[part], self.post_probability[part].tolist(), strict=True)
            posterior = {key: round(p, 6) for key, p in likely if p >= SMALLEST}
            yield task, (label, category_of.get(label), round(confidence, 6), votes, tie, method, posterior)


def write_consensus(round: Round, answers: Answers) -> None:
    """Write the rows that differ from what is there, and delete those whose votes have gone."""
    category_of = {key: pk for pk, key in category_keys(round).items()}
    update = ["label", "category", "confidence", "votes", "tie", "method", "posterior"]
    bar = progress(total=len(answers.tasks), what="consensus", unit="tasks")
    for rows in slices(answers.rows(category_of)):
        # Most of a later pass is what the last one wrote: reading it costs less than writing it again.
        held = Consensus.objects.filter(task_id__in=[task for task, _ in rows])
        before = {row[0]: row[1:] for row in held.values_list("task_id", *FIELDS)}
        new = [
            Consensus(task_id=task, **dict(zip(FIELDS, values, strict=True)))
            for task, values in rows
            if before.get(task) != values
        ]
        with short_write():
            Consensus.objects.bulk_create(
                new, update_conflicts=True, unique_fields=["task"], update_fields=update
            )
        bar.update(len(rows))
    bar.close()
    kept = Consensus.objects.filter(task__round=round).values_list("task_id", flat=True)
    gone = np.setdiff1d(np.fromiter(kept.iterator(CHUNK), np.int64), answers.tasks)
    for ids in slices(gone.tolist()):
        with short_write():
            Consensus.objects.filter(task_id__in=ids).delete()


def write_skills(round: Round, result: Result) -> None:
    """Write each worker's skill in this round, and delete those of workers without a counted vote."""
    workers = result.workers
    evidence: dict[str, list[str]] = {}
    for flag in result.flags:
        evidence.setdefault(flag.worker, []).append(flag.evidence)
    id_of = dict(Worker.objects.filter(participations__round=round).values_list("code", "id"))
    missing = set(workers["worker"]) - set(id_of)
    if missing:  # votes of workers without a participation: imported ones
        id_of.update(Worker.objects.filter(code__in=missing).values_list("code", "id"))
    numbers = ["votes", "gold_votes", "skill", "lo", "hi", "flags", "evidence"]
    for chunk in slices(workers.to_dict("records")):
        rows = [
            WorkerSkill(
                round=round,
                worker_id=id_of[row["worker"]],
                votes=int(row["votes"]),
                gold_votes=int(row["gold_votes"]),
                skill=_rounded(row["skill"]),
                lo=_rounded(row["lo"]),
                hi=_rounded(row["hi"]),
                flags=str(row["flags"] or ""),
                evidence="\n".join(evidence.get(row["worker"], [])),
            )
            for row in chunk
        ]
        with short_write():
            WorkerSkill.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["round", "worker"], update_fields=numbers
            )
    present = {id_of[code] for code in workers["worker"]}
    gone = [w for w in round.skills.values_list("worker_id", flat=True) if w not in present]
    for ids in slices(gone):
        round.skills.filter(worker_id__in=ids).delete()


def _rounded(number: Any) -> float:
    return round(float(number), 6)


def slices(things: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(things)
    while part := list(islice(rest, CHUNK)):
        yield part
