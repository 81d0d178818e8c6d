"""How much a worker's own record should weigh against the crowd's: beta-binomial strength by moments."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

MEAN_PRIOR = 10.0
"""Votes that stand behind a first guess of a share: of the crowd's mean, of a class's ease."""
MISTAKES_PRIOR = 1.0
"""Votes that stand, in each row of the crowd's mistakes, behind "mistakes go where that label is common"."""


def beta_strength(
    right: np.ndarray, n: np.ndarray, mean: np.ndarray | float, low: float, high: float
) -> float:
    """Strength (pseudo-votes) of a Beta prior around `mean` that explains how far records scatter.

    For a beta-binomial record, E[(right - n mean)^2] = n v (1 + (n - 1) / (strength + 1)), v = mean (1 -
    mean) (Kleinman 1973, JASA 68). Records that scatter no more than coins give `high`.

    Args:
        right, n: float64[m], right votes and votes. mean: the expected share, one or m of them.
    """
    expected: np.ndarray = np.clip(np.broadcast_to(np.asarray(mean, float), n.shape), 1e-3, 1 - 1e-3)
    some = n > 1
    variance = expected[some] * (1 - expected[some])
    square = (right[some] - n[some] * expected[some]) ** 2 / n[some]
    room = float((variance * (n[some] - 1)).sum())
    if room <= 0:
        return high
    scatter = float((square - variance).sum()) / room
    if scatter <= 0:
        return high
    return float(np.clip(1.0 / scatter - 1.0, low, high))


def crowd_levels(hits: np.ndarray, n: np.ndarray, n_labels: int) -> tuple[np.ndarray, float]:
    """Each worker's share of right votes, shrunk to the crowd's mean: float64[W]; and that mean.

    Args:
        hits, n: float64[W], right votes and votes. n_labels: K; the first guess of the mean is 70% of the way
            from chance to perfect.
    """
    guess = 0.7 + 0.3 / max(n_labels, 2)
    mean = float(np.clip((hits.sum() + MEAN_PRIOR * guess) / (n.sum() + MEAN_PRIOR), 0.02, 0.98))
    strength = beta_strength(hits, n, mean, low=2.0, high=50.0)
    return np.clip((hits + strength * mean) / (n + strength), 1e-3, 1 - 1e-3), mean


def eases(right: np.ndarray, seen: np.ndarray, mean: float) -> np.ndarray:
    """How much easier than the mean each class is for the crowd, in log-odds: float64[K].

    Args:
        right, seen: float64[K], right votes and votes on tasks of that class.
    """
    share = np.clip((right + MEAN_PRIOR * mean) / (seen + MEAN_PRIOR), 0.02, 0.98)
    return logit(share) - float(logit(mean))
