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
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from quality.aggregation.posterior import DensePosterior, Fit, share_posterior
from quality.aggregation.shrinkage import beta_strength
from quality.aggregation.votes import Votes

MOST_CELLS = 60_000_000
"""Largest table of tasks x labels, or of (worker, label) pairs x labels, that is worth holding (8 bytes
each)."""
CHUNK = 4_000_000
"""Numbers handled at a time where votes x labels would be too many to hold."""
MISTAKES_PRIOR = 1.0
"""Votes that stand, in each row of the crowd's mistakes, behind "mistakes go where that label is common"."""


@dataclass(frozen=True)
class _Design:
    """Which (worker, label) pairs occur: `votes_by_task` is T x U, `pairs_by_worker` W x U, both 0/1."""

    votes_by_task: sparse.csr_matrix
    tasks_by_vote: sparse.csr_matrix
    pairs_by_worker: sparse.csr_matrix
    pairs_by_label: sparse.csr_matrix
    worker: np.ndarray
    label: np.ndarray


def fits_in_memory(votes: Votes) -> bool:
    """Whether the tables that `fit_dawid_skene` needs are of a sane size."""
    k = len(votes.labels)
    pairs = min(len(votes.task), len(votes.workers) * max(k, 1))
    return max(len(votes.tasks), pairs, k) * k <= MOST_CELLS


def fit_dawid_skene(votes: Votes, max_iterations: int = 60, tolerance: float = 3e-4) -> Fit:
    """EM from the votes' shares until a task's probabilities move by no more than `tolerance` on average."""
    design = _design(votes)
    table = _start(votes)
    skill, moved, passes = np.zeros(len(votes.workers)), np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before = table
        told = _told(votes, table)
        skill, likelihood = _m_step(votes, design, told)
        prior = (told.sum(axis=0) + 1.0) / (len(told) + told.shape[1])
        table = _e_step(design, likelihood, prior)
        moved = float(np.abs(table - before).sum()) / max(len(table), 1)
        passes += 1
    total, unit = _evidence(votes, design, likelihood, table)
    blind = DensePosterior(table, total, unit)
    return Fit("dawid_skene", blind.clamped(votes), blind, skill, passes, moved <= tolerance)


def _evidence(
    votes: Votes, design: _Design, likelihood: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, float]:
    """All that the votes say between the winner and each label, for and against: float64[T, K] of log-odds,
    and what a vote says on average."""
    total = np.zeros_like(table)
    if table.shape[1] < 2 or not len(votes.task):
        return total, 1.0
    best, pair = table.argmax(axis=1), design.votes_by_task.indices
    start = design.votes_by_task.indptr
    step = max(CHUNK // table.shape[1], 1)
    some = np.flatnonzero(votes.per_task)
    for tasks in np.array_split(some, len(pair) // step + 1):
        if not len(tasks):
            continue
        mine = slice(start[tasks[0]], start[tasks[-1] + 1])
        says = likelihood[pair[mine]]
        winner = likelihood[pair[mine], best[votes.task[mine]]]
        total[tasks] = np.add.reduceat(np.abs(winner[:, None] - says), start[tasks] - mine.start, axis=0)
    unit = float(total.sum()) / (len(pair) * (table.shape[1] - 1))
    return total, max(unit, 1e-6)


def _design(votes: Votes) -> _Design:
    k = max(len(votes.labels), 1)
    pairs, column = np.unique(votes.worker * k + votes.label, return_inverse=True)
    worker, label = pairs // k, pairs % k
    n, u = len(votes.task), len(pairs)
    start = np.r_[0, np.cumsum(votes.per_task)]
    by_task = sparse.csr_matrix((np.ones(n), column, start), shape=(len(votes.tasks), u))
    every = np.arange(u)
    by_worker = sparse.csr_matrix((np.ones(u), (worker, every)), shape=(len(votes.workers), u))
    by_label = sparse.csr_matrix((np.ones(u), (label, every)), shape=(k, u))
    return _Design(by_task, by_task.T.tocsr(), by_worker, by_label, worker, label)


def _start(votes: Votes) -> np.ndarray:
    cells, k = votes.cells, len(votes.labels)
    shares = share_posterior(votes, np.ones(len(votes.task)))
    table = np.repeat(shares.rest[:, None] / max(k, 1), k, axis=1)
    table[cells.task, cells.label] += shares.prob
    return table


def _told(votes: Votes, table: np.ndarray) -> np.ndarray:
    return DensePosterior(table).clamped(votes).table if (votes.gold >= 0).any() else table


def _m_step(votes: Votes, design: _Design, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each worker's level float64[W], and log P(vote | truth) for every pair: float64[U, K]."""
    pair, k = np.arange(len(design.label)), table.shape[1]
    counts = design.tasks_by_vote @ table
    seen = np.asarray(design.pairs_by_worker @ counts)
    right = np.zeros_like(seen)
    right[design.worker, design.label] = counts[pair, design.label]
    crowd = np.asarray(design.pairs_by_label @ counts).T
    level, ease, mistakes = _crowd(votes, seen, right, crowd)
    expected = expit(logit(level)[:, None] + ease[None, :])
    strength = beta_strength(right.ravel(), seen.ravel(), expected.ravel(), low=3.0, high=100.0)
    mean = (1 - expected[design.worker]) * mistakes[:, design.label].T
    mean[pair, design.label] = expected[design.worker, design.label]
    likelihood = np.log(counts + strength * mean) - np.log(seen + strength)[design.worker]
    assert likelihood.shape[1] == k
    return level, likelihood


def _crowd(
    votes: Votes, seen: np.ndarray, right: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What all workers share: levels float64[W], ease of each class float64[K] (log-odds against the mean),
    and where the crowd's mistakes go: float64[K, K], rows sum to 1, nothing on the diagonal."""
    n, hits = seen.sum(axis=1), right.sum(axis=1)
    k = crowd.shape[1]
    guess = 0.7 + 0.3 / max(k, 2)
    mean = np.clip((hits.sum() + 10.0 * guess) / (n.sum() + 10.0), 0.02, 0.98)
    strength = beta_strength(hits, n, mean, low=2.0, high=50.0)
    level = np.clip((hits + strength * mean) / (n + strength), 1e-3, 1 - 1e-3)
    of_class, right_of_class = crowd.sum(axis=1), np.diag(crowd)
    share = np.clip((right_of_class + 10.0 * mean) / (of_class + 10.0), 0.02, 0.98)
    ease = logit(share) - logit(mean)
    common = (crowd.sum(axis=0) + 1.0) / (crowd.sum() + k)
    mistakes = crowd + MISTAKES_PRIOR * common[None, :] * k / max(k - 1, 1)
    np.fill_diagonal(mistakes, 0.0)
    return level, ease, mistakes / np.maximum(mistakes.sum(axis=1, keepdims=True), 1e-12)


def _e_step(design: _Design, likelihood: np.ndarray, prior: np.ndarray) -> np.ndarray:
    table = np.asarray(design.votes_by_task @ likelihood)
    table += np.log(prior)[None, :]
    table -= _row_top(table)[:, None]
    np.exp(table, out=table)
    table /= table.sum(axis=1, keepdims=True)
    return table


def _row_top(table: np.ndarray) -> np.ndarray:
    """Largest number of each row; column by column, since numpy is slow along a short axis."""
    if not table.shape[1] or table.shape[1] > 64:
        return table.max(axis=1, initial=-np.inf)
    top = table[:, 0].copy()
    for column in range(1, table.shape[1]):
        np.maximum(top, table[:, column], out=top)
    return top
