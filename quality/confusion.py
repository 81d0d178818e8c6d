"""Where people disagree: category by category, and which two categories are taken for each other. Pure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import sparse

from quality.agreement import Ballots, wilson

PER_LABEL = ("label", "votes", "tasks", "agreement", "lo", "hi", "kappa", "kappa_lo", "kappa_hi")
PAIRS = ("first", "second", "tasks", "share", "rate", "times_chance")
Z = 1.959964


def per_category(told: Ballots) -> pd.DataFrame:
    """One row a label that was ever given, sorted by label; see PER_LABEL.

    `agreement`: when one person says this label, how often another says it too (specific agreement:
    D. V. Cicchetti and A. R. Feinstein, J. Clinical Epidemiology 43 (1990)). `kappa`: Fleiss' kappa of this
    label against all others (Fleiss 1971, eq. 19). Intervals of 95% with tasks as the sample.
    """
    owner, label, times = told.cells
    k, tasks, size = len(told.labels), len(told.tasks), told.per_task
    met = np.bincount(label, minlength=k)
    total = told.per_label
    safe = np.maximum(total, 1)
    together = times * (times - 1) / (size[owner] - 1)
    agreement = np.bincount(label, weights=together, minlength=k) / safe
    miss = (together - agreement[label] * times) ** 2
    spread = np.sqrt(np.bincount(label, weights=miss, minlength=k)) / safe
    lo, hi = _around(agreement, spread, met, 0.0)
    kappa, kappa_lo, kappa_hi = _kappas(told, met)
    columns = (
        told.labels, total.astype(int), met, agreement, lo, hi, kappa, kappa_lo, kappa_hi,
    )  # fmt: skip
    frame = pd.DataFrame(dict(zip(PER_LABEL, columns, strict=True)))
    return frame[frame["votes"] > 0].reset_index(drop=True) if tasks else frame.iloc[:0]


def _kappas(told: Ballots, met: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fleiss' kappa of each label against the others, with its interval; NaN where it is undefined."""
    owner, label, times = told.cells
    k, tasks, size = len(told.labels), max(len(told.tasks), 1), told.per_task
    part = times / size[owner]
    share = np.bincount(label, weights=part, minlength=k) / tasks
    n = size[owner]
    apart = 2 * times * (n - times) / (n * (n - 1))
    seen = np.bincount(label, weights=apart, minlength=k) / tasks
    chance = 2 * share * (1 - share)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(chance > 1e-12, 1 - seen / chance, math.nan)
        slope = seen / chance**2 * 2 * (1 - 2 * share)
        # A task on which nobody gave the label pulls by the same amount each; only the others are listed.
        rest = seen / chance - slope * share
        pull = -(apart - seen[label]) / chance[label] + slope[label] * (part - share[label])
        square = np.bincount(label, weights=pull**2, minlength=k) + (tasks - met) * rest**2
        lo, hi = _around(kappa, np.sqrt(square) / tasks, met, -1.0)
    return kappa, lo, hi


def _around(
    value: np.ndarray, spread: np.ndarray, n: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal intervals; where nothing varied, Wilson's for n tasks that all say the same."""
    lo, hi = np.maximum(value - Z * spread, least), np.minimum(value + Z * spread, 1.0)
    for place in np.flatnonzero(~(spread > 1e-9) & (n > 0) & ~np.isnan(value)):
        share = min(max(float(value[place]), 0.0), 1.0)
        lo[place], hi[place] = wilson(share, float(n[place]))
    return lo, hi


def confusions(told: Ballots, most: int = 20) -> pd.DataFrame:
    """The pairs of labels that split the most votes, the worst first; see PAIRS.

    `tasks`: on which both were said. `share`: of all disagreement between two people. `rate`: when somebody
    says one of the two, how often another says the other. `times_chance`: how much more often than if labels
    were dealt out at random.
    """
    weight = sparse.diags(1.0 / (told.per_task - 1))
    met = sparse.triu(told.times.T @ weight @ told.times, k=1).tocoo()
    first, second, often = met.row, met.col, met.data
    if not len(often):
        return pd.DataFrame(columns=list(PAIRS))
    both = (told.times > 0).astype(np.int64)
    tasks = sparse.csr_matrix(both.T @ both)
    whole, total = told.per_label, float(told.votes)
    order = np.lexsort((second, first, -np.round(often, 9)))[:most]
    first, second, often_shown = first[order], second[order], often[order]
    columns = (
        told.labels[first],
        told.labels[second],
        np.asarray(tasks[first, second]).ravel().astype(int),
        often_shown / often.sum(),
        2 * often_shown / (whole[first] + whole[second]),
        often_shown * (total - 1) / (whole[first] * whole[second]),
    )
    return pd.DataFrame(dict(zip(PAIRS, columns, strict=True)))


def split_tasks(told: Ballots, first: str, second: str, most: int = 4) -> list[str]:
    """The tasks whose votes are parted most evenly between two labels, the most telling first."""
    place = {name: i for i, name in enumerate(told.labels)}
    columns = told.times.tocsc()
    one = np.asarray(columns[:, place[first]].todense()).ravel()
    other = np.asarray(columns[:, place[second]].todense()).ravel()
    less = np.minimum(one, other)
    found = np.flatnonzero(less > 0)
    even = less[found] / told.per_task[found]
    order = np.lexsort((told.tasks[found].astype(str), -less[found], -np.round(even, 9)))
    return [str(task) for task in told.tasks[found[order[:most]]]]
