"""The Dawid-Skene of `dawid_skene` where its tables are too large to hold: a thousand categories, millions of
votes.

A task's truth is one of the labels that somebody chose for it, or lies in one lump of all others. So only
those cells of a worker's confusion table are ever read where a vote (w says l) meets a candidate (the truth
may be k); the prior's mean is in closed form. Memory and a pass cost O(meetings of a vote with a candidate of
its task), whatever the number of labels. Left out against the dense form: a label that nobody chose for a
task cannot win it, and the crowd's mistakes are only counted between labels that met in a task.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from quality.aggregation.codes import distinct_pairs
from quality.aggregation.posterior import Fit, SparsePosterior, share_posterior, shrunken_shares
from quality.aggregation.shrinkage import MISTAKES_PRIOR, beta_strength, crowd_levels, eases
from quality.aggregation.votes import BadVotes, Votes

MOST_MEETINGS = 40_000_000
"""Meetings of votes with candidates that are worth holding (some 100 bytes each)."""


@dataclass(frozen=True)
class _Meetings:
    """Every vote beside every candidate (cell) of its task, m of them, by cell.

    `vote`, `cell`, `entry`: int32[m]; an entry is a (worker, truth, label) that occurs.
    `row`, `said`, `slip`: int32[entries], the entry's (worker, truth), its label, its (truth, label).
    `owner`, `truth`: int32[rows]. `slip_truth`, `slip_said`: int32[slips].
    """

    vote: np.ndarray
    cell: np.ndarray
    entry: np.ndarray
    row: np.ndarray
    said: np.ndarray
    owner: np.ndarray
    truth: np.ndarray
    slip: np.ndarray
    slip_truth: np.ndarray
    slip_said: np.ndarray


@dataclass(frozen=True)
class _Model:
    """`level`: float64[W]. `says`: float64[entries], log P(label | truth). Of each vote, float64[n]: `else_`,
    log P(its label | none of the candidates is the truth); `apart`, log P(its label | a truth), on average
    over all other truths."""

    level: np.ndarray
    says: np.ndarray
    else_: np.ndarray
    apart: np.ndarray


def can_meet(votes: Votes) -> bool:
    """Whether all votes beside all candidates of their tasks can be held."""
    return _number_of_meetings(votes) <= MOST_MEETINGS


def _number_of_meetings(votes: Votes) -> int:
    return int(votes.per_task[votes.cells.task].sum())


def fit_sparse(votes: Votes, max_iterations: int, tolerance: float) -> Fit:
    """EM as in `fit_dawid_skene`.

    Raises:
        BadVotes: there are too many meetings to hold.
    """
    meetings = _meetings(votes)
    blind = share_posterior(votes, np.ones(len(votes.task)))
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before, told = blind, blind.clamped(votes)
        model = _m_step(votes, meetings, told)
        counts = np.bincount(votes.cells.label, weights=told.prob, minlength=len(votes.labels))
        blind = _e_step(votes, meetings, model, shrunken_shares(votes, counts))
        change = np.abs(blind.prob - before.prob).sum() + np.abs(blind.rest - before.rest).sum()
        moved = float(change) / max(len(votes.tasks), 1)
        passes += 1
    blind = _with_evidence(votes, meetings, model, blind)
    return Fit("dawid_skene", blind.clamped(votes), blind, model.level, passes, moved <= tolerance)


def _meetings(votes: Votes) -> _Meetings:
    cells, k, number = votes.cells, len(votes.labels), _number_of_meetings(votes)
    if number > MOST_MEETINGS:
        raise BadVotes(
            f"dawid_skene: {number} meetings of votes with labels of their tasks are too many to hold; "
            "use one_coin"
        )
    voters = votes.per_task[cells.task]
    start = (np.cumsum(votes.per_task) - votes.per_task)[cells.task] - (np.cumsum(voters) - voters)
    vote = np.repeat(start.astype(np.int32), voters)
    vote += np.arange(number, dtype=np.int32)
    cell = np.repeat(np.arange(len(cells.task), dtype=np.int32), voters)
    owner, truth, row_of = _pairs(votes.worker, vote, cells.label, cell, len(votes.workers), k)
    row, said, entry = _pairs(row_of, slice(None), votes.label, vote, len(owner), k)
    slip_truth, slip_said, slip = _pairs(truth, row, said, slice(None), k, k)
    return _Meetings(vote, cell, entry, row, said, owner, truth, slip, slip_truth, slip_said)


def _pairs(
    major: np.ndarray,
    at: np.ndarray | slice,
    minor: np.ndarray,
    and_at: np.ndarray | slice,
    majors: int,
    minors: int,
) -> tuple[np.ndarray, ...]:
    """`distinct_pairs` of major[at] and minor[and_at], all in 32 bits: these are what takes the memory."""
    columns = major.astype(np.int32)[at], minor.astype(np.int32)[and_at]
    return tuple(x.astype(np.int32) for x in distinct_pairs(*columns, majors, minors))


def _m_step(votes: Votes, m: _Meetings, told: SparsePosterior) -> _Model:
    k = len(votes.labels)
    counts = np.bincount(m.entry, weights=told.prob[m.cell], minlength=len(m.row))
    seen = np.bincount(m.row, weights=counts, minlength=len(m.owner))
    hit = np.flatnonzero(m.said == m.truth[m.row])
    right = np.zeros_like(seen)
    right[m.row[hit]] = counts[hit]
    hits = np.bincount(m.owner, weights=right, minlength=len(votes.workers))
    level, mean_level = crowd_levels(hits, votes.per_worker, k)
    of_class = np.bincount(m.truth, weights=seen, minlength=k)
    right_of_class = np.bincount(m.truth, weights=right, minlength=k)
    ease = eases(right_of_class, of_class, mean_level)
    expected = expit(logit(level)[m.owner] + ease[m.truth])
    strength = beta_strength(right, seen, expected, low=3.0, high=100.0)
    mistakes, common, usual = _mistakes(m, np.bincount(m.slip, weights=counts, minlength=len(m.slip_said)), k)
    says = (strength * (1 - expected))[m.row]
    says *= mistakes[m.slip]
    says[hit] = strength * expected[m.row[hit]]
    says += counts
    np.log(says, out=says)
    says -= np.log(seen + strength)[m.row]
    wrong = np.log1p(-level)[votes.worker]
    return _Model(level, says, wrong + np.log(common)[votes.label], wrong + usual[votes.label])


def _mistakes(m: _Meetings, crowd: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the crowd's mistakes go: float64[slips], of each truth; float64[K], all in all; and float64[K],
    the mean of their logarithm over all truths.

    As in the dense form: counts and, beside them, MISTAKES_PRIOR votes that go where a label is common.
    """
    others = max(k - 1, 1)
    common = (np.bincount(m.slip_said, weights=crowd, minlength=k) + 1.0) / (crowd.sum() + k)
    wrong = np.where(m.slip_truth == m.slip_said, 0.0, crowd)
    prior = MISTAKES_PRIOR * common * k / others
    of_truth = np.bincount(m.slip_truth, weights=wrong, minlength=k) + prior.sum() - prior
    log_of_truth = np.log(np.maximum(of_truth, 1e-12))
    more = np.log1p(wrong / prior[m.slip_said])
    usual = np.log(prior) + np.bincount(m.slip_said, weights=more, minlength=k) / others
    usual -= (log_of_truth.sum() - log_of_truth) / others
    mistakes = np.log(prior)[m.slip_said] + more - log_of_truth[m.slip_truth]
    return np.exp(mistakes, out=mistakes), common, usual


def _e_step(votes: Votes, m: _Meetings, model: _Model, prior: np.ndarray) -> SparsePosterior:
    cells, n_tasks = votes.cells, len(votes.tasks)
    score = np.bincount(m.cell, weights=model.says[m.entry], minlength=len(cells.task))
    score += np.log(prior)[cells.label]
    others = 1.0 - np.bincount(cells.task, weights=prior[cells.label], minlength=n_tasks)
    possible = others > 1e-9
    rest = np.log(np.where(possible, others, 1.0))
    rest += np.bincount(votes.task, weights=model.else_, minlength=n_tasks)
    top = np.where(possible, rest, -np.inf)
    if len(score):
        top[cells.owners] = np.maximum(top[cells.owners], np.maximum.reduceat(score, cells.first))
    top = np.where(np.isfinite(top), top, 0.0)
    score = np.exp(score - top[cells.task])
    rest = np.where(possible, np.exp(np.minimum(rest - top, 0.0)), 0.0)
    total = np.bincount(cells.task, weights=score, minlength=n_tasks) + rest
    total[total == 0] = 1.0
    return SparsePosterior(votes, score / total[cells.task], rest / total, prior)


def _with_evidence(votes: Votes, m: _Meetings, model: _Model, blind: SparsePosterior) -> SparsePosterior:
    """All that the votes say between the winner and each label, for and against, in log-odds."""
    cells, n_tasks = votes.cells, len(votes.tasks)
    winner = blind.best()[0]
    wins = (cells.label == winner[cells.task])[m.cell]
    for_winner = np.zeros(len(votes.task))
    for_winner[m.vote[wins]] = model.says[m.entry[wins]]
    gap = for_winner[m.vote]
    gap -= model.says[m.entry]
    np.abs(gap, out=gap)
    total = np.bincount(m.cell, weights=gap, minlength=len(cells.task))
    rest_total = np.bincount(votes.task, weights=np.abs(for_winner - model.else_), minlength=n_tasks)
    others = len(votes.labels) - np.bincount(cells.task, minlength=n_tasks)
    every = float(total.sum() + (np.abs(for_winner - model.apart) * others[votes.task]).sum())
    unit = max(every / max(len(votes.task) * (len(votes.labels) - 1), 1), 1e-6)
    return SparsePosterior(votes, blind.prob, blind.rest, blind.spread, total, rest_total, unit)
