"""Differences between runs, paired by test picture and seed.

All figures rest on the same pictures and, where runs have more, on the seeds that both have. The first run is
the base. One comparison was named before: each run with the base under one arm. Other arms and the categories
are families of their own, under Holm's correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ingest.progress import progress
from training.comparison.runs import Run
from training.comparison.shared import Shared, by_group
from training.statistics.bootstrap import (
    LEVEL,
    Bootstrap,
    Estimate,
    holm,
    needed,
    smallest_difference,
    tail_p,
)
from training.trained import TrainedError, preferred

_bootstrap = lru_cache(maxsize=8)(Bootstrap)  # drawn once for all arms and all categories of a size
FEWEST = 5
"""Test pictures of a category below which it has no interval."""


@dataclass(frozen=True)
class Difference:
    """A run less the base. `of`: the arm or category; `n`: test pictures; `seeds`: those that both have.

    `p_holm`: among its family, or `p` where it is alone. `difference`: without interval (and p 1) where there
    are too few pictures.
    """

    run: str
    of: str
    n: int
    seeds: int
    base: float
    other: float
    difference: Estimate
    p: float
    p_holm: float = 1.0
    needs: tuple[float | None, float | None, float] | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the data tell the two apart at 5%."""
        return self.p_holm <= 1 - LEVEL and not self.difference.lo <= 0 <= self.difference.hi

    @property
    def smallest(self) -> float:
        """The true difference that would have been seen in 80% of cases."""
        return smallest_difference(self.difference)


@dataclass(frozen=True)
class Comparison:
    """`arm`: the one that was named; `arms`: those that all runs have. `accuracy`: arm -> run -> on what is
    shared. `primary`: of each run but the base. `others`: of other arms; `categories`: of the named arm."""

    runs: tuple[Run, ...]
    shared: Shared
    arm: str
    arms: tuple[str, ...]
    accuracy: dict[str, dict[str, Estimate]]
    primary: tuple[Difference, ...]
    others: tuple[Difference, ...]
    categories: tuple[Difference, ...]

    @property
    def base(self) -> Run:
        """The run that all others are held against."""
        return self.runs[0]


def compare(runs: Sequence[Run], shared: Shared, arm: str | None = None) -> Comparison:
    """Hold every run against the first.

    Raises:
        TrainedError: no arm, or not that arm, is in all runs; a run has no seed of the base's.
    """
    arms = [name for name in runs[0].right if all(name in run.right for run in runs)]
    if not arms:
        told = "; ".join(f"{run.name}: {', '.join(run.right)}" for run in runs)
        raise TrainedError(f"the runs share no arm ({told})")
    if arm is not None and arm not in arms:
        raise TrainedError(f"not all runs have the arm {arm}; they share {', '.join(arms)}")
    named = arm or preferred(arms)
    whole = np.ones(len(shared.images), dtype=bool)
    pairs = [(run, name) for run in runs[1:] for name in arms]
    steps = progress(pairs, total=len(pairs), what="compare", unit="arm")
    rows = [_difference(name, runs[0], run, shared, name, whole) for run, name in steps]
    categories = [_by_category(named, runs[0], run, shared) for run in runs[1:]]
    return Comparison(
        runs=tuple(runs),
        shared=shared,
        arm=named,
        arms=tuple(arms),
        accuracy={name: {run.name: _accuracy(run, shared, name) for run in runs} for name in arms},
        primary=_corrected([row for row in rows if row.of == named]),
        others=_corrected([row for row in rows if row.of != named]),
        categories=tuple(row for family in categories for row in family),
    )


def _by_category(arm: str, base: Run, run: Run, shared: Shared) -> tuple[Difference, ...]:
    names = sorted(set(shared.labels))
    steps = progress(names, total=len(names), what=run.name, unit="category")
    return _corrected([_difference(arm, base, run, shared, name, shared.labels == name) for name in steps])


def _difference(arm: str, base: Run, run: Run, shared: Shared, of: str, inside: np.ndarray) -> Difference:
    """One arm of two runs on the shared pictures that are `inside` (bool[n])."""
    one, other, seeds = _tables(base, run, arm, shared)
    groups = shared.groups[inside]
    table = by_group(other[:, inside].astype(np.float64) - one[:, inside], groups)
    means = float(one[:, inside].mean()), float(other[:, inside].mean())
    n, units = int(inside.sum()), table.shape[1]
    if units < FEWEST:
        nothing = Estimate(means[1] - means[0], float("nan"), float("nan"), np.array([]))
        return Difference(run.name, of, n, seeds, *means, nothing, 1.0)
    found, p = _bootstrap(seeds, units).difference(table, np.zeros_like(table))
    if not (found.draws * np.sign(found.value) <= 0).any():
        # As small as replicates can say: too large for Holm over many categories.
        p = min(p, tail_p(table) or p)
    found = replace(found, lo=max(found.lo, -1.0), hi=min(found.hi, 1.0))
    return Difference(run.name, of, n, seeds, *means, found, p, needs=needed(table))


def _tables(base: Run, run: Run, arm: str, shared: Shared) -> tuple[np.ndarray, np.ndarray, int]:
    """bool[seeds, n] of two runs, on the seeds that both have."""
    both = sorted(set(base.seeds[arm]) & set(run.seeds[arm]))
    if not both:
        raise TrainedError(f"{base.name} and {run.name} share no seed of {arm}")
    one, other = (
        each.right[arm][[each.seeds[arm].index(seed) for seed in both]][:, shared.columns(each)]
        for each in (base, run)
    )
    return one, other, len(both)


def _accuracy(run: Run, shared: Shared, arm: str) -> Estimate:
    """Of all seeds that the run has."""
    table = run.right[arm][:, shared.columns(run)]
    if shared.units == len(shared.images):
        return _bootstrap(len(table), table.shape[1]).accuracy(table)
    grouped = by_group(table, shared.groups)
    return _bootstrap(len(table), grouped.shape[1]).mean(grouped)


def _corrected(rows: Sequence[Difference]) -> tuple[Difference, ...]:
    """A family with Holm's p, those without an interval aside."""
    judged = [row for row in rows if len(row.difference.draws)]
    adjusted = dict(zip(map(id, judged), holm([row.p for row in judged]), strict=True))
    return tuple(replace(row, p_holm=adjusted.get(id(row), 1.0)) for row in rows)
