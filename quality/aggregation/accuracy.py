"""How many labels are right: an estimate that says how little votes alone can know.

The mean confidence is a model's word for itself. How far such words were from the truth in other crowds is
known, and that scatter is the interval where nothing else is known; every gold task narrows it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr

from quality.aggregation.posterior import Posterior
from quality.aggregation.votes import Votes

SPREAD = 0.9
"""Standard deviation, in log-odds, of the true accuracy about the stated one, without gold: what nine public
crowds showed (-0.7 to 1.2, root mean square 0.64), and some more: nine are few."""
ODDS = np.linspace(-7.0, 10.0, 1701)
SHARES = np.linspace(0.0, 1.0, 4001)
LEVEL = 0.95


def estimated_accuracy(
    votes: Votes, posterior: Posterior, untold: Posterior, foreseen: int | None = None
) -> dict[str, Any] | None:
    """Share of right labels among the tasks that are not gold, with a 95% interval; None without such tasks.

    Bayes on a grid: prior, the accuracy stated without any gold with the scatter of other crowds; evidence,
    how many gold labels the same method finds when it is not told them. The interval is that of these very
    tasks' accuracy: the chance of a small set is in it. It holds as far as gold is a random sample.

    Args:
        posterior: what is handed out. untold: what the method says without gold.
        foreseen: gold labels that the method finds when it is told other gold only; None: count how many
            it finds without any.
    """
    known = votes.gold >= 0
    plain = ~known
    if not plain.any() or not len(votes.labels):
        return None
    n = int(plain.sum())
    stated, alone = (float(one.best()[1][plain].mean()) for one in (posterior, untold))
    centre = logit(np.clip(alone, 0.5 / (n + 1), 1 - 0.5 / (n + 1)))
    weight = -0.5 * ((ODDS - centre) / SPREAD) ** 2
    asked = known & (votes.per_task > 0)
    right = int((untold.best()[0] == votes.gold)[asked].sum()) if foreseen is None else foreseen
    share = expit(ODDS)
    weight = weight + right * np.log(share) + (int(asked.sum()) - right) * np.log1p(-share)
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    lo, hi = _interval(share, weight, n)
    return {
        "value": round(float(weight @ share), 6),
        "lo": round(lo, 6),
        "hi": round(hi, 6),
        "stated": round(stated, 6),
        "gold": int(asked.sum()),
        "basis": "votes and gold"
        if asked.any()
        else "votes alone, and how far other crowds were from theirs",
    }


def _interval(share: np.ndarray, weight: np.ndarray, n: int) -> tuple[float, float]:
    """Ends of the interval of n tasks' accuracy when each is right with a chance of this distribution."""
    some = weight > 1e-12
    share, weight = share[some], weight[some]
    noise = np.sqrt(np.maximum(share * (1 - share), 1e-12) / n)

    def below(at: float) -> float:
        return float(ndtr((at - share) / noise) @ weight)

    tail = (1 - LEVEL) / 2
    ends = (bisect_left(SHARES, level, key=below) for level in (tail, 1 - tail))
    lo, hi = (float(SHARES[min(end, len(SHARES) - 1)]) for end in ends)
    return lo, hi
