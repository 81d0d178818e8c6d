"""How far people agree, with each other and with themselves, and intervals for shares. Pure; for reports.

All figures count pairs of votes on the same task. Their intervals treat tasks as the sample (linearised
variance: K. L. Gwet, "Large-sample variance of Fleiss generalized kappa", Educational and Psychological
Measurement 81 (2021)), so that a task with many votes is one draw and not many. Where nobody disagrees the
linearised variance is zero and says nothing; the interval then follows from the number of tasks (Wilson).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtri, stdtrit

from quality.aggregation.votes import clean_votes

LEVEL = 0.95


class Estimate(NamedTuple):
    """A figure with its interval; `n`: the tasks (or answers) that it rests on. NaN: undefined."""

    value: float
    lo: float
    hi: float
    n: int


@dataclass(frozen=True)
class Ballots:
    """How often each label was given to each task, for tasks of two votes and more that are evidence.

    `times`: csr float64[T, K], votes. `tasks`, `labels`: names, object[T] and object[K].
    """

    times: sparse.csr_matrix
    tasks: np.ndarray
    labels: np.ndarray

    @cached_property
    def per_task(self) -> np.ndarray:
        """float64[T]: votes of each task."""
        return np.asarray(self.times.sum(axis=1)).ravel()

    @cached_property
    def per_label(self) -> np.ndarray:
        """float64[K]: votes for each label."""
        return np.asarray(self.times.sum(axis=0)).ravel()

    @property
    def votes(self) -> int:
        """Votes that meet another one."""
        return int(self.times.sum())

    @cached_property
    def cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The (task, label) pairs that got a vote, and how many: int[c], int[c], float64[c]."""
        owner = np.repeat(np.arange(len(self.tasks)), np.diff(self.times.indptr))
        return owner, self.times.indices, self.times.data


def ballots(frame: pd.DataFrame) -> Ballots:
    """Count a frame of `task,worker,label`. Abstentions are missing values, tasks with one vote nothing.

    Raises:
        BadVotes: a column is missing.
    """
    votes = clean_votes(frame)
    kept = votes.per_task > 1
    place = np.cumsum(kept) - 1
    inside = kept[votes.task]
    task, label = place[votes.task[inside]], votes.label[inside]
    shape = (int(kept.sum()), len(votes.labels))
    times = sparse.coo_matrix((np.ones(len(task)), (task, label)), shape=shape).tocsr()
    times.sum_duplicates()
    return Ballots(times, votes.tasks[kept], votes.labels)


def krippendorff_alpha(frame: pd.DataFrame) -> float:
    """`alpha` of a frame `task,worker,label`, without its interval."""
    return alpha(ballots(frame)).value


def observed_agreement(frame: pd.DataFrame) -> float:
    """`observed` of a frame `task,worker,label`, without its interval."""
    return observed(ballots(frame)).value


def fleiss_kappa(frame: pd.DataFrame) -> float:
    """`kappa` of a frame `task,worker,label`, without its interval."""
    return kappa(ballots(frame)).value


def alpha(told: Ballots) -> Estimate:
    """Krippendorff's alpha for nominal labels: 1 is perfect agreement, 0 what chance gives.

    K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: any number of votes a
    task, missing ones allowed; a task weighs as its votes. NaN where no votes meet or one label only was
    used.
    """
    owner, label, times = told.cells
    size, total, tasks = told.per_task, float(told.times.sum()), len(told.tasks)
    if total < 2:
        return _undefined(tasks)
    same = np.bincount(owner, weights=times * (times - 1), minlength=tasks)
    apart = size - same / (size - 1)  # of each task: votes, times the share of others who differ
    expected = 1.0 - float((told.per_label * (told.per_label - 1)).sum()) / (total * (total - 1))
    if expected <= 0:
        return _undefined(tasks)
    rare = float(apart.sum()) / total
    # Influence of a task on 1 - rare / expected, up to terms of order 1 / total.
    share = told.per_label / total
    common = np.bincount(owner, weights=times * share[label], minlength=tasks)
    chance = 1.0 - float((share**2).sum())
    pull = -(apart - rare * size) / expected
    pull -= rare / expected**2 * 2 * (common - (1 - chance) * size)
    return _interval(1.0 - rare / expected, pull * tasks / total, rare, expected)


def kappa(told: Ballots) -> Estimate:
    """Fleiss' kappa: every task weighs the same, whatever its number of votes.

    J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76 (1971);
    for varying numbers of votes a label's share is its mean over tasks (Gwet, Handbook of Inter-Rater
    Reliability, 4th ed. (2014), ch. 2). NaN where no votes meet or one label only was used.
    """
    owner, label, times = told.cells
    size, tasks = told.per_task, len(told.tasks)
    if not tasks:
        return _undefined(0)
    agreeing = np.bincount(owner, weights=times * (times - 1), minlength=tasks) / (size * (size - 1))
    part = times / size[owner]
    share = np.bincount(label, weights=part, minlength=len(told.labels)) / tasks
    chance = float((share**2).sum())
    if chance >= 1 - 1e-12:
        return _undefined(tasks)
    seen = float(agreeing.mean())
    common = np.bincount(owner, weights=part * share[label], minlength=tasks)
    pull = (agreeing - seen) / (1 - chance) - (1 - seen) / (1 - chance) ** 2 * 2 * (common - chance)
    return _interval((seen - chance) / (1 - chance), pull, 1 - seen, 1 - chance)


def observed(told: Ballots) -> Estimate:
    """Mean over tasks of the share of pairs of votes that agree (Fleiss 1971, P-bar); NaN without a pair."""
    owner, _, times = told.cells
    size, tasks = told.per_task, len(told.tasks)
    if not tasks:
        return _undefined(0)
    agreeing = np.bincount(owner, weights=times * (times - 1), minlength=tasks) / (size * (size - 1))
    seen = float(agreeing.mean())
    return _interval(seen, agreeing - seen, 1 - seen, 1.0, least=0.0)


def cohen_kappa(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Cohen's kappa of two answers to each of n tasks (J. Cohen 1960); the same worker twice, for instance.

    Args:
        first, second: object or int[n], the two answers.
    """
    n = len(first)
    if not n:
        return _undefined(0)
    codes, names = pd.factorize(np.concatenate([np.asarray(first, object), np.asarray(second, object)]))
    a, b, k = codes[:n], codes[n:], len(names)
    p, q = np.bincount(a, minlength=k) / n, np.bincount(b, minlength=k) / n
    chance, same = float(p @ q), (a == b).astype(float)
    if chance >= 1 - 1e-12:
        return _undefined(n)
    seen = float(same.mean())
    pull = (same - seen) / (1 - chance) - (1 - seen) / (1 - chance) ** 2 * (q[a] + p[b] - 2 * chance)
    return _interval((seen - chance) / (1 - chance), pull, 1 - seen, 1 - chance)


def accuracy_interval(right: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927, JASA 22): (0, 1) where nothing was counted.

    Raises:
        ValueError: unless 0 <= right <= n.
    """
    if not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} is impossible")
    return wilson(right / n if n else 0.0, n, level)


def wilson(share: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval for a share of `n` draws; `n` may be an effective number, not whole."""
    if n <= 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    # At the ends the formula gives exactly 0 and 1, but for the last bit.
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


def _interval(value: float, pull: np.ndarray, apart: float, chance: float, least: float = -1.0) -> Estimate:
    """A figure with its 95% interval.

    Args:
        pull: float64[n], the influence of each task, of mean zero. apart: the observed disagreement.
        chance: the disagreement by chance, which `apart` is divided by. least: the smallest value possible.
    """
    n = len(pull)
    if apart <= 1e-12:
        return Estimate(value, max(least, 1 - accuracy_interval(0, n)[1] / chance), 1.0, n)
    if n < 2:
        return Estimate(value, least, 1.0, n)
    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * math.sqrt(float((pull**2).sum()) / (n * (n - 1)))
    return Estimate(value, max(least, value - half), min(1.0, value + half), n)


def _undefined(n: int) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, n)
