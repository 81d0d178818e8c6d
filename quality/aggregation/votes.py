"""Votes as compact integer codes, with every row that was left out counted.

A frame of `task,worker,label` (any types) becomes three integer arrays sorted by task and worker, so that the
order of rows changes nothing. Rules of the house:

- an empty or missing task, worker or label drops the row (`missing_task`, ...);
- the same worker on the same task twice: the last row counts (`repeated`);
- `__unsure__` and `unsure` abstain: a vote that was given, no evidence;
- `__none__` ("none of these") is a class like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from quality.aggregation.codes import as_text, distinct_pairs, stable_order, text_codes

ABSTAIN = ("__unsure__", "unsure")
COLUMNS = ("task", "worker", "label")

Ints = np.ndarray


class BadVotes(ValueError):
    """Votes, gold or a method that cannot be used as asked; the message is one line for the user."""


@dataclass(frozen=True)
class Cells:
    """The distinct (task, label) pairs that got a vote (or are gold), sorted by task, then label.

    `task`, `label`: int64[c]. `of_vote`: int64[n], the cell that each vote falls into. `first`: int64, where
    each task's cells begin, for the tasks in `owners` (tasks whose every vote abstained have no cell).
    """

    task: Ints
    label: Ints
    of_vote: Ints
    first: Ints
    owners: Ints


@dataclass(frozen=True)
class Votes:
    """Clean votes. T tasks, W workers, K labels, n votes that are evidence.

    `tasks`, `workers`, `labels`: the names, sorted as text. `task`, `worker`, `label`: int64[n] codes into
    them, sorted by task, then worker. `given`: int64[T], votes per task, abstentions included;
    `worker_given`: int64[W], likewise. `gold`: int64[T], the known label or -1. `audited`: bool[T], drawn at
    random and asked about whatever the votes said; None where that is not known.
    """

    tasks: np.ndarray
    workers: np.ndarray
    labels: np.ndarray
    task: Ints
    worker: Ints
    label: Ints
    given: Ints
    worker_given: Ints
    gold: Ints
    read: int
    abstained: int
    dropped: dict[str, int]
    warnings: tuple[str, ...] = ()
    audited: np.ndarray | None = None

    @cached_property
    def cells(self) -> Cells:
        known = np.flatnonzero(self.gold >= 0)
        task, label, of_each = distinct_pairs(
            np.concatenate([self.task, known]), np.concatenate([self.label, self.gold[known]]),
            len(self.tasks), len(self.labels),
        )  # fmt: skip
        first = np.flatnonzero(np.r_[True, task[1:] != task[:-1]]) if len(task) else np.zeros(0, np.int64)
        return Cells(task, label, of_each[: len(self.task)], first, task[first])

    @cached_property
    def per_worker(self) -> Ints:
        """int64[W]: votes of each worker that are evidence."""
        return np.bincount(self.worker, minlength=len(self.workers))

    @cached_property
    def per_task(self) -> Ints:
        """int64[T]: votes of each task that are evidence."""
        return np.bincount(self.task, minlength=len(self.tasks))

    @property
    def on_gold(self) -> np.ndarray:
        """bool[n]: votes on tasks whose label is known."""
        return self.gold[self.task] >= 0

    def only(self, keep: np.ndarray) -> Votes:
        """The same tasks, workers and labels with a part of the evidence (`keep`: bool[n])."""
        task, worker, label = self.task[keep], self.worker[keep], self.label[keep]
        return replace(self, task=task, worker=worker, label=label)


def clean_votes(
    frame: pd.DataFrame, gold: pd.DataFrame | None = None, labels: Iterable[str] | None = None
) -> Votes:
    """Turn a frame of votes (and a frame `task,label` of known answers) into codes.

    Args:
        frame: columns `task` (or `item`, `image`), `worker`, `label`; others are ignored, but for `audit`:
            whether the task is one of a random sample that was asked about whatever the votes said.
        gold: columns `task` (or `item`, `image`), `label`. Gold for tasks without a vote is left aside.
        labels: further labels that a worker could have chosen, though nobody did.

    Raises:
        BadVotes: a column is missing or stands twice, or holds what is no text.
    """
    audit = frame["audit"].to_numpy() if list(frame.columns).count("audit") == 1 else None
    frame = _with_task(frame, COLUMNS, "votes")
    codes, names, dropped = _code_columns(frame)
    task, worker, label = _one_row_each(codes, names, dropped)
    task, tasks = _compact(task, names["task"])
    worker, workers = _compact(worker, names["worker"])
    known, notes = _clean_gold(gold, tasks)
    if len(tasks) < len(names["task"]):
        notes.insert(0, f"left out, with no usable row: {number_of(len(names['task']) - len(tasks), 'task')}")
    given = np.bincount(task, minlength=len(tasks))
    worker_given = np.bincount(worker, minlength=len(workers))

    abstains = np.isin(names["label"], ABSTAIN)
    chosen = np.bincount(label, minlength=len(abstains)) > 0
    wanted = {*names["label"][chosen & ~abstains], *known.values()}
    wanted |= {as_text(x) for x in (() if labels is None else labels)} - {"", *ABSTAIN}
    all_labels = np.array(sorted(wanted), dtype=object)
    new_code = {name: i for i, name in enumerate(all_labels)}
    gold_code = np.full(len(tasks), -1, np.int64)
    gold_code[list(known)] = [new_code[name] for name in known.values()]
    recode = np.array([new_code.get(name, -1) for name in names["label"]], dtype=np.int64)
    label = recode[label] if len(label) else label
    evidence = label >= 0
    if not evidence.all():
        task, worker, label = task[evidence], worker[evidence], label[evidence]
    return Votes(
        tasks, workers, all_labels, task, worker, label, given, worker_given, gold_code,
        len(frame), int((~evidence).sum()), dropped, tuple(notes),
        None if audit is None else _audited(tasks, frame["task"], audit),
    )  # fmt: skip


def _audited(tasks: np.ndarray, named: pd.Series, audit: np.ndarray) -> np.ndarray:
    """bool[T]: tasks of which a row says so, as a table or a CSV file writes it."""
    said = np.isin(np.char.lower(audit.astype(str)), ("true", "1", "yes"))
    drawn = {as_text(name) for name in named[said].unique()}
    return np.fromiter((task in drawn for task in tasks), bool, len(tasks))


def _one_row_each(
    codes: dict[str, Ints], names: dict[str, np.ndarray], dropped: dict[str, int]
) -> tuple[Ints, Ints, Ints]:
    """Task, worker and label of the rows that have all three, in order; the last of a worker on a task."""
    task, worker, label = codes["task"], codes["worker"], codes["label"]
    if dropped:
        good = (task >= 0) & (worker >= 0) & (label >= 0)
        task, worker, label = task[good], worker[good], label[good]
    order = _by_task_and_worker(task, worker, len(names["task"]), len(names["worker"]))
    task, worker, label = task[order], worker[order], label[order]
    last = np.ones(len(task), bool)
    last[:-1] = (task[1:] != task[:-1]) | (worker[1:] != worker[:-1])
    if not last.all():
        dropped["repeated"] = int((~last).sum())
        task, worker, label = task[last], worker[last], label[last]
    return task, worker, label


def _by_task_and_worker(task: Ints, worker: Ints, tasks: int, workers: int) -> Ints:
    """The order by task, then worker, then row."""
    if np.count_nonzero(task[1:] != task[:-1]) < 2 * tasks:
        # Most rows of a task stand together: sorting what is nearly sorted is faster than counting twice.
        order = stable_order(task, tasks)
        return order[np.argsort(task[order] * workers + worker[order], kind="stable")]
    order = stable_order(worker, workers)
    return order[stable_order(task[order], tasks)]


def _with_task(frame: pd.DataFrame, need: tuple[str, ...], what: str) -> pd.DataFrame:
    if "task" not in frame.columns:
        for other in ("item", "image"):
            if other in frame.columns:
                frame = frame.rename(columns={other: "task"})
                break
    missing = [column for column in need if column not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns)) or "none"
        raise BadVotes(f"{what}: no column {', '.join(missing)} (columns there: {there})")
    frame = frame[list(need)]
    if len(frame.columns) > len(need):
        raise BadVotes(f"{what}: a column stands twice ({', '.join(map(str, frame.columns))})")
    return frame


def _code_columns(frame: pd.DataFrame) -> tuple[dict[str, Ints], dict[str, np.ndarray], dict[str, int]]:
    codes, names, dropped = {}, {}, {}
    alive = np.ones(len(frame), bool)
    for column in frame.columns:
        codes[column], names[column] = text_codes(frame[column])
        _check_text(column, frame[column], names[column])
        bad = alive & (codes[column] < 0)
        if bad.any():
            dropped[f"missing_{column}"] = int(bad.sum())
            alive &= ~bad
    return codes, names, dropped


def _check_text(column: str, values: pd.Series, names: np.ndarray) -> None:
    """Python's text may hold halves of characters (what reading with errors="surrogateescape" leaves), which
    no file and no frame can."""
    if values.dtype != object:
        return
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        odd = next(name for name in names if error.object[error.start] in name)
        raise BadVotes(f"votes: the {column} {odd!a} is not Unicode text; read the file anew") from None


def _compact(codes: Ints, names: np.ndarray) -> tuple[Ints, np.ndarray]:
    """Drop the names that no code uses; order is kept."""
    used = np.zeros(len(names), bool)
    used[codes] = True
    if used.all():
        return codes, names
    return (np.cumsum(used) - 1)[codes] if len(codes) else codes, names[used]


def _clean_gold(gold: pd.DataFrame | None, tasks: np.ndarray) -> tuple[dict[int, str], list[str]]:
    """The known label (text) by task position, and what to tell the user."""
    notes: list[str] = []
    if gold is None:
        return {}, notes
    gold = _with_task(gold, ("task", "label"), "gold")
    (task, names), (label, answers) = text_codes(gold["task"]), text_codes(gold["label"])
    position = pd.Index(tasks, dtype=object).get_indexer(pd.Index(names, dtype=object))
    known: dict[int, str] = {}
    aside = twice = empty = 0
    for name, answer in zip(task.tolist(), label.tolist(), strict=True):
        if name < 0 or answer < 0 or answers[answer] in ABSTAIN:
            empty += 1
        elif position[name] < 0:
            aside += 1
        else:
            here = int(position[name])
            twice += known.get(here, answers[answer]) != answers[answer]
            known[here] = answers[answer]
    if aside:
        notes.append(f"left aside, with no vote: {number_of(aside, 'gold task')}")
    if twice:
        notes.append(f"given two answers: {number_of(twice, 'gold task')}; the last row counts")
    if empty:
        notes.append(f"left out, with no task or no definite label: {number_of(empty, 'gold row')}")
    return known, notes
