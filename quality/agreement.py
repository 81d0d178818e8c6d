"""How far workers agree, and intervals for shares. Pure; for reports."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import ndtri

from quality.aggregation.votes import clean_votes


def krippendorff_alpha(frame: pd.DataFrame) -> float:
    """Krippendorff's alpha for nominal labels: 1 is perfect agreement, 0 what chance gives, NaN undefined.

    Abstentions are missing values; tasks with one vote carry nothing. K. Krippendorff, "Computing
    Krippendorff's Alpha-Reliability" (2011), section C. Undefined where fewer than two votes meet or one
    label only was used.

    Args:
        frame: `task,worker,label`.
    """
    per_cell, n, label = _pairable(frame)
    total = n.sum()
    if total < 2:
        return math.nan
    size = n[per_cell.index.get_level_values(0)].to_numpy(float)
    times = per_cell.to_numpy(float)
    observed = 1.0 - float((times * (times - 1) / (size - 1)).sum()) / total
    of_label = np.bincount(label, weights=times)
    expected = 1.0 - float((of_label * (of_label - 1)).sum()) / (total * (total - 1))
    return 1.0 - observed / expected if expected > 0 else math.nan


def observed_agreement(frame: pd.DataFrame) -> float:
    """Mean over tasks of the share of pairs of votes that agree (Fleiss 1971, P-bar); NaN without a pair."""
    per_cell, n, _ = _pairable(frame)
    if not len(n):
        return math.nan
    times = per_cell.astype(float)
    agreeing = (times * (times - 1)).groupby(level=0).sum()
    return float((agreeing / (n * (n - 1))).mean())


def accuracy_interval(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927, JASA 22): (0, 1) where nothing was counted.

    Raises:
        ValueError: unless 0 <= right <= n.
    """
    if not 0 <= right <= n:
        raise ValueError(f"{right} right of {n} is impossible")
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    # At the ends the formula gives exactly 0 and 1, but for the last bit.
    return (0.0 if right == 0 else low), (1.0 if right == n else high)


def _pairable(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series, np.ndarray]:
    """Votes per (task, label) and per task, for tasks of two votes and more; the label of each cell."""
    votes = clean_votes(frame)
    keep = votes.per_task[votes.task] > 1
    table = pd.DataFrame({"task": votes.task[keep], "label": votes.label[keep]})
    per_cell = table.groupby(["task", "label"]).size()
    label = per_cell.index.get_level_values(1).to_numpy(np.int64)
    return per_cell, table.groupby("task").size(), label
