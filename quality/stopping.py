"""Close a task or ask again: the one rule that the site's rounds and `quality.replay` both follow. Pure.

A task is settled once it has its least number of votes and the wanted confidence; it is exhausted once it has
its most votes; else it gets more: what its minimum lacks, or one vote at a time, because every answer may
settle it.
"""

from __future__ import annotations

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
    step: int = 1,
) -> Decision:
    """Decide for n tasks at once; every argument but `step` is one value or n of them.

    Args:
        confidence: of the leading label, 0 to 1; NaN (never aggregated) is no confidence at all.
        votes: counted votes so far, abstentions included.
        votes_min, votes_max: fewest and most votes of a task; None is no limit. For audited tasks, whom the
        rule
            must not stop, give `votes_min` the number of votes that they are to have.
        wanted_confidence: settle at this confidence or above.
        step: votes to ask for at a time once the minimum is there.

    Raises:
        ValueError: a limit that makes no sense.
    """
    confidence, votes = np.asarray(confidence, float), np.asarray(votes, np.int64)
    least = np.broadcast_to(np.asarray(votes_min, np.int64), votes.shape)
    limit = np.iinfo(np.int64).max if votes_max is None else votes_max
    most = np.broadcast_to(np.asarray(limit, np.int64), votes.shape)
    wanted = np.broadcast_to(np.asarray(wanted_confidence, float), votes.shape)
    _check(least, most, wanted, step)
    # Confidence is rounded to 1e-6 on its way through tables: a wish of 0.95 must be met by 0.95.
    sure = np.nan_to_num(confidence, nan=0.0) >= wanted - 1e-9
    settled = sure & (votes >= least)
    exhausted = ~settled & (votes >= most)
    ask = np.where(settled | exhausted, 0, np.minimum(np.maximum(least - votes, step), most - votes))
    state = np.where(settled, SETTLED, np.where(exhausted, EXHAUSTED, ASK_AGAIN)).astype(object)
    return Decision(state, ask)


def _check(least: np.ndarray, most: np.ndarray, wanted: np.ndarray, step: int) -> None:
    if (least < 1).any() or step < 1:
        raise ValueError("a task needs at least one vote: votes_min and step must be 1 or more")
    if (most < least).any():
        raise ValueError(f"votes_max ({int(most.min())}) is below votes_min ({int(least.max())})")
    if not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError("the wanted confidence must be above 0 and at most 1")
