"""What an algorithm hands back: for each task, how likely each label is.

Two forms with one face. `SparsePosterior` keeps the labels that somebody voted for and one lump for the
labels that nobody did, so that a thousand categories cost no more than the votes. `DensePosterior` keeps all,
for models (Dawid-Skene) in which a label that nobody chose can still be the likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from quality.aggregation.votes import BadVotes, Votes

TIE = 1e-9
"""Probabilities closer than this are equal: sums in another order differ in the last bits."""
SMALLEST = 1e-6
"""Probabilities below this are not listed (the others are scaled to sum to 1)."""
MOST_LISTED = 200_000_000
"""More rows than this are not listed: no machine that runs this holds them."""

Floats = np.ndarray


class Posterior(Protocol):
    """Probabilities of T tasks over K labels."""

    @property
    def can_temper(self) -> bool:
        """Whether it knows the evidence that it rests on."""
        ...

    def best(self) -> tuple[np.ndarray, Floats, np.ndarray]:
        """Label int64[T] (-1 where there is no label at all), its probability float64[T], tie bool[T]."""
        ...

    def listed(self) -> tuple[np.ndarray, np.ndarray, Floats]:
        """Task, label and probability of every pair worth listing, sorted; sums to 1 per task.

        Raises:
            BadVotes: they are too many.
        """
        ...

    def of_votes(self, votes: Votes) -> Floats:
        """float64[n]: how likely the label that each vote chose is."""
        ...

    def of_labels(self, tasks: np.ndarray, labels: np.ndarray) -> Floats:
        """float64[m]: how likely each of m labels is for each of m tasks (tasks in rising order)."""
        ...

    def dense(self) -> DensePosterior:
        """As a table of all tasks and labels."""
        ...

    def tempered(self, likeness: float) -> Posterior:
        """The same label, less sure: what the votes say if each pair of voters is alike by `likeness`."""
        ...

    def clamped(self, votes: Votes) -> Posterior:
        """The same with gold tasks at their known label."""
        ...


@dataclass(frozen=True)
class SparsePosterior:
    """`prob`: float64[c] for `votes.cells`; `rest`: float64[T], the labels nobody chose, parted as `spread`.

    `total`, `rest_total`: all the evidence, for and against, between the winner and that label, in log-odds;
    `unit`: what one vote brings on average. `tempered` needs them.
    """

    votes: Votes
    prob: Floats
    rest: Floats
    spread: Floats
    total: Floats | None = None
    rest_total: Floats | None = None
    unit: float = 1.0

    @property
    def can_temper(self) -> bool:
        return self.total is not None

    def best(self) -> tuple[np.ndarray, Floats, np.ndarray]:
        return self._best

    @cached_property
    def _best(self) -> tuple[np.ndarray, Floats, np.ndarray]:
        cells, n_tasks = self.votes.cells, len(self.votes.tasks)
        label = np.full(n_tasks, -1, np.int64)
        top = np.zeros(n_tasks)
        tie = np.zeros(n_tasks, bool)
        if len(cells.task):
            top[cells.owners] = np.maximum.reduceat(self.prob, cells.first)
        # A label that nobody chose can win only where no label was chosen: elsewhere it has less evidence.
        wins = self.prob >= top[cells.task] - TIE
        winners = np.flatnonzero(wins)
        label[cells.task[winners[::-1]]] = cells.label[winners[::-1]]
        tie = np.bincount(cells.task[winners], minlength=n_tasks) > 1
        silent = np.setdiff1d(np.arange(n_tasks), cells.owners, assume_unique=True)
        if len(silent) and len(self.spread):
            label[silent] = int(np.argmax(self.spread >= self.spread.max() - TIE))
            top[silent] = self.spread.max() / self.spread.sum()
            tie[silent] = int((self.spread >= self.spread.max() - TIE).sum()) > 1
        return label, top, tie

    def dense(self) -> DensePosterior:
        """The same as a table of all tasks and labels, what nobody chose parted as `spread` says."""
        cells = self.votes.cells
        table = np.repeat(self.spread[None, :], len(self.rest), axis=0)
        table[cells.task, cells.label] = 0.0
        table *= (self.rest / np.maximum(table.sum(axis=1), TIE))[:, None]
        table[cells.task, cells.label] = self.prob
        return DensePosterior(table)

    def listed(self) -> tuple[np.ndarray, np.ndarray, Floats]:
        cells = self.votes.cells
        per_task = np.bincount(cells.task, weights=self.spread[cells.label], minlength=len(self.rest))
        free = np.maximum(self.spread.sum() - per_task, 0.0)
        scale = np.divide(self.rest, free, out=np.zeros_like(self.rest), where=free > TIE)
        big = np.flatnonzero(scale * (self.spread.max() if len(self.spread) else 0.0) >= SMALLEST)
        worth = len(self.spread) - np.searchsorted(np.sort(self.spread), SMALLEST / scale[big])
        if int(worth.sum()) > MOST_LISTED:
            raise BadVotes(f"{int(worth.sum())} probabilities of labels nobody chose are too many to list")
        parts = [(cells.task, cells.label, self.prob)]
        for chunk in np.array_split(big, len(big) // 20_000 + 1):
            table = scale[chunk, None] * self.spread[None, :]
            row_of = np.full(len(self.rest), -1, np.int64)
            row_of[chunk] = np.arange(len(chunk))
            here = row_of[cells.task] >= 0
            table[row_of[cells.task[here]], cells.label[here]] = 0.0
            row, column = np.nonzero(table >= SMALLEST)
            parts.append((chunk[row], column, table[row, column]))
        task, label, prob = (np.concatenate(column) for column in zip(*parts, strict=True))
        return _listed(task, label, prob, len(self.rest))

    def of_votes(self, votes: Votes) -> Floats:
        return self.prob[self.votes.cells.of_vote]

    def of_labels(self, tasks: np.ndarray, labels: np.ndarray) -> Floats:
        cells, k = self.votes.cells, max(len(self.spread), 1)
        keys, wanted = cells.task * k + cells.label, tasks * k + labels
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        found = keys[at] == wanted
        free = len(self.spread) - np.bincount(cells.task, minlength=len(self.rest))[tasks]
        return np.where(found, self.prob[at], self.rest[tasks] / np.maximum(free, 1))

    def tempered(self, likeness: float) -> SparsePosterior:
        if self.total is None or self.rest_total is None:
            return self
        cells, n_tasks = self.votes.cells, len(self.rest)
        number = np.maximum(len(self.spread) - np.bincount(cells.task, minlength=n_tasks), 1)
        top = np.where(self.rest > 0, self.rest / number, 0.0)
        if len(cells.task):
            top[cells.owners] = np.maximum(top[cells.owners], np.maximum.reduceat(self.prob, cells.first))
        prob = _flatter(self.prob / top[cells.task], self.total, self.unit, likeness)
        rest = number * _flatter(self.rest / number / top, self.rest_total, self.unit, likeness)
        rest = np.where(self.rest > 0, rest, 0.0)
        total = np.bincount(cells.task, weights=prob, minlength=n_tasks) + rest
        return SparsePosterior(self.votes, prob / total[cells.task], rest / total, self.spread)

    def clamped(self, votes: Votes) -> SparsePosterior:
        if not (votes.gold >= 0).any():
            return self
        prob, rest = self.prob.copy(), self.rest.copy()
        clamp_cells(votes, prob, rest)
        return SparsePosterior(self.votes, prob, rest, self.spread)


@dataclass(frozen=True)
class DensePosterior:
    """`table`: float64[T, K]; `total` and `unit` as in SparsePosterior."""

    table: Floats
    total: Floats | None = None
    unit: float = 1.0

    @property
    def can_temper(self) -> bool:
        return self.total is not None

    def dense(self) -> DensePosterior:
        return self

    def best(self) -> tuple[np.ndarray, Floats, np.ndarray]:
        return self._best

    @cached_property
    def _best(self) -> tuple[np.ndarray, Floats, np.ndarray]:
        if not self.table.shape[1]:
            nothing = np.zeros(len(self.table))
            return nothing.astype(np.int64) - 1, nothing, nothing.astype(bool)
        top = row_top(self.table)
        wins = self.table >= top[:, None] - TIE
        return wins.argmax(axis=1), top, np.count_nonzero(wins, axis=1) > 1

    def listed(self) -> tuple[np.ndarray, np.ndarray, Floats]:
        task, label = np.nonzero(self.table >= SMALLEST)
        return _listed(task, label, self.table[task, label], len(self.table))

    def of_votes(self, votes: Votes) -> Floats:
        return self.table[votes.task, votes.label]

    def of_labels(self, tasks: np.ndarray, labels: np.ndarray) -> Floats:
        return self.table[tasks, labels]

    def tempered(self, likeness: float) -> DensePosterior:
        if self.total is None or not self.table.size:
            return self
        table = np.empty_like(self.table)
        # A block of tasks at a time stays in the processor's cache.
        for first in range(0, len(table), 50_000 // table.shape[1] + 1):
            rows = slice(first, first + 50_000 // table.shape[1] + 1)
            block = self.table[rows] / row_top(self.table[rows])[:, None]
            block = _flatter(block, self.total[rows], self.unit, likeness)
            np.multiply(block, (1.0 / (block @ np.ones(block.shape[1])))[:, None], out=table[rows])
        return DensePosterior(table)

    def clamped(self, votes: Votes) -> DensePosterior:
        known = np.flatnonzero(votes.gold >= 0)
        if not len(known):
            return self
        table = self.table.copy()
        table[known] = 0.0
        table[known, votes.gold[known]] = 1.0
        return DensePosterior(table)


@dataclass(frozen=True)
class Fit:
    """A fitted model: the posterior with gold clamped, what the same model says of gold tasks when it is not
    told (`blind`), each worker's share of right votes as the model sees it, and how the fitting ended.
    `foreseen_right`: gold labels that it found when it was told other gold only, where that was tried."""

    method: str
    posterior: Posterior
    blind: Posterior
    skill: Floats
    iterations: int
    converged: bool
    notes: dict[str, object] = field(default_factory=dict)
    foreseen_right: int | None = None


def vote_posterior(votes: Votes, weight: Floats, prior: Floats) -> SparsePosterior:
    """Posterior of a model in which a vote speaks only for the label that it names.

    Args:
        weight: float64[n], log of P(vote | its label is true) / P(vote | another label is true).
        prior: float64[K], sums to 1.
    """
    cells = votes.cells
    n_tasks = len(votes.tasks)
    score = np.bincount(cells.of_vote, weights=weight, minlength=len(cells.task)) + np.log(prior[cells.label])
    unvoted = 1.0 - np.bincount(cells.task, weights=prior[cells.label], minlength=n_tasks)
    with np.errstate(divide="ignore"):
        rest = np.log(np.where(unvoted > TIE, unvoted, 0.0))
    top = rest.copy()
    if len(score):
        top[cells.owners] = np.maximum(top[cells.owners], np.maximum.reduceat(score, cells.first))
    score = np.exp(score - top[cells.task])
    with np.errstate(invalid="ignore"):
        rest = np.where(np.isfinite(rest), np.exp(rest - top), 0.0)
    total = np.bincount(cells.task, weights=score, minlength=n_tasks) + rest
    total[total == 0] = 1.0
    return SparsePosterior(votes, score / total[cells.task], rest / total, prior)


def with_evidence(votes: Votes, posterior: SparsePosterior, weight: Floats) -> SparsePosterior:
    """The posterior of `vote_posterior` beside the evidence it rests on, so that it can be tempered."""
    cells, n_tasks = votes.cells, len(votes.tasks)
    size = np.abs(weight)
    here = np.bincount(cells.of_vote, weights=size, minlength=len(cells.task))
    label, _, _ = posterior.best()
    of_winner = np.bincount(
        cells.task, weights=np.where(cells.label == label[cells.task], here, 0.0), minlength=n_tasks
    )
    total = of_winner[cells.task] + here
    unit = float(size.mean()) if len(size) else 1.0
    return SparsePosterior(votes, posterior.prob, posterior.rest, posterior.spread, total, of_winner, unit)


def share_posterior(votes: Votes, weight: Floats) -> SparsePosterior:
    """Each label's share of its task's votes, every vote with its weight (float64[n], at least 0).

    Where all the weights of a task are 0, its votes count alike.
    """
    cells = votes.cells
    n_tasks, n_labels = len(votes.tasks), len(votes.labels)
    total = np.bincount(votes.task, weights=weight, minlength=n_tasks)
    weight = np.where(total[votes.task] > 0, weight, 1.0)
    score = np.bincount(cells.of_vote, weights=weight, minlength=len(cells.task))
    total = np.bincount(votes.task, weights=weight, minlength=n_tasks)
    silent = total == 0
    prob = score / np.where(silent, 1.0, total)[cells.task]
    spread = np.full(n_labels, 1.0 / max(n_labels, 1))
    return SparsePosterior(votes, prob, silent.astype(float), spread)


def clamp_cells(votes: Votes, prob: Floats, rest: Floats) -> None:
    """Put gold tasks at their known label, in place."""
    cells = votes.cells
    truth = votes.gold[cells.task]
    known = truth >= 0
    prob[known] = (cells.label == truth)[known]
    rest[votes.gold >= 0] = 0.0


def label_shares(votes: Votes) -> Floats:
    """float64[K]: each label's share of the votes (one vote more of each, so that none is 0)."""
    counts = np.bincount(votes.label, minlength=len(votes.labels)) + 1.0
    return counts / max(counts.sum(), TIE)


def class_shares(votes: Votes, posterior: SparsePosterior) -> Floats:
    """float64[K]: how common each label is among the tasks, as `shrunken_shares` puts it."""
    cells = votes.cells
    return shrunken_shares(
        votes, np.bincount(cells.label, weights=posterior.prob, minlength=len(votes.labels))
    )


def shrunken_shares(votes: Votes, counts: Floats) -> Floats:
    """float64[K]: `counts` (expected tasks of each label) half way to the labels' shares of the votes.

    Shares that follow the consensus alone run away: what is common wins ties, and so becomes more common
    still. With two votes a task a whole class can vanish. The votes' shares do not depend on the consensus,
    and err towards equality, so they hold against it.
    """
    wanted = counts + len(votes.tasks) * label_shares(votes)
    return wanted / max(wanted.sum(), TIE)


def row_top(table: Floats) -> Floats:
    """Largest number of each row; column by column, since numpy is slow along a short axis."""
    if not table.shape[1] or table.shape[1] > 64:
        return table.max(axis=1, initial=-np.inf)
    top = table[:, 0].copy()
    # A block of rows at a time stays in the processor's cache.
    for first in range(0, len(table), 5000):
        rows = slice(first, first + 5000)
        for column in range(1, table.shape[1]):
            np.maximum(top[rows], table[rows, column], out=top[rows])
    return top


def _flatter(odds: Floats, total: Floats, unit: float, likeness: float) -> Floats:
    """Odds against the winner (at most 1), their logarithm divided by the design effect of alike voters.

    n alike votes are worth n / (1 + (n - 1) likeness) (Kish 1965, Survey Sampling, 8.2); n is counted in
    evidence, total / unit, not in heads. So one more vote for the winner never lowers it: it adds as much to
    the gap as to the total, and gap / (1 + likeness (total / unit - 1)) then grows.
    """
    effect = 1.0 + likeness * np.maximum(total / max(unit, TIE) - 1.0, 0.0)
    return np.exp(np.log(np.maximum(odds, 1e-300)) / effect)


def _listed(
    task: np.ndarray, label: np.ndarray, prob: Floats, n_tasks: int
) -> tuple[np.ndarray, np.ndarray, Floats]:
    keep = prob >= SMALLEST
    task, label, prob = task[keep], label[keep], prob[keep]
    order = np.lexsort((label, task))
    task, label, prob = task[order], label[order], prob[order]
    total = np.bincount(task, weights=prob, minlength=n_tasks)
    return task, label, _rounded(task, prob / total[task])


def _rounded(task: np.ndarray, prob: Floats) -> Floats:
    """Round to 1e-6 so that each task still sums to exactly 1: the largest takes the difference."""
    if not len(task):
        return prob
    units = np.round(prob * 1e6).astype(np.int64)
    first = np.flatnonzero(np.r_[True, task[1:] != task[:-1]])
    missing = 1_000_000 - np.add.reduceat(units, first)
    top = np.repeat(np.maximum.reduceat(prob, first), np.diff(np.r_[first, len(task)]))
    at_top = np.flatnonzero(prob >= top - TIE)
    _, earliest = np.unique(task[at_top], return_index=True)
    units[at_top[earliest]] += missing
    return units / 1e6
