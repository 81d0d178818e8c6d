"""Intervals over both chances of a run: which test images were drawn, and which seeds.

A hierarchical bootstrap of crossed data. Images are drawn anew with replacement. Seeds are too few to be
drawn anew (five values have no tails): each replicate moves the mean by the seeds' own deviations, each times
a normal number, all divided by one chi, so that the seeds' part has Student's t of S - 1 degrees of freedom.
The chance of single predictions is in the deviations of the seeds' means and again in those of the images';
from the latter, of which there are many, it is taken off by the analysis of variance (Searle, Casella &
McCulloch 1992, "Variance Components", section 4.3). The plain product of weights counts it three times (Owen
2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2)). All arms share their draws, so that
differences between arms are paired.

How often 95% intervals held the truth in 2,000 made-up experiments each of 5 seeds and 400 images (binomial
error of a share: 0.5 points), and their mean width in points. `plain`: the pigeonhole bootstrap, S - 1 of S
seeds being drawn.

| chance is mostly of | this bootstrap | plain |
|---|---|---|
| images              | 94.2%, 8.8     | 94.5%, 8.8 |
| seeds               | 95.2%, 12.7    | 95.8%, 10.8 |
| single predictions  | 95.7%, 5.4     | 100.0%, 7.0 |
| all three           | 95.5%, 7.5     | 98.8%, 8.0 |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from quality.agreement import wilson

REPLICATES = 4000
FEWEST_REPLICATES = 400
MOST_CELLS = 100_000_000
"""Replicates times images; of very many images fewer replicates are drawn."""
LEVEL = 0.95
POWER = 0.80
CHUNK = 250
SMALLEST = 5e-4
"""A difference below it, which reads as 0.0 points, is none."""
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

    A single seed stands for itself and its chance is not in the interval.
    """

    def __init__(self, seeds: int, images: int, replicates: int = REPLICATES, key: int = 0) -> None:
        rng = np.random.default_rng([key, seeds, images])
        replicates = affordable(images, replicates)
        self._images = np.concatenate(list(_drawn(rng, images, replicates)))
        self._seeds = rng.standard_normal((replicates, seeds))
        if seeds > 1:
            chi = np.sqrt(rng.chisquare(seeds - 1, replicates) / (seeds - 1))
            self._seeds /= (chi * np.sqrt(seeds * (seeds - 1)))[:, None]

    def mean(self, table: Floats) -> Estimate:
        """The mean of float[seeds, images], such as a paired difference, with its interval."""
        table = table.astype(np.float64)
        value, by_seed = table.mean(), table.mean(axis=1)
        by_image = value + _own_share(table) * (table.mean(axis=0) - value)
        draws = self._means(by_image)
        if len(by_seed) > 1:
            draws = draws + self._seeds @ (by_seed - value)
        return estimate(float(value), draws)

    def accuracy(self, table: Floats) -> Estimate:
        """The mean of a table of 0 and 1, within 0 and 1; Wilson's interval where all are right, or wrong."""
        found = self.mean(table)
        if found.value not in (0.0, 1.0):
            return Estimate(found.value, max(found.lo, 0.0), min(found.hi, 1.0), found.draws)
        lo, hi = wilson(found.value, float(table.shape[1]))
        return Estimate(found.value, lo, hi, found.draws)

    def calibration_error(self, gaps: Floats) -> Estimate:
        """Expected calibration error, the mean over seeds, with the chance of images.

        Resampled gaps are larger than gaps, because absolute values never cancel: the draws are moved back to
        the value (bias-corrected percentiles would not reach so far).

        Args:
            gaps: float[seeds, images, bins], confidence less correctness in the prediction's bin, else 0.
        """
        value = float(np.abs(gaps.mean(axis=1)).sum(axis=1).mean())
        seeds, images, bins = gaps.shape
        means = self._means(gaps.transpose(1, 0, 2).reshape(images, seeds * bins))
        draws = np.abs(means).sum(axis=1) / seeds
        return estimate(value, np.maximum(draws - draws.mean() + value, 0.0))

    def _means(self, values: Floats) -> Floats:
        """Means over images drawn anew, float64[replicates, ...] of float[images, ...]."""
        parts = [
            self._images[start : start + CHUNK].astype(np.float64) @ values
            for start in range(0, len(self._images), CHUNK)
        ]
        return np.concatenate(parts) / len(values)

    def difference(self, one: Floats, other: Floats) -> tuple[Estimate, float]:
        """`one` minus `other`, of 0 and 1, paired by seed and image, and its two-sided bootstrap p-value."""
        found = self.mean(one.astype(np.float64) - other.astype(np.float64))
        bounded = Estimate(found.value, max(found.lo, -1.0), min(found.hi, 1.0), found.draws)
        return bounded, two_sided_p(found.draws)


def affordable(images: int, replicates: int = REPLICATES) -> int:
    """Replicates that so many images allow."""
    return max(min(replicates, FEWEST_REPLICATES), min(replicates, MOST_CELLS // max(images, 1)))


def resampled_means(values: Floats, key: int = 0) -> Floats:
    """float64[replicates, columns]: means of the columns of float[images, columns] over images drawn anew.

    Columns share their draws.
    """
    rng = np.random.default_rng([key, len(values)])
    parts = _drawn(rng, len(values), affordable(len(values)))
    return np.concatenate([part.astype(np.float64) @ values for part in parts]) / len(values)


def _drawn(rng: np.random.Generator, images: int, replicates: int) -> Iterator[np.ndarray]:
    """uint8[up to CHUNK, images]: how often each image is drawn, `replicates` rows in all."""
    for start in range(0, replicates, CHUNK):
        rows = min(CHUNK, replicates - start)
        counts = np.empty((rows, images), np.uint8)  # more than 255 of one image does not happen
        for row in range(rows):
            counts[row] = np.bincount(rng.integers(0, images, images), minlength=images)
        yield counts


def _own_share(table: Floats) -> float:
    """0 to 1: what part of the images' mean deviations is the images' own, not that of single cells."""
    seeds, images = table.shape
    if seeds < 2 or images < 2:
        return 1.0
    of_image, of_seed = table.mean(axis=0) - table.mean(), table.mean(axis=1)
    between = seeds * float((of_image**2).sum()) / (images - 1)
    rest = table - of_image - of_seed[:, None]
    single = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    return float(np.sqrt(max(0.0, 1.0 - single / between))) if between > 0 else 0.0


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


def tail_p(table: Floats) -> float | None:
    """Two-sided p-value of the mean of float[seeds, images], far in the tail, where too few replicates lie.

    Student's t; degrees of freedom by Welch and Satterthwaite (Welch 1947, Biometrika 34). None where nothing
    varies.
    """
    seeds, images = table.shape
    of_images, of_seeds = _variances(table)
    total = of_images + of_seeds
    if total <= 0:
        return None
    uncertain = of_images**2 / (images - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    return float(2 * stdtr(total**2 / uncertain, -abs(float(table.mean())) / np.sqrt(total)))


def _variances(table: Floats) -> tuple[float, float]:
    """What images and seeds add to the variance of the mean of float[seeds, images]."""
    seeds, images = table.shape
    share = _own_share(table) ** 2
    of_images = share * float(table.mean(axis=0).var(ddof=1)) / images if images > 1 else 0.0
    return of_images, float(table.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0


def needed(table: Floats) -> tuple[float | None, float | None, float] | None:
    """What it would take to see, in 80% of cases at 5%, a difference as large as the measured one.

    Args:
        table: float[seeds, images], a paired difference.

    Returns:
        How many images with as many seeds, how many seeds with as many images (None: no number of them is
        enough), and what both would have to be multiplied by; None where nothing was measured.
    """
    seeds, images = table.shape
    value = float(table.mean())
    if abs(value) < SMALLEST or images < 2:
        return None
    of_images, of_seeds = _variances(table)
    wanted = (value / (float(ndtri((1 + LEVEL) / 2)) + float(ndtri(POWER)))) ** 2
    more_images = images * of_images / (wanted - of_seeds) if wanted > of_seeds else None
    more_seeds = seeds * of_seeds / (wanted - of_images) if wanted > of_images else None
    return more_images, more_seeds, (of_images + of_seeds) / wanted


def smallest_difference(difference: Estimate) -> float:
    """The true difference that a run like this one would call real in 80% of cases, at 5% two-sided.

    From half the interval's width, so that the few seeds' wider tails count.
    """
    critical = float(ndtri((1 + LEVEL) / 2))
    return (difference.hi - difference.lo) / 2 * (critical + float(ndtri(POWER))) / critical
