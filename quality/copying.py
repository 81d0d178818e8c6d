"""Workers who hand in another worker's answers.

Two good workers give the same right answers, and a hard picture misleads both alike; neither is copying. What
tells is that B gives A's answers, the odd ones too, more often than the pictures explain. B's chance of
saying what A said is foreseen from everyone else *and A* (`quality.peers`), so that a mistake which the
picture invites is expected; and it is at least B's own habit. Then

- *copying*: B says what A said with probability 0.97;
- *independent*: with probability rho + (1 - rho) times the foreseen chance. rho is what the two have in
  common beyond the picture (schooling, taste, skill); its distribution is fitted to the pairs of this crowd.

The ratio of the two is an e-value (see `quality.spam`). A pair is named where it exceeds the number of
partners tried with either worker over FALSE_ALARM, so that at most this share of honest workers is named in
a batch. Only pairs that share FEWEST_SHARED tasks are tried, found through the rarer answers that they have
in common: near-linear in the votes. A ring larger than the honest voters of its tasks looks like the crowd
and is not found.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import betainc, logsumexp

from quality.peers import Ballots, Floats, Ints

FEWEST_SHARED = 50
FEWEST_ODD = 2
FALSE_ALARM = 0.002
FAITHFUL = 0.97
FEWEST_LEARNT, MOST_LEARNT = 15, 300
"""Pairs that share less are not named, but tell what honest pairs have in common; so many are looked at."""
PRIOR_PAIRS, PRIOR_RHO = 10.0, 0.1
LARGEST_CELL = 25
"""An answer that more workers gave on one task is no rare one; pairs are not looked for in it."""
RHO = np.linspace(0.0, 0.8, 17)
_MEANS, _STRENGTHS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45]), np.array([4.0, 12.0, 40.0])
_COPIED = (0.02, 0.1, 0.3, 0.6)
"""Shares of the pairs looked at that may be copies."""


class Copies(NamedTuple):
    """Pairs that look copied: `first`, `second` int64[p] workers; `shared` tasks, `agreed` answers; `odd`
    ones of the first, `same` of these given by the second too, `expected`: how many by chance."""

    first: Ints
    second: Ints
    shared: Ints
    agreed: Ints
    odd: Ints
    same: Ints
    expected: Floats


def find_copies(ballots: Ballots, kappa: float, base: Floats) -> Copies:
    """Find the pairs.

    Args:
        kappa, base: the urn of `quality.peers`: float64[K] shares of the crowd's answers, and how many votes
            they are worth.
    """
    votes = _Sorted.of(ballots, kappa, base)
    found: list[_Pair] = []
    fewer: list[_Pair] = []
    for a, b in _candidates(ballots):
        pair = votes.compare(a, b, FEWEST_SHARED if len(fewer) >= MOST_LEARNT else FEWEST_LEARNT)
        if pair is not None and len(pair.same) < FEWEST_SHARED:
            fewer.append(pair)
        elif pair is not None and pair.odd.sum() >= FEWEST_ODD:
            found.append(pair)
    if not found:
        return _copies([])
    evidence = _weigh([(pair.same, pair.chance) for pair in found + fewer])[: len(found)]
    first, second = np.array([p.first for p in found]), np.array([p.second for p in found])
    partners = np.bincount(np.concatenate([first, second]), minlength=ballots.n_workers)
    line = np.log(np.maximum(partners[first], partners[second]) / FALSE_ALARM)
    named = [pair for pair, good in zip(found, evidence >= line, strict=True) if good]
    return _copies(named)


class _Pair(NamedTuple):
    """Two workers on the tasks that both voted on: whether the first's answer was `odd`, whether the second
    gave the `same`, and how likely that was (`chance`)."""

    first: int
    second: int
    odd: np.ndarray
    same: np.ndarray
    chance: Floats


def _copies(pairs: list[_Pair]) -> Copies:
    def column(numbers: Iterable[float], kind: type = np.int64) -> np.ndarray:
        return np.fromiter(numbers, kind, len(pairs))

    return Copies(
        column(p.first for p in pairs),
        column(p.second for p in pairs),
        column(len(p.same) for p in pairs),
        column(p.same.sum() for p in pairs),
        column(p.odd.sum() for p in pairs),
        column(p.same[p.odd].sum() for p in pairs),
        column((p.chance[p.odd].sum() for p in pairs), float),
    )


class _Sorted(NamedTuple):
    """Votes sorted by worker, then task (a worker's begin at `start`), and how many votes each (task, label)
    cell got (a task's cells begin at `cell_first`)."""

    task: Ints
    label: Ints
    start: Ints
    cell_first: Ints
    cell_label: Ints
    cell_votes: Ints
    kappa: float
    base: Floats

    @classmethod
    def of(cls, ballots: Ballots, kappa: float, base: Floats) -> _Sorted:
        order = np.lexsort((ballots.task, ballots.worker))
        k = max(ballots.n_labels, 1)
        keys, times = np.unique(ballots.task * k + ballots.label, return_counts=True)
        start = np.searchsorted(ballots.worker[order], np.arange(ballots.n_workers + 1))
        first = np.searchsorted(keys // k, np.arange(len(ballots.gold) + 1))
        return cls(ballots.task[order], ballots.label[order], start, first, keys % k, times, kappa, base)

    def compare(self, a: int, b: int, fewest: int) -> _Pair | None:
        """The two workers on the tasks that both voted on; None where these are fewer than `fewest`."""
        mine, his = (slice(self.start[w], self.start[w + 1]) for w in (a, b))
        both, i, j = np.intersect1d(self.task[mine], self.task[his], assume_unique=True, return_indices=True)
        if len(both) < fewest:
            return None
        of_a, of_b = self.label[mine][i], self.label[his][j]
        as_a, most_else, others = self._others(both, of_a, of_b)
        odd = most_else > as_a
        same = of_a == of_b
        foreseen = (as_a + 1 + self.kappa * self.base[of_a]) / (others + 1 + self.kappa)
        # Two people who nearly always say the same agree without copying.
        often = np.bincount(self.label[his], minlength=len(self.base))
        habit = (often[of_a] - same) / max(self.start[b + 1] - self.start[b] - 1, 1)
        chance = np.clip(np.maximum(foreseen, habit), 1e-4, 1 - 1e-4)
        return _Pair(a, b, odd, same, chance)

    def _others(self, tasks: Ints, of_a: Ints, of_b: Ints) -> tuple[Ints, Ints, Ints]:
        """Votes without the two, on each task: for a's answer, for the most frequent other one, and all."""
        sizes = self.cell_first[tasks + 1] - self.cell_first[tasks]
        row = np.repeat(np.arange(len(tasks)), sizes)
        at = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + self.cell_first[tasks][row]
        label = self.cell_label[at]
        as_a = label == of_a[row]
        left = self.cell_votes[at] - as_a - (label == of_b[row])
        votes_a, votes_else = np.zeros(len(tasks), np.int64), np.zeros(len(tasks), np.int64)
        votes_a[row[as_a]] = left[as_a]
        np.maximum.at(votes_else, row[~as_a], left[~as_a])
        return votes_a, votes_else, np.bincount(row, weights=left, minlength=len(tasks)).astype(np.int64)


def _candidates(ballots: Ballots) -> list[tuple[int, int]]:
    """Pairs of workers with FEWEST_SHARED votes each that gave FEWEST_ODD contested answers in common."""
    busy = np.bincount(ballots.worker, minlength=ballots.n_workers) >= FEWEST_SHARED
    keep = busy[ballots.worker]
    k = max(ballots.n_labels, 1)
    key, worker = (ballots.task * k + ballots.label)[keep], ballots.worker[keep]
    per_task = np.bincount(ballots.task, minlength=len(ballots.gold))
    order = np.lexsort((worker, key))
    key, worker = key[order], worker[order]
    cell, first, size = np.unique(key, return_index=True, return_counts=True)
    usable = (size >= 2) & (size <= LARGEST_CELL) & (size < per_task[cell // k])
    found: list[Ints] = []
    for times in np.unique(size[usable]):
        members = worker[first[usable & (size == times)][:, None] + np.arange(times)]
        i, j = np.triu_indices(int(times), 1)
        found.append((members[:, i] * ballots.n_workers + members[:, j]).ravel())
    if not found:
        return []
    pairs, common = np.unique(np.concatenate(found), return_counts=True)
    pairs = pairs[common >= FEWEST_ODD]
    return list(zip((pairs // ballots.n_workers).tolist(), (pairs % ballots.n_workers).tolist(), strict=True))


def _weigh(pairs: list[tuple[np.ndarray, Floats]]) -> Floats:
    """float64[p]: log e-value of copying against independent work."""
    alike = np.array([[_log_likelihood(same, p, rho) for rho in RHO] for same, p in pairs])
    copied = np.array([_log_likelihood(same, p, FAITHFUL) for same, p in pairs])
    edges = np.linspace(0, 1, len(RHO) + 1)
    best, chosen = -np.inf, np.full(len(RHO), 1.0 / len(RHO))
    for mean, strength in product(_MEANS, _STRENGTHS):
        mass = np.diff(betainc(mean * strength, (1 - mean) * strength, edges)) + 1e-4
        mass /= mass.sum()
        honest = logsumexp(alike + np.log(mass), axis=1)
        for share in _COPIED:
            mixed = np.logaddexp(np.log1p(-share) + honest, np.log(share) + copied)
            merit = float(mixed.sum()) + _prior(mean, strength, share)
            if merit > best:
                best, chosen = merit, mass
    return copied - logsumexp(alike + np.log(chosen), axis=1)


def _prior(mean: float, strength: float, share: float) -> float:
    """What pairs have in common, before any was seen: as in ten pairs of rho 0.1; few of them copies.

    In real crowds (adult2, anesthesia, bluebirds, dog, product, rte) the middle pair's rho is
    0 to 0.05, and nine in ten are below 0.35 where they share 50 tasks.
    """
    alike = PRIOR_PAIRS * (PRIOR_RHO * np.log(mean) + (1 - PRIOR_RHO) * np.log1p(-mean))
    return float(alike + np.log(strength) - strength / 12.0 + 4.0 * np.log1p(-share))


def _log_likelihood(same: np.ndarray, chance: Floats, rho: float) -> float:
    agree = rho + (1 - rho) * chance
    return float(np.log(np.where(same, agree, np.maximum(1 - agree, 1e-12))).sum())
