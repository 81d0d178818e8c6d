"""How good each worker is, with an interval, and which patterns of answers a person should look at.

Flags are evidence, never a verdict: nothing here takes work or pay from anyone. They are kept rare: a worker
who is merely bad at hard pictures is not flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta, binom

FEWEST_VOTES = 20
"""Nobody is flagged on fewer votes that are evidence."""
FALSE_ALARM = 1e-3
"""Probability, for one honest worker, of crossing a flag's line; shared among all workers (Bonferroni)."""
PRIOR_VOTES = 4.0
"""Votes that the crowd's mean is worth in a worker's skill."""
CONSTANT_SHARE = 0.95
NO_BETTER = 0.4
"""A random clicker is below this part of the way from chance to the crowd's mean."""


@dataclass(frozen=True)
class Flag:
    """A pattern worth a look: a slug for tables, and a sentence with the figures for people."""

    worker: str
    slug: str
    evidence: str


def skill_intervals(
    right: np.ndarray, n: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skill (posterior mean) and the ends of its interval, each float64[W], from a Beta posterior.

    The prior is the crowd's mean, worth PRIOR_VOTES votes.

    Args:
        right: float64[W], votes that are right: 1 or 0 where gold says, else how likely the vote is right.
        n: votes in all. level: probability inside the interval.
    """
    mean = float(np.clip((right.sum() + 1.0) / (n.sum() + 2.0), 0.01, 0.99))
    a = PRIOR_VOTES * mean + right
    b = PRIOR_VOTES * (1 - mean) + np.maximum(n - right, 0.0)
    tail = (1 - level) / 2
    return a / (a + b), beta.ppf(tail, a, b), beta.isf(tail, a, b)


def peer_support(
    task: np.ndarray, worker: np.ndarray, label: np.ndarray, weight: np.ndarray, gold: np.ndarray
) -> np.ndarray:
    """float64[n]: how far the *other* workers' votes back each vote; 1 or 0 where gold is known; NaN where
    nobody else voted. A worker's own vote must not vouch for itself.

    Args:
        task, worker, label: int64[n]. weight: float64[W], how much each worker's word is worth, above 0.
        gold: int64[T], the known label or -1.
    """
    own = weight[worker]
    total = np.bincount(task, weights=own, minlength=len(gold))[task] - own
    _, cell = np.unique(np.stack([task, label]), axis=1, return_inverse=True)
    same = np.bincount(cell, weights=own)[cell] - own
    alone = np.bincount(task, minlength=len(gold))[task] < 2
    support = np.where(alone, np.nan, same / np.where(alone, 1.0, total))
    return np.where(gold[task] >= 0, gold[task] == label, support)


def spam_flags(
    workers: Sequence[str],
    worker: np.ndarray,
    label: np.ndarray,
    chance_of: np.ndarray,
    n_labels: int,
) -> list[Flag]:
    """Constant answerers and random clickers, by worker.

    Args:
        workers: names. worker, label: int64[n], the votes that are evidence.
        chance_of: float64[n], how likely each vote's label is, from the consensus *without that vote* if
        possible. n_labels: labels to choose from.
    """
    if n_labels < 2 or not len(worker):
        return []
    n = np.bincount(worker, minlength=len(workers))
    line = FALSE_ALARM / max(int((n >= FEWEST_VOTES).sum()), 1)
    table = pd.DataFrame({"worker": worker, "label": label})
    counts = table.value_counts(sort=False).rename("times").reset_index()
    common = np.bincount(label, weights=chance_of, minlength=n_labels) + 1.0
    common = common / common.sum()
    right = np.bincount(worker, weights=chance_of, minlength=len(workers))
    crowd = float(right.sum() / max(n.sum(), 1))
    top = counts.sort_values(["worker", "times", "label"], ascending=[True, False, True]).drop_duplicates(
        "worker"
    )
    counts["guess"] = counts["times"] * common[counts["label"]]
    chance = counts.groupby("worker")["guess"].sum()
    flags = []
    for w, favourite, times in top[["worker", "label", "times"]].itertuples(index=False):
        if n[w] < FEWEST_VOTES:
            continue
        by_chance = float(chance[w]) / n[w]
        if times >= CONSTANT_SHARE * n[w] and binom.sf(times - 1, n[w], common[favourite]) < line:
            flags.append(Flag(workers[w], "constant", _constant(int(times), int(n[w]), common[favourite])))
        elif _no_better(right[w], int(n[w]), by_chance, crowd, line):
            flags.append(Flag(workers[w], "random", _random(right[w] / n[w], int(n[w]), by_chance, crowd)))
    return flags


def _no_better(right: float, n: int, by_chance: float, crowd: float, line: float) -> bool:
    """Whether even the upper end of the worker's agreement lies near what blind clicking gives."""
    bar = by_chance + NO_BETTER * (crowd - by_chance)
    if crowd - by_chance < 0.1:
        return False
    return bool(beta.isf(line, right + 0.5, n - right + 0.5) < bar)


def _constant(times: int, n: int, common: float) -> str:
    return (
        f"gave one and the same answer {times} of {n} times; that answer is right for {common:.0%} of tasks"
    )


def _random(share: float, n: int, by_chance: float, crowd: float) -> str:
    return (
        f"agrees with the others on {share:.0%} of {n} votes; blind clicking would give {by_chance:.0%}, "
        f"the crowd has {crowd:.0%}"
    )
