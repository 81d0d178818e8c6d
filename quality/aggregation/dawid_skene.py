"""Dawid-Skene with a hierarchy: a confusion table per worker, shrunk to a one-coin worker, shrunk to the
crowd.

A. P. Dawid, A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
Applied Statistics 28 (1979). Plain maximum likelihood fails where workers gave few votes a class; here row k
of worker w's table has a Dirichlet prior with

    mean      s_wk on the diagonal, logit s_wk = logit s_w + logit a_k - logit a
              (the worker's own level s_w, moved by how hard class k is for the crowd), and the crowd's own
              mistakes q_kl beside it;
    strength  by moments from how far the workers' rows scatter about that mean.

s_w is shrunk to the crowd's mean likewise. With two votes a worker, or a thousand categories, this is a
one-coin model with the crowd's confusion; with hundreds of votes a worker it is Dawid-Skene.

Here every label is possible for every task (one that nobody chose can still be the likeliest, when a worker
swaps two). Where those tables are too large to hold, `dawid_skene_sparse` fits the same model over the labels
that somebody chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from quality.aggregation.codes import distinct_pairs, stable_order
from quality.aggregation.dawid_skene_sparse import can_meet, fit_sparse
from quality.aggregation.posterior import (
    DensePosterior,
    Fit,
    row_top,
    shrunken_shares,
)
from quality.aggregation.shrinkage import MISTAKES_PRIOR, beta_strength, crowd_levels, eases
from quality.aggregation.votes import Votes

MOST_CELLS = 30_000_000
"""Largest table of tasks x labels that is held (8 bytes each, and some five such tables)."""
MOST_LABELS = 32
"""Up to so many labels, one that nobody chose for a task may win it. With more it hardly could: no worker
gives enough votes to be caught swapping two of a hundred. On simulated crowds of 10 to 100 labels the sparse
form was as accurate as this one, and 25 times as fast with 100."""
SMALLEST_LOG = -600.0
"""Logarithms above this have an exponential that is exact: their largest need not be taken off first."""
BLOCK = 50_000
"""Numbers of a table that are worked on at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class _Design:
    """Which (worker, label) pairs occur, sorted: `worker`, `label` int64[U].

    The matrices hold 0 and 1: T x U, runs of its rows (views), W x U, K x U.
    """

    worker: np.ndarray
    label: np.ndarray
    votes_by_task: sparse.csr_matrix
    blocks: list[tuple[slice, sparse.csr_matrix]]
    pairs_by_worker: sparse.csr_matrix
    pairs_by_label: sparse.csr_matrix


def fits_in_memory(votes: Votes) -> bool:
    """Whether a table of all tasks and labels is of a sane size, and so is what a fit holds."""
    return len(votes.tasks) * len(votes.labels) <= MOST_CELLS and (not _many_labels(votes) or can_meet(votes))


def _many_labels(votes: Votes) -> bool:
    return len(votes.labels) > MOST_LABELS or len(votes.tasks) * len(votes.labels) > MOST_CELLS


def fit_dawid_skene(votes: Votes, max_iterations: int = 60, tolerance: float = 3e-4) -> Fit:
    """EM from the votes' shares until a task's probabilities move by no more than `tolerance` on average.

    Raises:
        BadVotes: even the sparse form would be too large (`dawid_skene_sparse`).
    """
    if _many_labels(votes):
        return fit_sparse(votes, max_iterations, tolerance)
    design = _design(votes)
    table = _shares(votes)
    skill, likelihood = np.zeros(len(votes.workers)), np.zeros((len(design.label), table.shape[1]))
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        counts = _counts(votes, design, table)
        skill, likelihood = _m_step(design, counts, votes.per_worker)
        prior = shrunken_shares(votes, _class_sums(votes, table))
        moved = _e_step(design, likelihood, prior, table)
        passes += 1
    total, unit = _evidence(votes, design, likelihood, table)
    blind = DensePosterior(table, total, unit)
    return Fit("dawid_skene", blind.clamped(votes), blind, skill, passes, moved <= tolerance)


def _shares(votes: Votes) -> np.ndarray:
    """Each label's share of its task's votes: float64[T, K]; alike where there is no vote."""
    start, k = np.r_[0, np.cumsum(votes.per_task)], len(votes.labels)
    table = _rows_of_ones(votes.label, start, k).toarray()
    table *= (1.0 / np.maximum(votes.per_task, 1))[:, None]
    table[votes.per_task == 0] = 1.0 / max(k, 1)
    return table


def _design(votes: Votes) -> _Design:
    k = max(len(votes.labels), 1)
    worker, label, of_vote = distinct_pairs(votes.worker, votes.label, len(votes.workers), k)
    start, u = np.r_[0, np.cumsum(votes.per_task)], len(worker)
    by_task = _rows_of_ones(of_vote, start, u)
    blocks = []
    for rows in _runs(len(votes.tasks), BLOCK // k):
        mine = slice(start[rows.start], start[rows.stop])
        part = by_task.data[mine], by_task.indices[mine], start[rows.start : rows.stop + 1] - mine.start
        blocks.append((rows, sparse.csr_matrix(part, shape=(rows.stop - rows.start, u))))
    every = np.arange(u)
    by_worker = sparse.csr_matrix((np.ones(u), (worker, every)), shape=(len(votes.workers), u))
    by_label = sparse.csr_matrix((np.ones(u), (label, every)), shape=(k, u))
    return _Design(worker, label, by_task, blocks, by_worker, by_label)


def _rows_of_ones(columns: np.ndarray, start: np.ndarray, width: int) -> sparse.csr_matrix:
    """0/1 matrix of tasks whose votes are `columns`; `start`: where each task's begin, and the end."""
    return sparse.csr_matrix((np.ones(len(columns)), columns, start), shape=(len(start) - 1, width))


def _distinct(codes: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct codes of 0 … number - 1, and which of them each is."""
    used = np.zeros(number, bool)
    used[codes] = True
    return np.flatnonzero(used), (np.cumsum(used, dtype=np.int32) - 1)[codes]


def _runs(number: int, size: int) -> Iterator[slice]:
    size = max(size, 1)
    return (slice(first, min(first + size, number)) for first in range(0, number, size))


def _counts(votes: Votes, design: _Design, table: np.ndarray) -> np.ndarray:
    """float64[U, K]: how many votes of each (worker, label) pair fell on tasks of each class."""
    return np.asarray(design.votes_by_task.T @ DensePosterior(table).clamped(votes).table)


def _class_sums(votes: Votes, table: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(votes.gold >= 0)
    sums = np.ones(len(table)) @ table - table[known].sum(axis=0)
    return sums + np.bincount(votes.gold[known], minlength=table.shape[1])


def _m_step(design: _Design, counts: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each worker's level float64[W], and log P(vote | truth) for every pair: float64[U, K]."""
    pair = np.arange(len(design.label))
    seen = np.asarray(design.pairs_by_worker @ counts)
    right = np.zeros_like(seen)
    right[design.worker, design.label] = counts[pair, design.label]
    crowd = np.asarray(design.pairs_by_label @ counts).T
    level, mean_level = crowd_levels(right.sum(axis=1), n, crowd.shape[1])
    ease = eases(np.diag(crowd), crowd.sum(axis=1), mean_level)
    expected = expit(logit(level)[:, None] + ease[None, :])
    strength = beta_strength(right.ravel(), seen.ravel(), expected.ravel(), low=3.0, high=100.0)
    mean = (1 - expected[design.worker]) * _mistakes(crowd)[:, design.label].T
    mean[pair, design.label] = expected[design.worker, design.label]
    return level, np.log(counts + strength * mean) - np.log(seen + strength)[design.worker]


def _mistakes(crowd: np.ndarray) -> np.ndarray:
    """Where the crowd's mistakes go: float64[K, K], rows sum to 1, nothing on the diagonal."""
    k = crowd.shape[1]
    common = (crowd.sum(axis=0) + 1.0) / (crowd.sum() + k)
    mistakes = crowd + MISTAKES_PRIOR * common[None, :] * k / max(k - 1, 1)
    np.fill_diagonal(mistakes, 0.0)
    return mistakes / np.maximum(mistakes.sum(axis=1, keepdims=True), 1e-12)


def _e_step(design: _Design, likelihood: np.ndarray, prior: np.ndarray, table: np.ndarray) -> float:
    """Write what the votes now say into `table`, float64[T, K]; how far a task moved on average."""
    if not len(prior):
        return 0.0
    moved, log_prior, ones = 0.0, np.log(prior), np.ones(len(prior))
    likelihood = likelihood - row_top(likelihood)[:, None]
    least = float(likelihood.min(initial=0.0))
    for rows, votes_by_task in design.blocks:
        block = np.asarray(votes_by_task @ likelihood)
        block += log_prior
        if np.diff(votes_by_task.indptr).max(initial=0) * least + log_prior.min() < SMALLEST_LOG:
            block -= row_top(block)[:, None]
        np.exp(block, out=block)
        block *= (1.0 / (block @ ones))[:, None]
        before = table[rows]
        before -= block
        moved += float(np.abs(before, out=before).sum())
        before[:] = block
    return moved / max(len(table), 1)


def _evidence(
    votes: Votes, design: _Design, likelihood: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, float]:
    """All that the votes say between the winner and each label, for and against: float64[T, K] of log-odds,
    and what a vote says on average."""
    total = np.zeros_like(table)
    if table.shape[1] < 2 or not len(votes.task):
        return total, 1.0
    u, k = likelihood.shape
    best = table.argmax(axis=1)
    for winner, rows in enumerate(np.split(stable_order(best, k), np.cumsum(np.bincount(best))[:-1])):
        mine = design.votes_by_task[rows]
        pairs, of_vote = _distinct(mine.indices, u)
        says = likelihood[pairs]
        says -= likelihood[pairs, winner][:, None]
        np.abs(says, out=says)
        total[rows] = _rows_of_ones(of_vote, mine.indptr, len(pairs)) @ says
    unit = float(total.sum()) / (len(votes.task) * (table.shape[1] - 1))
    return total, max(unit, 1e-6)
