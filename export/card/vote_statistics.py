"""What the votes of a release tell of its labels: agreement, confusions, votes and time by round.

Read from the release's own tables, so that a card says nothing that the folder does not show. Batches of rows
flow through; what stays is a few bytes a vote.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from export import layout
from export.tables import give_back_memory
from ingest.progress import progress
from quality.aggregation.votes import ABSTAIN
from quality.agreement import Ballots, Estimate, alpha, kappa, observed
from quality.confusion import confusions

BATCH = 50_000
CONFUSED = 10
_COLUMNS = ["image", "worker", "label", "seconds", "round", "proposed"]


@dataclass(frozen=True)
class Agreement:
    """How far votes on the same task agree (see `quality.agreement`); `tasks` of two votes and more."""

    tasks: int
    observed: Estimate
    alpha: Estimate
    kappa: Estimate


@dataclass(frozen=True)
class RoundVotes:
    """One round's votes in a release.

    `seconds`: the median time of a vote, None where none was taken. `agreement`: None where no votes meet.
    """

    votes: int
    workers: int
    seconds: float | None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class VoteStatistics:
    """What all votes of a release say.

    `rounds`: by the round's id. `agreement`: by question, `classify` or `verify`, where votes meet.
    `confused`: rows `first, second, tasks, share, rate` of classify votes, the worst pair first. `matrix`:
    (category released, label voted) -> votes, classify rounds only.
    """

    votes: int = 0
    workers: int = 0
    rounds: dict[str, RoundVotes] = field(default_factory=dict)
    agreement: dict[str, Agreement] = field(default_factory=dict)
    confused: list[dict[str, Any]] = field(default_factory=list)
    matrix: dict[tuple[str, str], int] = field(default_factory=dict)


def vote_statistics(folder: Path) -> VoteStatistics:
    """Read votes.parquet and the manifest's categories; both are sorted by image."""
    counter = _Counter(_Categories(folder / layout.MANIFEST))
    with pq.ParquetFile(folder / layout.VOTES, pre_buffer=False) as table:
        columns = [name for name in _COLUMNS if name in table.schema_arrow.names]
        with progress(total=table.metadata.num_rows, what="reading votes", unit="vote") as bar:
            for batch in table.iter_batches(batch_size=BATCH, columns=columns):
                counter.add(batch)
                bar.update(batch.num_rows)
    give_back_memory()
    return counter.result()


class _Categories:
    """Image -> code of its category, for images that are asked for in sorted order."""

    def __init__(self, manifest: Path) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self._batches = self._read(manifest)
        self._images = np.empty(0, "S64")
        self._labels = np.empty(0, np.int64)

    def _read(self, manifest: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        with pq.ParquetFile(manifest, pre_buffer=False) as table:
            for batch in table.iter_batches(batch_size=BATCH, columns=["image", "category"]):
                yield _images(batch.column(0)), _coded(batch.column(1), self._codes, self.names)

    def of(self, images: np.ndarray) -> np.ndarray:
        """int64[n]: codes into `names`, -1 for an image that is not in the manifest."""
        while len(images) and (not len(self._images) or self._images[-1] < images[-1]):
            held = next(self._batches, None)
            if held is None:
                break
            kept = self._images >= images[0]
            self._images = np.concatenate([self._images[kept], held[0]])
            self._labels = np.concatenate([self._labels[kept], held[1]])
        if not len(self._images):
            return np.full(len(images), -1)
        place = np.minimum(np.searchsorted(self._images, images), len(self._images) - 1)
        return np.where(self._images[place] == images, self._labels[place], -1)


class _Counter:
    """Adds up batches of votes: keeps a count of each (task, label) that got any, and nothing of a vote."""

    def __init__(self, categories: _Categories) -> None:
        self.categories = categories
        self.labels: list[str] = []
        self._label_codes: dict[str, int] = {}
        self._tasks = 0
        self._last: tuple[Any, ...] | None = None
        self._cells: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._verify: list[np.ndarray] = []
        self._round_of: list[np.ndarray] = []
        self._round_codes: dict[str, int] = {}
        self._matrix: Counter[tuple[int, int]] = Counter()
        self._workers: dict[str, set[str]] = {}
        self._seconds: dict[str, list[np.ndarray]] = {}
        self._votes: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """A batch of rows, in the order of the file."""
        if not batch.num_rows:
            return
        images, rounds = _Coded(batch.column("image")), _Coded(batch.column("round"))
        named = "proposed" in batch.schema.names
        asked = _Coded(batch.column("proposed") if named else pa.nulls(batch.num_rows, pa.string()))
        label = _coded(batch.column("label"), self._label_codes, self.labels)
        task = self._number_tasks(images, rounds, asked)
        (tasks, labels), counts = _cells(task, label)
        self._cells.append((tasks.astype(np.int32), labels.astype(np.int32), counts.astype(np.int32)))
        classify = asked.codes < 0
        category = self.categories.of(np.asarray(images.names, dtype="S64"))[images.codes]
        self._count_matrix(category[classify], label[classify])
        self._count_rounds(rounds, _Coded(batch.column("worker")), batch.column("seconds"))

    def _number_tasks(self, images: _Coded, rounds: _Coded, asked: _Coded) -> np.ndarray:
        """A task is a picture in a round, in a verify round with what was asked; votes stand by task."""
        keys = np.stack([images.codes, rounds.codes, asked.codes])
        fresh = np.concatenate([[False], (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
        fresh[0] = self._last != (images.at(0), rounds.at(0), asked.at(0))
        self._last = (images.at(-1), rounds.at(-1), asked.at(-1))
        task = np.cumsum(fresh) + self._tasks - 1
        self._tasks += int(fresh.sum())
        self._verify.append(asked.codes[fresh] >= 0)
        codes = [self._round_codes.setdefault(name, len(self._round_codes)) for name in rounds.names]
        self._round_of.append(np.asarray(codes, dtype=np.int32)[rounds.codes[fresh]])
        return task

    def _count_matrix(self, category: np.ndarray, label: np.ndarray) -> None:
        known = category >= 0
        (rows, columns), counts = _cells(category[known], label[known])
        for row, column, n in zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True):
            self._matrix[row, column] += n

    def _count_rounds(self, rounds: _Coded, workers: _Coded, column: pa.Array) -> None:
        seconds = column.to_numpy(zero_copy_only=False).astype(np.float32)
        for code, name in enumerate(rounds.names):
            inside = rounds.codes == code
            self._votes[name] += int(inside.sum())
            there = np.unique(workers.codes[inside])
            self._workers.setdefault(name, set()).update(workers.names[place] for place in there)
            self._seconds.setdefault(name, []).append(seconds[inside & ~np.isnan(seconds)])

    def result(self) -> VoteStatistics:
        """The figures."""
        if not self._cells:
            return VoteStatistics()
        verify, round_of = np.concatenate(self._verify), np.concatenate(self._round_of)
        task, label, counts = (np.concatenate(parts) for parts in zip(*self._cells, strict=True))
        self._cells = [(task, label, counts)]
        confused = self._confused(~verify)
        questions = {"classify": self._agreement(~verify), "verify": self._agreement(verify)}
        rounds = {
            name: self._round(name, round_of == self._round_codes[name])
            for name in sorted(self._votes, key=lambda r: (len(r), r))
        }
        names = self.categories.names
        matrix = {(names[row], self.labels[column]): n for (row, column), n in self._matrix.items()}
        return VoteStatistics(
            votes=self._votes.total(),
            workers=len(set().union(*self._workers.values())),
            rounds=rounds,
            agreement={question: found for question, found in questions.items() if found},
            confused=confused,
            matrix=dict(sorted(matrix.items())),
        )

    def _round(self, name: str, wanted: np.ndarray) -> RoundVotes:
        taken = np.concatenate(self._seconds.pop(name))
        seconds = round(float(np.median(taken, overwrite_input=True)), 2) if len(taken) else None
        return RoundVotes(self._votes[name], len(self._workers[name]), seconds, self._agreement(wanted))

    def _agreement(self, wanted: np.ndarray) -> Agreement | None:
        told = self._ballots(wanted)
        return (
            Agreement(len(told.tasks), observed(told), alpha(told), kappa(told)) if len(told.tasks) else None
        )

    def _confused(self, wanted: np.ndarray) -> list[dict[str, Any]]:
        rows = confusions(self._ballots(wanted), CONFUSED).to_dict("records")
        return [{str(key): value for key, value in row.items()} for row in rows]

    def _ballots(self, wanted: np.ndarray) -> Ballots:
        """As `quality.agreement.ballots`, of the tasks that are wanted: bool[tasks]. Tasks are numbers."""
        order = np.argsort(np.asarray(self.labels, dtype=object))
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        abstains = [self._label_codes[name] for name in ABSTAIN if name in self._label_codes]
        ((task, label, counts),) = self._cells
        kept = wanted[task] & ~np.isin(label, abstains)
        task, label, counts = task[kept], rank[label[kept]], counts[kept]
        per_task = np.bincount(task, weights=counts, minlength=self._tasks)
        met = per_task > 1
        inside = met[task]
        place = (np.cumsum(met) - 1).astype(np.int32)
        cells = (counts[inside].astype(float), (place[task[inside]], label[inside]))
        times = sparse.coo_matrix(cells, shape=(int(met.sum()), len(self.labels))).tocsr()
        times.sum_duplicates()  # a task may go on in the next batch
        return Ballots(times, np.flatnonzero(met), np.asarray(self.labels, dtype=object)[order])


def _cells(rows: np.ndarray, columns: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The pairs of codes that are there, each once and sorted, and how often."""
    width = int(columns.max()) + 1 if len(columns) else 1
    keys, counts = np.unique(rows.astype(np.int64) * width + columns, return_counts=True)
    return (keys // width, keys % width), counts


class _Coded:
    """A column of texts as codes: `names[codes[i]]` is row i, code -1 a null."""

    def __init__(self, column: pa.Array) -> None:
        coded = pc.dictionary_encode(column)
        self.names: list[str] = coded.dictionary.to_pylist()
        self.codes: np.ndarray = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)

    def at(self, row: int) -> str | None:
        """The text of a row."""
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]


def _images(column: pa.Array) -> np.ndarray:
    return np.asarray(column.to_pylist(), dtype="S64")


def _coded(column: pa.Array, codes: dict[str, int], names: list[str]) -> np.ndarray:
    """int64[n]: codes of texts, new ones appended to `codes` and `names`; -1 for a null."""
    coded = _Coded(column)
    known = []
    for name in coded.names:
        if name not in codes:
            codes[name] = len(names)
            names.append(name)
        known.append(codes[name])
    return np.asarray([*known, -1], dtype=np.int64)[coded.codes]


def figure(estimate: Estimate) -> str:
    """An estimate in words: `0.812 (95% interval 0.800 to 0.824)`."""
    if math.isnan(estimate.value):
        return "undefined"
    return f"{estimate.value:.3f} (95% interval {estimate.lo:.3f} to {estimate.hi:.3f})"
