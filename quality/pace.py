"""How long workers take, from the optional columns `seconds` and `created`; what a bot's even pace looks
like.

Speed is no evidence of bad work (of CIFAR-100N's workers the fastest tenth was right in 76% of votes, the
slowest in 46%), so it only ever comes beside answers that hardly follow the pictures. An even pace is:
people's response times spread in proportion to their mean, with coefficients of variation of 0.2 and more
even in the simplest tasks (Luce 1986, Response Times; Wagenmakers & Brown 2007, Psychological Review 114).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import chdtri

EVEN = 0.12
"""Standard deviation of log seconds below which a pace is no person's: well under people's 0.2 and more."""
FEWEST = 20
FALSE_ALARM = 1e-3
"""Probability that someone whose times spread by just EVEN is ever called even, over all numbers of votes."""
FASTEST = 0.1
MUCH_FASTER = 0.5


class Pace(NamedTuple):
    """Per worker, float64[W], NaN where unknown: `seconds`, median of a vote; `spread`, standard deviation of
    log seconds, with the wildest tenth at each end left out; `n`: int64[W], votes with a time."""

    seconds: np.ndarray
    spread: np.ndarray
    n: np.ndarray


def read_pace(frame: pd.DataFrame, worker: np.ndarray, n_workers: int) -> Pace | None:
    """The pace of each worker; None where the frame has no usable times.

    Args:
        frame: rows of votes with `seconds` (time taken) or, failing that, `created` (time of storing).
        worker: int64[len(frame)], code of each row's worker, -1 for rows to leave out.
    """
    seconds = _seconds(frame, worker)
    if seconds is None:
        return None
    good = (worker >= 0) & np.isfinite(seconds) & (seconds > 0)
    if not good.any():
        return None
    table = pd.DataFrame({"worker": worker[good], "log": np.log(seconds[good])})
    rank = table.groupby("worker")["log"].rank(method="first", pct=True)
    n = np.bincount(table["worker"], minlength=n_workers)
    median = table.groupby("worker")["log"].median().reindex(range(n_workers))
    middle = table[(rank > 0.1) & (rank <= 0.9)].groupby("worker")["log"].std().reindex(range(n_workers))
    # Of a normal distribution without its outer tenths, the standard deviation is 0.66 of the whole one's.
    return Pace(np.exp(median.to_numpy()), middle.to_numpy() / 0.66, n)


def _seconds(frame: pd.DataFrame, worker: np.ndarray) -> np.ndarray | None:
    if "seconds" in frame.columns:
        seconds = pd.to_numeric(frame["seconds"], errors="coerce").to_numpy(float)
        if np.isfinite(seconds).any():
            return seconds
    if "created" not in frame.columns:
        return None
    created = pd.to_datetime(frame["created"], errors="coerce", utc=True, format="mixed")
    ordered = pd.DataFrame({"worker": worker, "created": created}).sort_values(
        ["worker", "created"], kind="stable"
    )
    gaps = ordered.groupby("worker")["created"].diff().dt.total_seconds()
    # Votes of one batch are stored at one moment: no time between them is known.
    return gaps.where(gaps > 0).reindex(range(len(frame))).to_numpy(float)


def even_paced(pace: Pace) -> np.ndarray:
    """bool[W]: whose times spread less than any person's do, at whatever number of votes one looks.

    (n - 1) spread^2 / EVEN^2 is held against the chi-squared quantile of FALSE_ALARM / (n (n + 1)), whose sum
    over all n from FEWEST on is below FALSE_ALARM. Where half the crowd is that even, the times were not
    measured one by one, and nobody is named.
    """
    able = (pace.n >= FEWEST) & np.isfinite(pace.spread)
    if not able.any() or np.median(pace.spread[able]) < 2 * EVEN:
        return np.zeros(len(pace.n), bool)
    kept = np.maximum(0.8 * pace.n, 2.0)
    line = chdtri(kept - 1, 1 - FALSE_ALARM / (kept * (kept + 1)))
    with np.errstate(invalid="ignore"):
        return able & ((kept - 1) * np.square(pace.spread / EVEN) < line)


def quick(pace: Pace) -> np.ndarray:
    """bool[W]: the fastest tenth of the workers, and at least twice as fast as the middle one."""
    able = (pace.n >= FEWEST) & np.isfinite(pace.seconds)
    if not able.any():
        return np.zeros(len(pace.n), bool)
    line = min(np.quantile(pace.seconds[able], FASTEST), MUCH_FASTER * np.median(pace.seconds[able]))
    with np.errstate(invalid="ignore"):
        return able & (pace.seconds <= line)
