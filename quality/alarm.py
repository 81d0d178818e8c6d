"""How much evidence it takes to call a worker's answers blind, so that few honest workers ever are.

The evidence is a likelihood ratio of two accounts (`quality.spam`), so false alarms can be had by playing the
*guilty* (Wald 1945; Siegmund 1976, Annals of Statistics 4): the probability that an honest worker ever
crosses a line is the mean, over blind actors, of 1 / ratio at the moment when they cross it. ACTORS are
played on the crowd's own tasks, and the line is put where that mean is FALSE_ALARM.

Before vote DUE the line is higher (EARLY): who crosses a line by a hair at vote 12 uses up false alarms that
find more at vote 40. From DUE on it is as low as the rest of the budget allows; one line for
all votes (Ville 1939) would have to be at 1 / FALSE_ALARM, and found half of the uniform answerers of a
two-label crowd where this finds four fifths (`benchmarks/quality_spammers.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quality.peers import Ballots, Floats, Forecast, Ints

FALSE_ALARM = 0.02
"""Share of honest workers ever flagged, at whatever number of votes one looks, as the model has it. On
simulated crowds 0.000 to 0.011 were (`benchmarks/quality_spammers.py`, and the crowds of tests/)."""
FEWEST_VOTES = 10
"""Nobody is flagged on fewer votes that could be compared with others' or gold."""
DUE = 40
"""Votes by which a blind answerer should be found: the line falls here."""
EARLY = 0.01
"""False alarms that may be used up before DUE: a third of this finds 0.1 to 0.15 fewer by vote 20, and none
more by vote 40, in the real crowds at hand."""
LEAST_ODDS = 10.0
"""No flag on less evidence than this, however good the crowd: the model is not that exact."""
LOOKS: Ints = np.array([10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 120, 160])
ACTORS = 200
FEWEST_PLAYED = 200
"""With fewer comparable votes the line stays at 1 / FALSE_ALARM."""
STEP = 0.1

Weigh = Callable[[Ballots, Forecast], Floats]


def lines(n: Ints, late: float) -> Floats:
    """float64[W]: the log evidence that flags a worker with n comparable votes (never on too few)."""
    early = max(late, -np.log(EARLY))
    return np.where(n >= DUE, late, np.where(n >= FEWEST_VOTES, early, np.inf))


def late_line(ballots: Ballots, forecast: Forecast, worth: Floats, weigh: Weigh) -> float:
    """The line from vote DUE on.

    Args:
        worth: float64[W], how much each worker's word counts in `forecast`.
        weigh: the log evidence, float64[workers], of ballots with their forecast.
    """
    if np.count_nonzero(forecast.informed) < FEWEST_PLAYED:
        return float(-np.log(FALSE_ALARM))
    evidence = weigh(*_played(ballots, forecast, worth)).reshape(ACTORS, len(LOOKS))
    early = float(-np.log(EARLY))
    for line in np.arange(np.log(LEAST_ODDS), early, STEP):
        if _cost(evidence, np.where(LOOKS < DUE, early, line)) <= FALSE_ALARM:
            return float(line)
    return early


def _cost(evidence: Floats, bound: Floats) -> float:
    """The mean of 1 / ratio where actors cross the bound (float64[LOOKS]).

    Who crosses it between two looks did so by less than is seen at the second: there, and for whoever has not
    crossed it at the last look, the bound itself is taken.
    """
    over = evidence >= bound
    crossed = over.any(axis=1)
    first = np.where(crossed, over.argmax(axis=1), len(LOOKS) - 1)
    jump = crossed & ((LOOKS[first] == LOOKS[0]) | (LOOKS[first] == DUE))
    return float(np.exp(-np.where(jump, evidence[np.arange(len(first)), first], bound[first])).mean())


def _played(ballots: Ballots, forecast: Forecast, worth: Floats) -> tuple[Ballots, Forecast]:
    """Actors' answers to tasks of the crowd, each actor after so many votes (LOOKS) as one more worker.

    An actor takes the place of a voter, whose vote is left out. Labels are numbered by how frequent they are,
    so that their names do not matter; seeded: equal votes give an equal line.
    """
    rng = np.random.default_rng(7)
    seen = np.flatnonzero(forecast.informed)
    seen = seen[np.lexsort((ballots.worker[seen], ballots.task[seen]))]
    place = seen[rng.integers(0, len(seen), (ACTORS, LOOKS[-1]))]
    label = _blind_answers(rng, forecast.base)
    chance = _foreseen(ballots, forecast, worth, place, label)
    upto = np.concatenate([np.arange(n) for n in LOOKS])
    worker = np.arange(ACTORS)[:, None] * len(LOOKS) + np.repeat(np.arange(len(LOOKS)), LOOKS)
    played = Ballots(
        ballots.task[place][:, upto].ravel(),
        worker.ravel(),
        label[:, upto].ravel(),
        ballots.gold,
        ACTORS * len(LOOKS),
        ballots.n_labels,
    )
    heard = forecast._replace(chance=chance[:, upto].ravel(), informed=np.ones(worker.size, dtype=bool))
    return played, heard


BLIND = ((0.4, np.inf), (0.1, 0.0), (0.1, 0.5), (0.4, 0.2))
"""The habits of those who do not look, as (share, kind): answers uniform (inf), by the crowd's shares (0), or
from an urn with 0.5 ball of each label, or 0.2 ball in all (nearly always one label)."""


def _blind_answers(rng: np.random.Generator, base: Floats) -> Ints:
    """int64[ACTORS, n]: labels as `blind_likelihood` has them drawn."""
    k, n = len(base), int(LOOKS[-1])
    ranked = np.argsort(-base, kind="stable")
    kind = rng.choice(len(BLIND), ACTORS, p=[share for share, _ in BLIND])
    uniform = rng.integers(0, k, (ACTORS, n))
    shares = np.minimum(np.searchsorted(np.cumsum(base[ranked]), rng.random((ACTORS, n))), k - 1)
    each = np.select([kind == 2, kind == 3], [BLIND[2][1] * k, BLIND[3][1]], np.inf)
    urn = uniform.copy()
    fresh, earlier = rng.random((ACTORS, n)), rng.random((ACTORS, n))
    for i in range(1, n):
        again = fresh[:, i] >= 1.0 / (1.0 + i / each)
        urn[:, i] = np.where(again, urn[np.arange(ACTORS), (earlier[:, i] * i).astype(np.int64)], urn[:, i])
    return ranked[np.where((kind == 1)[:, None], shares, urn)]


def _foreseen(ballots: Ballots, forecast: Forecast, worth: Floats, place: Ints, label: Ints) -> Floats:
    """How likely the crowd makes each answer, float64 like `label`; `place` is the vote that it replaces."""
    k = max(ballots.n_labels, 1)
    own, task = worth[ballots.worker], ballots.task[place]
    cells, cell = np.unique(ballots.task * k + ballots.label, return_inverse=True)
    weight = np.bincount(cell, weights=own, minlength=len(cells))
    at = np.minimum(np.searchsorted(cells, task * k + label), len(cells) - 1)
    same = np.where(cells[at] == task * k + label, weight[at], 0.0)
    same = np.maximum(same - own[place] * (ballots.label[place] == label), 0.0)
    others = np.bincount(ballots.task, weights=own, minlength=len(ballots.gold))[task] - own[place]
    known = ballots.gold[task]
    told = same + forecast.gold_word * (known == label) + forecast.kappa * forecast.base[label]
    return told / (np.maximum(others, 0.0) + forecast.gold_word * (known >= 0) + forecast.kappa)
