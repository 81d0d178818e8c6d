"""Close a task or ask again: the one rule that the site's rounds and `quality.replay` both follow. Pure.

A task is settled once it has its least number of votes and the wanted confidence; it is exhausted once it has
its most votes, nobody is left to ask, or a vote costs more than the errors it would save; else it gets more:
what its minimum lacks, or as many as could settle it if all agree (`gain.needed`), or one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

SETTLED, ASK_AGAIN, EXHAUSTED = "settled", "ask_again", "exhausted"
WANTED_CONFIDENCE = 0.95
VOTES_MIN = 2


class Decision(NamedTuple):
    """`state`: object[n] of SETTLED, ASK_AGAIN or EXHAUSTED; `ask`: int64[n], votes to ask for now."""

    state: np.ndarray
    ask: np.ndarray


def decide(
    confidence: np.ndarray,
    votes: np.ndarray,
    votes_min: int | np.ndarray,
    votes_max: int | np.ndarray | None,
    wanted_confidence: float | np.ndarray,
    step: int | np.ndarray = 1,
    *,
    available: np.ndarray | None = None,
    gain: np.ndarray | None = None,
    least_gain: float = 0.0,
) -> Decision:
    """Decide for n tasks at once; every argument but `least_gain` is one value or n of them.

    Args:
        confidence: of the leading label, 0 to 1; NaN (never aggregated) is no confidence at all.
        votes: counted votes so far, abstentions included.
        votes_min, votes_max: fewest and most votes of a task; None is no limit. For audited tasks, whom the
            rule must not stop, give `votes_min` the number of votes that they are to have.
        wanted_confidence: settle at this confidence or above.
        step: votes to ask for at a time once the minimum is there.
        available: workers who could still be asked about the task; None is no limit.
        gain: errors that one more vote is expected to save (`gain.gain`).
        least_gain: the price of a vote in errors; once a task has its minimum, a vote that saves no more than
            this is not asked for.

    Raises:
        ValueError: a limit that makes no sense.
    """
    confidence, votes = np.asarray(confidence, float), np.asarray(votes, np.int64)
    least, most, wanted = per_task(votes, votes_min, votes_max, wanted_confidence, step, available)
    # Confidence is rounded to 1e-6 on its way through tables: a wish of 0.95 must be met by 0.95.
    sure = np.nan_to_num(confidence, nan=0.0) >= wanted - 1e-9
    settled = sure & (votes >= least)
    exhausted = ~settled & (votes >= most)
    if gain is not None and least_gain > 0:
        exhausted |= ~settled & (votes >= least) & (np.asarray(gain) <= least_gain)
    ask = np.where(votes < least, least - votes, step)
    ask = np.where(settled | exhausted, 0, np.minimum(ask, np.maximum(most - votes, 0)))
    state = np.where(settled, SETTLED, np.where(exhausted, EXHAUSTED, ASK_AGAIN)).astype(object)
    return Decision(state, ask)


def wanted_of(labels: np.ndarray, usual: float, special: Mapping[str, float]) -> np.ndarray:
    """float64[n]: the confidence wanted of each label (object[n]): its category's own, else the usual one.

    Raises:
        ValueError: a confidence that is no probability above 0.
    """
    for name, value in special.items():
        if not 0 < value <= 1:
            raise ValueError(f"the confidence wanted of {name} must be above 0 and at most 1, not {value}")
    return np.array([special.get(label, usual) for label in labels], float)


def within_budget(ask: np.ndarray, gain: np.ndarray, left: int) -> np.ndarray:
    """int64[n]: the votes asked for, cut to the `left` that are still paid for: where a vote saves most.

    NaN (a task that was never judged) goes first; equal tasks in their order.
    """
    if int(ask.sum()) <= left:
        return ask
    order = np.argsort(-np.nan_to_num(np.asarray(gain, float), nan=np.inf), kind="stable")
    cut = np.zeros_like(ask)
    cut[order] = np.clip(left - (np.cumsum(ask[order]) - ask[order]), 0, ask[order])
    return cut


def per_task(
    votes: np.ndarray,
    votes_min: int | np.ndarray,
    votes_max: int | np.ndarray | None,
    wanted: float | np.ndarray,
    step: int | np.ndarray,
    available: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fewest votes int64[n], most votes int64[n] that anybody is left for, and the wish float64[n].

    Raises:
        ValueError: a limit that makes no sense.
    """
    least = np.broadcast_to(np.asarray(votes_min, np.int64), votes.shape)
    limit = np.iinfo(np.int64).max if votes_max is None else votes_max
    most = np.broadcast_to(np.asarray(limit, np.int64), votes.shape)
    wish = np.broadcast_to(np.asarray(wanted, float), votes.shape)
    check_limits(least, most, wish, np.asarray(step))
    if available is not None:
        most = np.minimum(most, votes + np.maximum(available, 0))
    return least, most, wish


def check_limits(least: np.ndarray, most: np.ndarray, wanted: np.ndarray, step: np.ndarray) -> None:
    """Raises ValueError for limits that make no sense; each as in `decide`, one a task."""
    if (least < 1).any() or (step < 1).any():
        raise ValueError("a task needs at least one vote: votes_min and step must be 1 or more")
    if (most < least).any():
        raise ValueError(f"votes_max ({int(most.min())}) is below votes_min ({int(least.max())})")
    if not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError("the wanted confidence must be above 0 and at most 1")
