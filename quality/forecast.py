"""How many votes a round still needs, with an interval: the rest of it played many times. Pure.

Each play draws which of a task's two likeliest labels is true, then votes from the urns of `gain.Lead` and
from voters like those seen so far, and stops by the rule of `stopping`. What no play knows is that the crowd
itself was only estimated: later passes know it better, and mostly find more to doubt. So the plays are
stretched by a random factor (MISFIT), and some settled tasks open again (REOPENED).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from quality.aggregation.risk import ALPHA, FIRST_LOOK, Floats, Risk
from quality.gain import Lead

DRAWS = 200
MOST_PLAYED = 1500
"""Tasks that are played; of more, a random part stands for all."""
FEWEST_MODELS = 20
"""Tasks with their least votes that must be there before others are taken to go alike."""
MISFIT = (0.12, 0.3)
"""Mean and standard deviation of the logarithm of (votes it took / votes that the plays say): near the 0.19
and 0.28 of simulated rounds of 100 to 400 tasks with 2 to 50 labels and up to 20% spammers."""
REOPENED = 0.005
"""Votes, expected, for each settled task: 0.01 in those rounds, none in a demo of 2,600 tasks."""
LEVEL = 0.9
FARTHEST = 200
"""Votes ahead after which a play gives up where there is no maximum."""


@dataclass(frozen=True)
class Forecast:
    """Further votes until every task is settled or exhausted: mean, ends of the 90% interval, open tasks."""

    votes: float
    lo: float
    hi: float
    open_tasks: int

    def priced(self, price: float) -> dict[str, float]:
        """As `aggregate --json` prints it; `price`: of one vote."""
        found = {"votes": round(self.votes), "lo": round(self.lo), "hi": round(self.hi)}
        cost = {"cost": self.votes * price, "cost_lo": self.lo * price, "cost_hi": self.hi * price}
        return {**found, **{key: round(value, 4) for key, value in cost.items()}, "tasks": self.open_tasks}


class Limits(NamedTuple):
    """What the usual task of a round wants: fewest and most votes, confidence."""

    least: int = 2
    most: int = 9
    wanted: float = 0.95


USUAL = Limits()


class Margin(NamedTuple):
    """Votes by which the leader of each task must lead (int64[T]), and by how many it leads now."""

    wanted: np.ndarray
    now: np.ndarray


class Fell(NamedTuple):
    """What votes were for, bool[n] each, and by how much (`gap`) the log-odds of the leader rose."""

    for_first: np.ndarray
    for_second: np.ndarray
    gap: Floats


@dataclass
class Urns:
    """What the urns of n tasks hold, float64[n] each: for the leader and its rival if the leader is true
    (`own`, `other`) or if the rival is (`tempted`, `rival`; see `gain.Lead`), and for all labels (`room`).
    """

    own: Floats
    other: Floats
    tempted: Floats
    rival: Floats
    room: Floats

    @classmethod
    def of(cls, lead: Lead, room: Floats) -> Urns:
        """As they are now."""
        return cls(lead.own, lead.other, lead.tempted, lead.rival, room)

    def part(self, rows: np.ndarray) -> Urns:
        """Copies of some of them."""
        return Urns(self.own[rows], self.other[rows], self.tempted[rows], self.rival[rows], self.room[rows])

    def put(self, rows: np.ndarray, new: Urns) -> None:
        """Replace some of them."""
        for name, column in vars(new).items():
            getattr(self, name)[rows] = column

    def vote(self, rng: np.random.Generator, truth: np.ndarray, look: Floats, n_labels: int) -> Fell:
        """Draw one vote for each and put it in.

        Args:
            truth: bool[n], whether the leader is true. look: how likely each voter looks.
        """
        own, other, tempted, rival = self.own, self.other, self.tempted, self.rival
        # What the two labels hold together may be more than all there is: they were reckoned apart.
        if_first, if_second = np.maximum(self.room, own + other), np.maximum(self.room, tempted + rival)
        chance = np.where(truth, own / if_first, tempted / if_second)
        either = np.where(truth, (own + other) / if_first, (tempted + rival) / if_second)
        luck, habit = rng.random(len(look)), rng.random(len(look)) * n_labels
        looked = rng.random(len(look)) < look
        for_first = np.where(looked, luck < chance, habit < 1)
        for_second = np.where(looked, (luck >= chance) & (luck < either), (habit >= 1) & (habit < 2))
        gap = np.where(for_first, _rising(own, look) - _rising(tempted, look), 0.0)
        gap += np.where(for_second, _rising(other, look) - _rising(rival, look), 0.0)
        to_first, to_second = np.where(for_first, look, 0.0), np.where(for_second, look, 0.0)
        self.own, self.tempted = own + to_first, tempted + to_first
        self.other, self.rival = other + to_second, rival + to_second
        self.room = self.room + look
        return Fell(for_first, for_second, gap)


def forecast(
    lead: Lead,
    given: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
    wanted: Floats,
    looks: Floats,
    n_labels: int,
    room: Floats,
    *,
    is_open: np.ndarray | None = None,
    fresh: int = 0,
    usual: Limits = USUAL,
    margin: Margin | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Forecast:
    """Play the rest of the round.

    Args:
        lead: of T tasks that have votes. given: their votes so far. least, most: fewest and most votes.
        wanted: confidence that settles each.
        looks: float64[m], how likely the voter of each vote so far looks; future voters are like them.
        room: float64[T], all that each task's urn holds (`room_of`): what is neither the leader's nor its
            rival's is a vote for a third label, which settles nothing.
        is_open: bool[T], tasks that may get more votes; None is all.
        fresh: tasks without any vote. They are taken to go as some of the T did, drawn at random: what those
            were given, and what they still need; not as tasks that were to have their most votes anyway.
        usual: of the round's tasks, for those without votes where hardly any has votes.
        margin: settle by the number of votes by which a label leads (`presets`), not by confidence.
    """
    rng = np.random.default_rng(seed)
    part = np.flatnonzero(is_open) if is_open is not None else np.arange(len(given))
    n_open = len(part) + fresh
    ruled = least < most
    models = np.flatnonzero((given >= np.minimum(least, given.max(initial=1))) & (ruled | ~ruled.any()))
    if fresh and len(models) < FEWEST_MODELS:
        lead, given, least, most, wanted = _with_unknown(lead, given, least, most, wanted, usual)
        room = np.append(room, ALPHA)
        models = np.array([len(given) - 1])
        if margin is not None:
            ahead = int(np.median(margin.wanted)) if len(margin.wanted) else 1
            margin = Margin(np.append(margin.wanted, ahead), np.append(margin.now, 0))
    like = rng.choice(models, fresh) if fresh else np.zeros(0, np.int64)
    before = float(given[like].sum())
    part = np.concatenate([part, like])
    if not n_open:
        return Forecast(0.0, 0.0, 0.0, 0)
    if n_open > MOST_PLAYED:
        part = np.sort(rng.choice(part, MOST_PLAYED, replace=False))
    pool = looks if len(looks) else np.array([FIRST_LOOK])
    # Which voters come is the same luck for all tasks of a play: each draws its own crowd.
    crowds = rng.choice(pool, (draws, 200))
    play = _Play(
        _part(lead, part), given[part], least[part], most[part], wanted[part], crowds, n_labels, room[part],
        None if margin is None else Margin(margin.wanted[part], margin.now[part]),
    )  # fmt: skip
    owed = float(np.maximum(least[part] - given[part], 0).sum())  # whatever is still unknown
    beyond = np.maximum(play.run(rng) - owed, 0.0) * np.exp(rng.normal(*MISFIT, draws))
    totals = (owed + beyond) * (n_open / len(part)) + before
    totals = totals + rng.exponential(REOPENED * (len(given) - n_open + fresh), draws)
    lo, hi = np.quantile(totals, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Forecast(float(totals.mean()), float(lo), float(hi), n_open)


def room_of(risk: Risk) -> Floats:
    """float64[T]: what each task's urn holds of all labels: votes looked at, and what stood before."""
    task = risk.layout.votes.cells.task
    return risk.crowd.alpha + np.bincount(task, weights=risk.counts, minlength=len(risk.layout.width))


def _with_unknown(
    lead: Lead, given: np.ndarray, least: np.ndarray, most: np.ndarray, wanted: Floats, usual: Limits
) -> tuple[Lead, np.ndarray, np.ndarray, np.ndarray, Floats]:
    """One task more, of which nothing is known."""
    right = 0.85 * ALPHA
    wrong = (ALPHA - right) / 2
    fresh = (0.5, 0.5, right, wrong, wrong, right)
    columns = (lead.first, lead.second, lead.own, lead.other, lead.tempted, lead.rival)
    longer = Lead(*(np.append(column, value) for column, value in zip(columns, fresh, strict=True)))
    return (
        longer,
        np.append(given, 0),
        np.append(least, usual.least),
        np.append(most, usual.most),
        np.append(wanted, usual.wanted),
    )


def _part(lead: Lead, part: np.ndarray) -> Lead:
    columns = (lead.first, lead.second, lead.own, lead.other, lead.tempted, lead.rival)
    return Lead(*(column[part] for column in columns))


@dataclass
class _Play:
    """All plays side by side; the tasks that are still open in some play are rows of flat arrays."""

    lead: Lead
    given: np.ndarray
    least: np.ndarray
    most: np.ndarray
    wanted: Floats
    crowds: Floats
    n_labels: int
    room: Floats
    margin: Margin | None = None

    def run(self, rng: np.random.Generator) -> Floats:
        """float64[draws]: votes that each play took."""
        draws, lead, n = len(self.crowds), self.lead, len(self.given)
        task: np.ndarray = np.tile(np.arange(n), draws)
        play: np.ndarray = np.repeat(np.arange(draws), n)
        urns = Urns.of(lead, self.room).part(task)
        odds = np.log(np.maximum(lead.first, 1e-12) / np.maximum(lead.second, 1e-12))[task]
        truth: np.ndarray = rng.random(len(task)) < lead.first[task]
        votes: np.ndarray = self.given[task]
        ahead = np.zeros(len(task)) if self.margin is None else self.margin.now[task].astype(float)
        spent = np.zeros(draws)
        for _ in range(FARTHEST):
            sure = self._sure(task, odds, ahead)
            keep = np.flatnonzero(~(sure & (votes >= self.least[task])) & (votes < self.most[task]))
            if not len(keep):
                break
            task, play, odds, ahead, truth, votes = (x[keep] for x in (task, play, odds, ahead, truth, votes))
            urns = urns.part(keep)
            spent += np.bincount(play, minlength=draws)
            votes = votes + 1
            look = self.crowds[play, rng.integers(0, self.crowds.shape[1], len(play))]
            fell = urns.vote(rng, truth, look, self.n_labels)
            odds, ahead = odds + fell.gap, ahead + (fell.for_first.astype(float) - fell.for_second)
        return spent

    def _sure(self, task: np.ndarray, odds: Floats, ahead: Floats) -> np.ndarray:
        if self.margin is not None:
            return np.abs(ahead) >= self.margin.wanted[task]
        return 1 / (1 + np.exp(-np.abs(odds))) >= self.wanted[task] - 1e-9


def _rising(x: Floats, n: Floats) -> Floats:
    return gammaln(x + n) - gammaln(x)
