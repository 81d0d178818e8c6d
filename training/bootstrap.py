"""Intervals over both chances of a run: which test images were drawn, and which seeds.

The hierarchical (pigeonhole) bootstrap of crossed data (Owen 2007, "The pigeonhole bootstrap", Annals of
Applied Statistics 1(2)): images and seeds are drawn anew, independently of each other, and every cell takes
the product of its two weights. Arms share their draws, so that differences between arms are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

REPLICATES = 4000
LEVEL = 0.95
POWER = 0.80
Floats = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval. `draws`: float64[replicates], what the interval was read from."""

    value: float
    lo: float
    hi: float
    draws: Floats

    def as_dict(self) -> dict[str, float]:
        """The form in metrics.json, rounded to 1e-6."""
        return {"value": round(self.value, 6), "lo": round(self.lo, 6), "hi": round(self.hi, 6)}


class Bootstrap:
    """Draws for tables of float[seeds, images], the same for every table given to it.

    One seed fewer than there are is drawn: the variance over S drawn of S seeds is too small by (S-1)/S,
    which matters at 5 seeds. A single seed stands for itself and its chance is not in the interval.
    """

    def __init__(self, seeds: int, images: int, replicates: int = REPLICATES, key: int = 0) -> None:
        rng = np.random.default_rng([key, seeds, images])
        drawn = max(1, seeds - 1)
        self._seeds = rng.multinomial(drawn, np.full(seeds, 1 / seeds), replicates) / drawn
        self._images = rng.multinomial(images, np.full(images, 1 / images), replicates) / images

    def mean(self, table: Floats) -> Estimate:
        """The mean of float[seeds, images], accuracy or a paired difference, with its interval."""
        draws = np.einsum("bi,bi->b", self._seeds @ table.astype(np.float64), self._images)
        return estimate(float(table.mean()), draws)

    def difference(self, one: Floats, other: Floats) -> tuple[Estimate, float]:
        """`one` minus `other`, paired by seed and image, and its two-sided bootstrap p-value."""
        result = self.mean(one.astype(np.float64) - other.astype(np.float64))
        return result, two_sided_p(result.draws)


def estimate(value: float, draws: Floats) -> Estimate:
    """A figure with the percentile interval of its draws; replicates that gave no number are left out."""
    finite = draws[np.isfinite(draws)]
    if len(finite) == 0:
        return Estimate(value, float("nan"), float("nan"), draws)
    lo, hi = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(lo), float(hi), draws)


def two_sided_p(draws: Floats) -> float:
    """Twice the smaller share of draws on either side of 0, never below 2 / (replicates + 1)."""
    n = len(draws)
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return float(min(1.0, 2 * (tail + 1) / (n + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979): family-wise error at most the level, in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def smallest_difference(draws: Floats) -> float:
    """The true difference that a run like this one would call real in 80% of cases, at 5% two-sided."""
    factor = norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)
    return float(factor * np.std(draws))
