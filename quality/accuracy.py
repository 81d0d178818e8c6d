"""How many of the labels are right: by known answers, and by what the confidences promise. Pure.

Two figures are given side by side, because each can mislead. Known answers judge the labels from outside, but
they are few, and speak for the dataset only if the pictures were drawn at random. Confidences cover every
picture, but they come from the very votes that they judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from quality.aggregation.accuracy import SPREAD
from quality.agreement import Estimate, wilson

FEWEST = 5
"""Known answers in a category of its own; rarer ones are taken together."""
EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Of the reliability diagram: narrow where labels are settled."""
FEW_IN_BIN = 200
"""A calibration error is said only of bins that hold so many."""


class Bin(NamedTuple):
    """Labels of a stated confidence from `lo` to `hi`: how many, what they promise, how many are right."""

    lo: float
    hi: float
    n: int
    stated: float
    right: float
    right_lo: float
    right_hi: float


class Calibration(NamedTuple):
    """`bins` hold at least one answer each. `error`: expected calibration error; NaN with no answer."""

    bins: list[Bin]
    error: float


def poststratified(category: Sequence[object], right: np.ndarray) -> Estimate:
    """Share of all labels that are right, from those with a known answer; each category weighs as its size.

    Where votes stop early, the pictures with an answer may hold other categories than the dataset does; so
    the shares of categories are taken from the dataset, and only the accuracy within them from the answers.
    The interval is Wilson's for the effective number of answers (L. Kish, Survey Sampling (1965), 11.2;
    stratified variance with each category's share smoothed towards the whole by one answer).

    Args:
        category: label of every picture. right: float64[n]: 1 right, 0 wrong, NaN unknown.

    Returns:
        the estimate; NaN and n = 0 where nothing is known.
    """
    known = ~np.isnan(right)
    n = int(known.sum())
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0)
    names, code = np.unique(np.asarray(category).astype(str), return_inverse=True)
    asked = np.bincount(code[known], minlength=len(names))
    code = np.where(asked[code] >= FEWEST, code, len(names))  # the last stratum: all that are rarely known
    asked = np.bincount(code[known], minlength=len(names) + 1)
    good = np.bincount(code[known], weights=right[known], minlength=len(names) + 1)
    weight = np.bincount(code, minlength=len(names) + 1) / len(code)
    whole = float(good.sum()) / n
    smooth = (float(good.sum()) + 1) / (n + 2)
    some = asked > 0
    # Where nobody knows an answer, the whole's accuracy stands in.
    value = float((weight[some] * good[some] / asked[some]).sum() + weight[~some].sum() * whole)
    part = (good[some] + smooth) / (asked[some] + 1)
    spread = float((weight[some] ** 2 * part * (1 - part) / asked[some]).sum())
    spread += float(weight[~some].sum()) ** 2 * smooth * (1 - smooth) / n
    worth = min(float(n), smooth * (1 - smooth) / spread)
    value = min(max(value, 0.0), 1.0)
    return Estimate(value, *wilson(value, worth), n)


def promised(confidence: np.ndarray) -> Estimate:
    """Share of right labels if every confidence means what it says.

    The interval tells how far the words of other crowds were from the truth (`aggregation.accuracy.SPREAD`,
    in log-odds): nothing in the votes themselves could narrow it.
    """
    n = len(confidence)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(confidence.mean())
    odds = float(logit(min(max(value, 0.5 / (n + 1)), 1 - 0.5 / (n + 1))))
    lo, hi = (float(expit(odds + side * 1.959964 * SPREAD)) for side in (-1, 1))
    return Estimate(value, min(lo, value), max(hi, value), n)


def calibration(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    """Stated confidence against the share that is right, in the bins of EDGES (upper ends included).

    Expected calibration error: C. Guo et al., "On Calibration of Modern Neural Networks" (2017), eq. 3.

    Args:
        confidence: float64[n]. right: float64[n]: 1, 0, or NaN where no answer is known (left out).
    """
    known = ~np.isnan(right)
    confidence, right = confidence[known], right[known]
    place = np.clip(np.searchsorted(EDGES, confidence, "left") - 1, 0, len(EDGES) - 2)
    bins, error = [], 0.0
    for i in range(len(EDGES) - 1):
        inside = place == i
        n = int(inside.sum())
        if not n:
            continue
        stated, good = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append(Bin(EDGES[i], EDGES[i + 1], n, stated, good, *wilson(good, n)))
        error += n / len(right) * abs(stated - good)
    return Calibration(bins, error if bins else math.nan)


def verdict(known: Estimate, stated: Estimate) -> str:
    """What the two figures say together.

    `unproven` (no answer is known), `agree`, `too_sure` or `too_modest` (the confidences promise more, or
    less, than the interval of the known answers allows).
    """
    if not known.n:
        return "unproven"
    if stated.value > known.hi:
        return "too_sure"
    return "too_modest" if stated.value < known.lo else "agree"
