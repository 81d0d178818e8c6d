"""How sure one may be, learned from gold: the last word on the probabilities of a whole mixture.

Two numbers: a power that sharpens or flattens every task's probabilities (temperature scaling: Guo, Pleiss,
Sun, Weinberger 2017, ICML, section 4.2), and a slip, the chance that a task is one where everybody is wrong,
which no agreement can take away. Neither changes which label leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Floats = np.ndarray
POWERS = np.exp(np.linspace(-1.5, 0.75, 46))
SLIPS = np.r_[0.0, 0.002, 0.005, np.arange(0.01, 0.4, 0.01)]
POWER_SPREAD = 0.25
"""Standard deviation of the logarithm of the power before any gold was seen. Of 0.1 to 0.5, 0.2 and 0.3 gave
the smallest mean calibration error on seven public crowds and thinned copies of them, with 20, 60 and 200
gold (0.045, 0.040, 0.027 instead of 0.048, 0.043, 0.035)."""
SLIP_DOUBT = 30.0
"""Gold tasks without a slip that stand behind there being none."""


@dataclass(frozen=True)
class Calibration:
    """`power`: above 1 is surer; `slip`: the share given to all labels alike."""

    power: float = 1.0
    slip: float = 0.0

    def applied(self, table: Floats) -> Floats:
        """float64[n, K]: rows that sum to 1, with the same order of labels."""
        if (self.power, self.slip) == (1.0, 0.0) or not table.size:
            return table
        log = self.power * np.log(np.maximum(table, 1e-300))
        sharp = np.exp(log - log.max(axis=1, keepdims=True))
        sharp /= sharp.sum(axis=1, keepdims=True)
        return (1.0 - self.slip) * sharp + self.slip / table.shape[1]


def calibrate(table: Floats, truth: np.ndarray) -> Calibration:
    """MAP power and slip.

    Args:
        table: float64[g, K], what is said of gold tasks by a model that was not told their answers.
        truth: int64[g], their labels.
    """
    rows = np.arange(len(truth))
    log = np.log(np.maximum(table, 1e-12))
    best, merit = Calibration(), -np.inf
    for power in POWERS:
        sharp = np.exp(power * (log - log.max(axis=1, keepdims=True)))
        chance = sharp[rows, truth] / sharp.sum(axis=1)
        chance = (1.0 - SLIPS) * chance[:, None] + SLIPS / table.shape[1]
        found = np.log(chance).sum(axis=0) + SLIP_DOUBT * np.log1p(-SLIPS)
        found = found - 0.5 * (np.log(power) / POWER_SPREAD) ** 2
        if found.max() > merit:
            best, merit = Calibration(float(power), float(SLIPS[int(found.argmax())])), float(found.max())
    return best
