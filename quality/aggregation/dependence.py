"""Workers share mistakes: how much confidence that costs.

A model of independent workers states 0.02% of error where there is 1%: a picture that fools one worker fools
the next. `likeness` is how alike two voters on one task are (the intra-class correlation of the design
effect): 0 are independent voters, 1 are copies, of which the second adds nothing. Votes alone hardly show it,
because what most voters get wrong looks like the truth; so it starts from a guess, and
gold corrects it. Tempering by `likeness` changes no label, only how sure of it one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from quality.aggregation.posterior import Fit
from quality.aggregation.votes import Votes

PRIOR = (2.0, 4.0)
"""Beta prior; its mode, 0.25, is used where there is no gold. A round guess, not an estimate: made after one
divisor a table was scored against the truth of nine public crowds of 2.5 to 52 votes a task. The best
divisors on that coarse grid answer to 0.2 to 1.3, half of them above 0.38, so without gold confidence still
tends to be too high."""
GRID = np.round(np.arange(0.02, 0.99, 0.02), 2)
FEWEST_GOLD = 10


def likeness(votes: Votes, fit: Fit, refit: Callable[[Votes], Fit]) -> float:
    """MAP likeness of the voters: the prior, and how well the tempered posterior foresees gold.

    The model is fitted again without gold (`refit`): one whose workers' tables have seen the answers looks
    surer on those very tasks than it may be on others. Share methods have no evidence to temper, and any
    value does.
    """
    a, b = PRIOR
    known = np.flatnonzero((votes.gold >= 0) & (votes.per_task > 1))
    if len(known) < FEWEST_GOLD or not fit.blind.can_temper:
        return (a - 1) / (a + b - 2)
    untold = refit(replace(votes, gold=np.full_like(votes.gold, -1))).blind
    merit = []
    for value in GRID:
        chance = untold.tempered(float(value)).of_labels(known, votes.gold[known])
        prior = (a - 1) * np.log(value) + (b - 1) * np.log(1 - value)
        merit.append(float(np.log(np.maximum(chance, 1e-9)).sum() + prior))
    return float(GRID[int(np.argmax(merit))])
