"""Reach an expected accuracy in every category with the fewest votes: the accuracy mode of stopping. Pure.

The expected accuracy of a category is the mean confidence of what carries its label. Nobody need be sure of
each picture: the many that are plain make up for the few that stay in doubt. So the votes go, category by
category, where each saves most expected errors, as under a budget, until the mean is there; then all stop.
A threshold for each task spends most on what is hopeless; this spends it where it helps.
"""

from __future__ import annotations

import numpy as np

from quality.stopping import ASK_AGAIN, EXHAUSTED, SETTLED, Decision, per_task

SLACK = 1e-9
"""Confidence is rounded to 1e-6 on its way through tables, and sums of many are not exact."""


def reach(
    label: np.ndarray,
    confidence: np.ndarray,
    votes: np.ndarray,
    target: float | np.ndarray,
    votes_min: int | np.ndarray,
    votes_max: int | np.ndarray | None = None,
    step: int | np.ndarray = 1,
    *,
    available: np.ndarray | None = None,
    gain: np.ndarray | None = None,
    closed: np.ndarray | None = None,
    least_gain: float = 0.0,
) -> Decision:
    """Decide for n tasks at once, as `stopping.decide` does; which may stop depends on the whole category.

    A task is SETTLED once it has its least votes and its category its target. Until then it waits (ASK_AGAIN
    with 0 votes to ask for) unless it is one of those whose votes save most errors: as many of them are asked
    as are expected to close the gap. Tasks that can get no more votes are EXHAUSTED while the target is not
    reached; they count in the mean all the same, since they will carry their label.

    Args:
        label: object[n] or int64[n], the label each task would get; None or -1 for what was never judged.
        confidence: of that label, 0 to 1; NaN is no confidence at all.
        votes, votes_min, votes_max, step, available, least_gain: as in `stopping.decide`.
        target: the wanted expected accuracy, one or each task's (its label's: `stopping.wanted_of`).
        gain: errors that one more vote is expected to save (`gain.gain`); None: the least sure first.
        closed: bool[n], tasks that have stopped for good: they count, and are SETTLED.

    Raises:
        ValueError: a limit that makes no sense.
    """
    votes = np.asarray(votes, np.int64)
    sure = np.nan_to_num(np.asarray(confidence, float), nan=0.0)
    least, most, wish = per_task(votes, votes_min, votes_max, target, step, available)
    done = np.zeros(votes.shape, bool) if closed is None else np.asarray(closed, bool)
    saves = (1.0 - sure) if gain is None else np.nan_to_num(np.asarray(gain, float), nan=1.0)
    room = np.maximum(most - votes, 0)
    more = np.where(votes < least, least - votes, step)
    more = np.where(done, 0, np.minimum(more, room))

    category = _codes(label)
    short = np.bincount(category, weights=wish - sure)
    reached = (short <= SLACK * np.maximum(np.bincount(category), 1))[category]
    settled = done | (reached & (votes >= least))
    spent = (room == 0) | ((votes >= least) & (saves <= least_gain) & (least_gain > 0))
    exhausted = ~settled & spent
    open_ = ~settled & ~exhausted
    first = open_ & (votes < least)
    ask = np.where(
        first | (open_ & _worth_most(category, saves * more, saves, short, open_ & ~first)), more, 0
    )
    state = np.where(settled, SETTLED, np.where(exhausted, EXHAUSTED, ASK_AGAIN)).astype(object)
    return Decision(state, ask)


def _worth_most(
    category: np.ndarray, worth: np.ndarray, saves: np.ndarray, short: np.ndarray, candidate: np.ndarray
) -> np.ndarray:
    """bool[n]: of each category's candidates, those that save most a vote, until they cover what is short.

    At least one each, the first of equals.
    """
    chosen = np.zeros(len(category), bool)
    order = np.flatnonzero(candidate)
    order = order[np.lexsort((-saves[order], category[order]))]
    if not len(order):
        return chosen
    worth = np.minimum(worth[order], 1.0)
    first = np.flatnonzero(np.r_[True, category[order][1:] != category[order][:-1]])
    before = np.cumsum(worth) - worth
    before -= np.repeat(before[first], np.diff(np.r_[first, len(order)]))
    chosen[order] = before < short[category[order]]
    chosen[order[first]] = True
    return chosen


def _codes(label: np.ndarray) -> np.ndarray:
    """int64[n]: each label as a number; whatever is no label is one of them."""
    label = np.asarray(label)
    if label.dtype.kind in "iu":
        return np.unique(label, return_inverse=True)[1]
    names = np.array([str(name) for name in label.astype(object)], dtype=object)
    return np.unique(names, return_inverse=True)[1]
