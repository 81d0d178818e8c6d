"""How many votes a round still needs that wants an expected accuracy of each category. Pure.

The rest of the round is played many times by the rule itself (`accuracy_target.reach`): a category's votes
go where each saves most expected errors until its mean confidence is there; then all of it stops. Votes are
drawn from the urns of `forecast`. What no play knows is how the crowd will be judged by later passes. That
moves all confidences together, so each play sees them moved, by a draw of its own (SHIFT); and the votes of a
play are stretched by a random factor (MISFIT).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from quality.accuracy_target import reach
from quality.aggregation.risk import ALPHA, FIRST_LOOK, Floats, Risk
from quality.forecast import FEWEST_MODELS, LEVEL, USUAL, Forecast, Limits, Urns
from quality.gain import Lead, gain

DRAWS = 100
MOST_PLAYED = 1500
"""Tasks that are played; of more, a random part of each of some categories stands for all."""
FEWEST_PLAYED = 150
FEWEST_OF_CATEGORY = 50
"""Of a category that is played, so many tasks at least, if it has them."""
FOLLOWS = 0.4
"""Log-odds by which the aggregation's confidence follows a vote that moves the rule's own by 1."""
SHIFT = (0.0, 0.15)
"""Mean and standard deviation of the log-odds by which later passes move the confidence of all tasks."""
EARLY = 3.0
"""How much more the confidences may still move (their variance) for each task without votes beside one that
has some: the intervals of 45 simulated rounds in which 12% to 68% of the tasks had votes held in 71% without
it, in 89% with it."""
MOST_EARLY = 10.0
MISFIT = (0.03, 0.35)
"""The same of the logarithm of (votes it took / votes that the plays say). With both, the intervals held in
90% of the first forecasts and in 93% of all of them in 210 simulated rounds of 100 to 400 tasks with 2 to 20
labels, 6 to 12 votes at most, half of them with 20% spammers; in 75% of the first where a category has hardly
ten tasks (20 labels)."""
FARTHEST = 60
"""Votes ahead after which a play takes it that a category gets all the votes it may get."""
MOST_VOTES = 1_000_000
"""Votes that all plays together may take; fewer tasks are played where they may get many."""


@dataclass(frozen=True)
class Standing:
    """T tasks that have votes, as the rule sees them; columns of one row a task.

    `lead`, `room`: as `forecast` takes them; `rival`: `rival_of`. `said`: the
    aggregation's confidence. `category`: int64, of the label that the task would get. `given`, `least`,
    `most`: votes. `target`: the accuracy wanted of the category. `closed`: bool, gets no more votes.
    """

    lead: Lead
    rival: Floats
    room: Floats
    said: Floats
    category: np.ndarray
    given: np.ndarray
    least: np.ndarray
    most: np.ndarray
    target: Floats
    closed: np.ndarray

    def part(self, rows: np.ndarray) -> Standing:
        """Some of the tasks, or some of them several times."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "lead"}
        return Standing(Lead(*(column[rows] for column in vars(self.lead).values())), **columns)


def rival_of(risk: Risk, lead: Lead) -> Floats:
    """float64[T]: how likely the likeliest label other than each task's leader is."""
    cells, n_tasks = risk.layout.votes.cells, len(lead.first)
    order = np.lexsort((risk.posterior.prob, cells.task))
    task, prob = cells.task[order], risk.posterior.prob[order]
    last = np.flatnonzero(np.r_[task[1:] != task[:-1], np.ones(min(len(task), 1), bool)])
    best, second = np.zeros(n_tasks), np.zeros(n_tasks)
    best[task[last]] = prob[last]
    several = last[(last > 0) & (task[np.maximum(last - 1, 0)] == task[last])]
    second[task[several]] = prob[several - 1]
    return np.where(lead.first >= best - 1e-12, second, best)


def forecast_accuracy(
    standing: Standing,
    looks: Floats,
    n_labels: int,
    *,
    fresh: int = 0,
    open_tasks: int = 0,
    usual: Limits = USUAL,
    least_gain: float = 0.0,
    draws: int = DRAWS,
    seed: int = 0,
) -> Forecast:
    """Play the rest of the round.

    Args:
        looks: float64[m], how likely the voter of each vote so far looks; future voters are like them.
        fresh: tasks without any vote. They are taken to go as some of the others did, drawn at random: what
            those were given, and what they still need.
        open_tasks: tasks that wait for votes, for the record; without any nothing is played.
        usual: of the round's tasks, for those without votes where hardly any has votes.
        least_gain: as in `reach`.
    """
    if not open_tasks:
        return Forecast(0.0, 0.0, 0.0, 0)
    rng = np.random.default_rng(seed)
    unknown = min(fresh / max(len(standing.given), 1), MOST_EARLY)
    standing, before = _with_fresh(standing, fresh, usual, rng)
    pool = looks if len(looks) else np.array([FIRST_LOOK])
    crowds = rng.choice(pool, (draws, 200))
    ahead = float(np.clip(standing.most - standing.given, 1, FARTHEST).mean())
    most_played = int(np.clip(MOST_VOTES / (draws * ahead), FEWEST_PLAYED, MOST_PLAYED))
    sample, scale, picked = _sample(standing, most_played, rng)
    shift = rng.normal(SHIFT[0], SHIFT[1] * np.sqrt(1.0 + EARLY * unknown), draws)
    spent = _Play(sample, crowds, n_labels, least_gain, float(pool.mean()), shift).run(rng) * scale
    if picked < 1.0:  # which categories are played is chance, too
        n = spent.shape[1]
        spent = spent * rng.multinomial(n, np.full(n, 1.0 / n), draws)
    room = np.where(standing.closed, 0, np.maximum(standing.most - standing.given, 0))
    owed = float(np.minimum(np.maximum(standing.least - standing.given, 0), room).sum())
    beyond = np.maximum(spent.sum(axis=1) / picked - owed, 0.0) * np.exp(rng.normal(*MISFIT, draws))
    totals = np.minimum(owed + beyond, float(room.sum())) + before
    lo, hi = np.quantile(totals, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Forecast(float(totals.mean()), float(lo), float(hi), open_tasks)


def _with_fresh(
    standing: Standing, fresh: int, usual: Limits, rng: np.random.Generator
) -> tuple[Standing, float]:
    """The tasks with those that nobody voted on, and the votes that bring these to where they are put."""
    given = standing.given
    ruled = ~standing.closed & (standing.least < standing.most)
    models = np.flatnonzero(ruled & (given >= np.minimum(standing.least, given.max(initial=1))))
    if not fresh:
        return standing, 0.0
    if len(models) < FEWEST_MODELS:
        return _with_unknown(standing, fresh, usual), 0.0
    like = rng.choice(models, fresh)
    return standing.part(np.concatenate([np.arange(len(given)), like])), float(given[like].sum())


def _with_unknown(standing: Standing, fresh: int, usual: Limits) -> Standing:
    """So many tasks more of which nothing is known, in a category of their own."""
    right = 0.85 * ALPHA
    wrong = (ALPHA - right) / 2
    lead = (0.5, 0.5, right, wrong, wrong, right)
    new = {
        "rival": 0.25, "room": ALPHA, "said": 0.5, "category": int(standing.category.max(initial=-1)) + 1,
        "given": 0, "least": usual.least, "most": usual.most, "target": usual.wanted, "closed": False,
    }  # fmt: skip
    columns = {
        name: np.append(getattr(standing, name), np.full(fresh, value)).astype(getattr(standing, name).dtype)
        for name, value in new.items()
    }
    both = zip(vars(standing.lead).values(), lead, strict=True)
    longer = Lead(*(np.append(column, np.full(fresh, value)) for column, value in both))
    return replace(standing, lead=longer, **columns)


def _sample(standing: Standing, most: int, rng: np.random.Generator) -> tuple[Standing, Floats, float]:
    """What is played, tasks for which each category's tasks stand (float64[C]), and the share of all tasks in
    these categories. The target of a category moves with the mean of the tasks that are drawn of it.
    """
    category = np.unique(standing.category, return_inverse=True)[1]
    size = np.bincount(category)
    standing = replace(standing, category=category)
    if len(category) <= most:
        return standing, np.ones(len(size)), 1.0
    order = rng.permutation(len(category))
    order = order[np.argsort(category[order], kind="stable")]
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    chosen = rng.permutation(len(size))[: max(most // FEWEST_OF_CATEGORY, 1)]
    cap = _cap(size[chosen], most)
    rows = order[np.isin(category[order], chosen) & (place < cap)]
    sure = _sure(standing.lead.first, standing.said)
    short = np.bincount(category, weights=standing.target - sure) / size
    part = standing.part(rows)
    kept, number, count = np.unique(part.category, return_inverse=True, return_counts=True)
    mean = np.bincount(number, weights=_sure(part.lead.first, part.said)) / count
    part = replace(part, category=number, target=np.clip(mean[number] + short[kept][number], 1e-9, 1.0))
    return part, size[kept] / count, float(size[kept].sum() / len(category))


def _cap(size: np.ndarray, most: int) -> int:
    """The most tasks of each category that may be played, so that all are `most` at most."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(size, middle).sum() <= most else (low, middle - 1)
    return low


def _sure(first: Floats, said: Floats) -> Floats:
    """What is stated of each label: `gain.stated`."""
    return (first + said) / 2.0


def _logit(p: Floats) -> Floats:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _chance(logit: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-logit))


@dataclass
class _Play:
    """All plays side by side. Rows are (play, task); a play's category that has stopped leaves the arrays."""

    standing: Standing
    crowds: Floats
    n_labels: int
    least_gain: float
    pace: float
    shift: Floats

    @property
    def n_categories(self) -> int:
        return int(self.standing.category.max()) + 1

    def run(self, rng: np.random.Generator) -> Floats:
        """float64[draws, C]: votes that each play took in each category."""
        draws, n_categories = len(self.crowds), self.n_categories
        rows = _Rows.of(self, rng)
        spent = np.zeros(draws * n_categories)
        while True:
            near = np.minimum(rows.most, rows.before + FARTHEST)
            ask = reach(
                rows.key, rows.sure, rows.votes, rows.target, np.minimum(rows.least, near), near,
                gain=rows.gain, closed=rows.closed, least_gain=self.least_gain,
            ).ask  # fmt: skip
            asked = np.bincount(rows.key, weights=ask, minlength=len(spent))
            spent += asked + self._beyond(rows, near, asked == 0)
            if not asked.any():
                break
            keep = asked[rows.key] > 0
            rows, ask = rows.part(keep), ask[keep]
            while ask.any():
                rows.vote(np.flatnonzero(ask), rng, self)
                ask = np.maximum(ask - 1, 0)
        return spent.reshape(draws, n_categories)

    def _beyond(self, rows: _Rows, near: np.ndarray, stopped: np.ndarray) -> Floats:
        """Votes past FARTHEST, in the categories that stop here without being sure enough."""
        more = np.where(rows.closed | (rows.gain <= self.least_gain), 0, np.maximum(rows.most - near, 0))
        if not more.any():
            return np.zeros(len(stopped))
        short = np.bincount(rows.key, weights=rows.target - rows.sure, minlength=len(stopped))
        return np.bincount(rows.key, weights=more, minlength=len(stopped)) * (stopped & (short > 1e-6))


@dataclass
class _Rows:
    """`key`: the play's category; `over_rival`, `over_rest`: log-odds of the leader over its best rival, and
    over all other labels; `offset`: of the aggregation's log-odds; `sure`: what is stated."""

    key: np.ndarray
    play: np.ndarray
    truth: np.ndarray
    before: np.ndarray
    votes: np.ndarray
    least: np.ndarray
    most: np.ndarray
    target: Floats
    closed: np.ndarray
    urns: Urns
    over_rival: Floats
    over_rest: Floats
    offset: Floats
    shift: Floats
    sure: Floats
    gain: Floats

    @classmethod
    def of(cls, plays: _Play, rng: np.random.Generator) -> _Rows:
        """Every task in every play, with its truth drawn."""
        standing, draws = plays.standing, len(plays.crowds)
        lead, n = standing.lead, len(standing.given)
        first = np.log(np.maximum(lead.first, 1e-9))
        saves = gain(lead, plays.pace)
        task, play = np.tile(np.arange(n), draws), np.repeat(np.arange(draws), n)
        key = play * plays.n_categories + standing.category[task]
        shift = np.where(standing.closed[task], 0.0, plays.shift[play])
        return cls(
            key=key,
            play=play,
            truth=rng.random(len(task)) < lead.first[task],
            before=standing.given[task],
            votes=standing.given[task],
            least=standing.least[task],
            most=standing.most[task],
            target=standing.target[task],
            closed=standing.closed[task],
            urns=Urns.of(lead, standing.room).part(task),
            over_rival=(first - np.log(np.maximum(standing.rival, 1e-9)))[task],
            over_rest=(first - np.log(np.maximum(lead.second - standing.rival, 1e-9)))[task],
            offset=(_logit(standing.said) - FOLLOWS * _logit(lead.first))[task],
            shift=shift,
            sure=_moved(_sure(lead.first, standing.said)[task], shift),
            gain=saves[task],
        )

    def part(self, rows: np.ndarray) -> _Rows:
        """Some of them."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return _Rows(**{name: c.part(rows) if name == "urns" else c[rows] for name, c in columns.items()})

    def vote(self, asked: np.ndarray, rng: np.random.Generator, play: _Play) -> None:
        """One vote for each of these rows, and what is then thought of them."""
        crowd = rng.integers(0, play.crowds.shape[1], len(asked))
        urns = self.urns.part(asked)
        fell = urns.vote(rng, self.truth[asked], play.crowds[self.play[asked], crowd], play.n_labels)
        self.urns.put(asked, urns)
        self.votes[asked] += 1
        over_rival = self.over_rival[asked] + fell.gap
        over_rest = self.over_rest[asked] + np.where(fell.for_first, fell.gap, 0.0)
        self.over_rival[asked], self.over_rest[asked] = over_rival, over_rest
        first = 1.0 / (1.0 + np.exp(-over_rival) + np.exp(-over_rest))
        rival = first * np.exp(-over_rival)
        likelier = np.maximum(first, rival)
        said = _chance(self.offset[asked] + FOLLOWS * _logit(likelier))
        self.sure[asked] = _moved(_sure(likelier, said), self.shift[asked])
        lead = Lead(first, 1.0 - first, urns.own, urns.other, urns.tempted, urns.rival)
        self.gain[asked] = gain(lead, play.pace)


def _moved(sure: Floats, shift: Floats) -> Floats:
    """Confidence after its log-odds moved; what is certain stays so."""
    return np.where(sure < 1.0, _chance(_logit(sure) + shift), sure)
