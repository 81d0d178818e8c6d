"""Workers share mistakes: how much confidence that costs.

A model of independent workers states 0.02% of error where there is 1%: a picture that fools one worker fools
the next. `likeness` is how alike two voters on one task are (the intra-class correlation of the design
effect): 0 are independent voters, 1 are copies, of which the second adds nothing. Votes alone hardly show it,
because what most voters get wrong looks like the truth; so it starts from what other crowds
showed, and gold corrects it. Tempering by `likeness` changes no label, only how sure of it one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from quality.aggregation.posterior import Fit
from quality.aggregation.votes import Votes

OF_TWO, OF_MORE = 0.15, 0.65
"""Likeness where there is no gold, with two labels and with more. With more labels a mistake is rarely any
other label: a picture is mistaken for one thing, the same by all, which a model of the crowd's confusion by
class does not see. Estimated on nine public crowds (3 with two labels, 6 with more; 2.5 to 52 votes a task):
the likeness at which the stated accuracy is the true one was -0.1 to 0.24, median 0.15, with two labels, and
0.3 to over 1, median 0.65, with more; leaving out a set moves neither median by more than 0.1."""
WORTH = 4.0
"""What that guess is worth beside gold: a Beta prior with this mode and this many pseudo-observations."""
GRID = np.round(np.arange(0.02, 0.99, 0.02), 2)
FEWEST_GOLD = 10


def likeness(votes: Votes, fit: Fit, refit: Callable[[Votes], Fit]) -> float:
    """MAP likeness of the voters: the usual one, and how well the tempered posterior foresees gold.

    The model is fitted again without gold (`refit`): one whose workers' tables have seen the answers looks
    surer on those very tasks than it may be on others. Share methods have no evidence to temper, and any
    value does.
    """
    usual = usual_likeness(len(votes.labels))
    known = np.flatnonzero((votes.gold >= 0) & (votes.per_task > 1))
    if len(known) < FEWEST_GOLD or not fit.blind.can_temper:
        return usual
    untold = refit(replace(votes, gold=np.full_like(votes.gold, -1))).blind
    merit = []
    for value in GRID:
        chance = untold.tempered(float(value)).of_labels(known, votes.gold[known])
        prior = WORTH * (usual * np.log(value) + (1 - usual) * np.log(1 - value))
        merit.append(float(np.log(np.maximum(chance, 1e-9)).sum() + prior))
    return float(GRID[int(np.argmax(merit))])


def usual_likeness(labels: int) -> float:
    """The likeness of voters on so many labels where nothing is known of this crowd."""
    return OF_TWO if labels <= 2 else OF_MORE
