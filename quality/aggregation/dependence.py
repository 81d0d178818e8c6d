"""Workers share mistakes: how much confidence that costs.

A model of independent workers states 0.02% of error where there is 1%: a picture that fools one worker fools
the next. `likeness` is how alike two voters on one task are (the intra-class correlation of the design
effect): 0 are independent voters, 1 are copies, of which the second adds nothing. Votes alone hardly show it,
because what most voters get wrong looks like the truth; so it starts from what other crowds
showed, and gold corrects it. Tempering by `likeness` changes no label, only how sure of it one is.

Where enough tasks have many votes, the crowd itself tells most of it: two halves of each task's votes,
settled apart, agree less often than voters who err independently would (`shown_by_halves`).
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
FEWEST_SPLIT = 30
"""Tasks of which both halves must be there."""
MOST_TASKS = 0.8
"""Share of the tasks that must have votes for two halves, where nobody says which ones were drawn at random:
a stopping rule gives many votes to the hard ones."""
MISSED = 0.15
"""Likeness that two halves do not show: what both get wrong alike looks like the truth. Median over three
models and eight public crowds (2.5 to 51 votes a task) of the likeness that the truth shows less the one that
the halves show; 0.13, 0.15 and 0.15 for the models one by one."""


def likeness(votes: Votes, fit: Fit, refit: Callable[[Votes], Fit], shown: float | None = None) -> float:
    """MAP likeness of the voters: the usual one (or `shown`, by this crowd's halves), and how well the
    tempered posterior foresees gold.

    The model is fitted again without gold (`refit`): one whose workers' tables have seen the answers looks
    surer on those very tasks than it may be on others. Share methods have no evidence to temper, and any
    value does.
    """
    usual = usual_likeness(len(votes.labels)) if shown is None else shown
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


def splittable(votes: Votes, first: Votes, second: Votes) -> np.ndarray | None:
    """bool[T], tasks of which two halves may be compared: not gold, two votes in each, and no sample of hard
    ones (`audited`, else nearly all tasks that have votes); None where they are too few.

    Args:
        votes: all of them. first, second: the same tasks with one half each.
    """
    plain = (votes.gold < 0) & (votes.per_task > 0)
    both = plain & (np.minimum(first.per_task, second.per_task) >= 2)
    if votes.audited is not None and (both & votes.audited).sum() >= FEWEST_SPLIT:
        return both & votes.audited
    return both if both.sum() >= max(FEWEST_SPLIT, MOST_TASKS * plain.sum()) else None


def shown_by_halves(first: Fit, second: Fit, tasks: np.ndarray, labels: int) -> float | None:
    """The likeness at which two halves of each task's votes agree as often as they do.

    The MAP of sum(log(sum_k(p(k) q(k) / prior(k)))) over the tasks: how likely it is that both halves speak
    of one true label. What halves do not show (MISSED) comes on top; as crowds differ in that, the result is
    half way between this and the usual likeness. So the mean distance between stated and true accuracy fell
    from 2.7 to 2.4 points on six public crowds, and from 13 to 6 on made-up ones with ten labels, whose
    voters were more independent than the public's.

    Args:
        first, second: the same model of the two halves. tasks: bool[T], tasks to compare (`splittable`).
        labels: how many there are.

    Returns:
        None for models that rest on no evidence to temper.
    """
    if not (first.blind.can_temper and second.blind.can_temper):
        return None
    usual = max(usual_likeness(labels) - MISSED, float(GRID[0]))

    def merit(value: float) -> float:
        one, other = (fit.blind.tempered(value).dense().table for fit in (first, second))
        share = np.maximum((one.mean(axis=0) + other.mean(axis=0)) / 2, 1e-6)
        same = np.einsum("tk,tk,k->t", one[tasks], other[tasks], 1.0 / share)
        prior = WORTH * (usual * np.log(value) + (1 - usual) * np.log(1 - value))
        return float(np.log(np.maximum(same, 1e-9)).sum() + prior)

    coarse = max(GRID[::5].tolist(), key=merit)
    best = max(GRID[np.abs(GRID - coarse) < 0.1].tolist(), key=merit)
    return float((min(best + MISSED, GRID[-1]) + usual_likeness(labels)) / 2)
