"""How much a worker's own record should weigh against the crowd's: beta-binomial strength by moments."""

from __future__ import annotations

import numpy as np


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
