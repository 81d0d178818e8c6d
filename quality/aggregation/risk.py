"""How likely each task's label is wrong, when workers share mistakes and some of them do not look. Pure.

Stopping asks another question than consensus does: would further voters say something else? So here a
picture may be hard for everybody, and whether a vote was looked at is judged worker by worker:

1. Every task has its own shares of answers, the same for all who look, drawn from a Dirichlet around the
   crowd's confusion row of the true label with concentration ALPHA (the Dirichlet compound multinomial;
   Mosimann 1962, Biometrika 49). Two who look are alike by 1 / (1 + ALPHA), so the odds of an error fall with
   the number of agreeing votes as a power, not exponentially: those who agree may be fooled alike.
2. A worker looks with a probability of their own, else answers by habit (as in MACE, Hovy et al. 2013). How
   often this crowd looks is learned (empirical Bayes on the grid LOOKS): a known spammer weighs nothing, a
   newcomer as much as the crowd does.
3. No vote vouches for itself: its worker is judged by the other votes on this task, and by other tasks.

EM on the votes alone; gold clamps the truth. A task that was asked often does not outweigh many that were
asked twice: where the crowd is learned, each vote counts (1 + ALPHA) / (ALPHA + votes of its task).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from quality.aggregation.posterior import Fit, SparsePosterior
from quality.aggregation.votes import Votes

ALPHA = 8.0
"""The likeliest ALPHA, the truth known, is 14, 9, 7 and 8 on the public crowds with four labels and more
other than the one it is checked on (adult2, cf, cifar10s, dog), 19, 11, 6 and 4 on their first three
votes a task (geometric means 9 and 8). Votes alone cannot tell: they say 9 to 24, since what most get
wrong looks like the truth."""
LOOKS = np.array([0.02, 0.25, 0.5, 0.7, 0.85, 0.93, 0.97, 0.99, 0.999])
LOOKS_PRIOR = np.array([0.3, 0.1, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 1.6])
"""How many workers of each kind a crowd is expected to have, worth 6.3 workers in all."""
FIRST_LOOK = 0.85
HABIT_PRIOR = 2.0
"""Votes that stand behind "whoever does not look names any label alike"."""
RIGHT_PRIOR = 10.0
"""Votes that stand behind the crowd's share of right votes: 70% of the way from chance to perfect."""
MISTAKES_PRIOR = 1.0
"""Votes that stand behind "mistakes go where that label is common", in each row of the crowd's mistakes."""
MOST_PASSES, TOLERANCE = 12, 1e-3
AT_REST = 0.03
"""A last pass that moves no weight by more than this is no news."""
Floats = np.ndarray


@dataclass(frozen=True)
class Layout:
    """Where the cells (task, label) of T tasks meet each other. C cells, P pairs of cells of one task.

    `truth`, `said`: int64[P], the pair's cells; `pair`: int64[P], its kind: a pair of labels. `kind_truth`,
    `kind_said`: int64[R], the labels of each kind. `width`: int64[T], cells of a task; `start`: int64[T].
    """

    votes: Votes
    truth: np.ndarray
    said: np.ndarray
    pair: np.ndarray
    kind_truth: np.ndarray
    kind_said: np.ndarray
    width: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, votes: Votes) -> Layout:
        """Pairs are ordered by truth cell, then said cell."""
        cells, n_labels = votes.cells, max(len(votes.labels), 2)
        width = np.bincount(cells.task, minlength=len(votes.tasks))
        start = np.r_[0, np.cumsum(width)[:-1]] if len(width) else width
        truth, place = _spread(width[cells.task])
        said = start[cells.task[truth]] + place
        kinds, pair = np.unique(cells.label[truth] * n_labels + cells.label[said], return_inverse=True)
        return cls(votes, truth, said, pair, kinds // n_labels, kinds % n_labels, width, start)

    @cached_property
    def of_vote(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each vote with each cell of its task: the vote, the cell, and the pair (cell, the vote's cell)."""
        votes, cells = self.votes, self.votes.cells
        vote, place = _spread(self.width[votes.task])
        cell = self.start[votes.task[vote]] + place
        pairs_before = np.r_[0, np.cumsum(self.width[cells.task])[:-1]] if len(cells.task) else place
        own = cells.of_vote[vote] - self.start[votes.task[vote]]
        return vote, cell, pairs_before[cell] + own


@dataclass(frozen=True)
class Crowd:
    """What is learned about all workers. K labels, R kinds of pairs.

    `right`: the share of right votes among those looked at; `row`: float64[R], P(said | truth) of each kind;
    `elsewhere`: float64[K], P(said) where the truth is a label that nobody named; `prior`: float64[K], how
    common each label is.
    """

    right: float
    row: Floats
    elsewhere: Floats
    prior: Floats
    alpha: float = ALPHA


@dataclass(frozen=True)
class Posterior:
    """`log`: float64[C], `log_rest`: float64[T], as they come; `prob`, `rest`: 1 in all a task, gold told."""

    log: Floats
    log_rest: Floats
    prob: Floats
    rest: Floats


@dataclass(frozen=True)
class Risk:
    """What is known of T tasks, and what further votes may bring.

    `looks`: float64[W], how likely each worker looks; `weight`: float64[n], how likely each vote was looked
    at, judged without it. `counts`: float64[C], votes looked at of each cell. `moved`: how far the last of
    `passes` moved a weight.
    """

    layout: Layout
    crowd: Crowd
    posterior: Posterior
    looks: Floats
    weight: Floats
    counts: Floats
    passes: int
    moved: float

    def of_labels(self, label: np.ndarray) -> Floats:
        """float64[T]: how likely `label` (int64[T], -1 is none) is right; 0 for a label that nobody named."""
        cells = self.layout.votes.cells
        chance = np.zeros(len(self.layout.width))
        hit = cells.label == label[cells.task]
        chance[cells.task[hit]] = self.posterior.prob[hit]
        return chance

    def pace(self, share: float) -> float:
        """The weight that `share` of the votes do not exceed; a stranger's where there is no vote."""
        return float(np.quantile(self.weight, share)) if len(self.weight) else FIRST_LOOK


def assess(votes: Votes, alpha: float = ALPHA) -> Risk:
    """EM from "everybody looks with FIRST_LOOK" until no vote's weight moves by more than TOLERANCE."""
    layout = Layout.of(votes)
    weight = np.full(len(votes.task), FIRST_LOOK)
    looks = np.full(len(votes.workers), FIRST_LOOK)
    shares = LOOKS_PRIOR / LOOKS_PRIOR.sum()
    crowd, habit = _strangers(layout, alpha), _habits(votes)
    moved, passes = 1.0, 0
    while moved > TOLERANCE and passes < MOST_PASSES and len(weight):
        counts = _counts(votes, weight)
        crowd = _learn(layout, crowd, counts, posterior_of(layout, crowd, counts))
        posterior = posterior_of(layout, crowd, counts)
        before = weight
        looked = _chance_if_looked(layout, crowd, counts, posterior, weight)
        looks, weight, shares = _judge(votes, habit, looked, shares)
        moved = float(np.abs(weight - before).max())
        passes += 1
    counts = _counts(votes, weight)
    return Risk(layout, crowd, posterior_of(layout, crowd, counts), looks, weight, counts, passes, moved)


def fit_risk(votes: Votes) -> Fit:
    """The same as one of the models of which `auto` makes its mixture."""
    risk = assess(votes)
    told = risk.posterior
    prob, rest = _scaled(votes.cells.task, told.log, told.log_rest)
    blind = SparsePosterior(votes, prob, rest, risk.crowd.prior[: len(votes.labels)])
    skill = risk.looks * risk.crowd.right
    return Fit("risk", blind.clamped(votes), blind, skill, risk.passes, risk.moved <= AT_REST)


def posterior_of(layout: Layout, crowd: Crowd, counts: Floats) -> Posterior:
    """How likely each cell's label is, and (`rest`) that the truth is a label which nobody named.

    One more vote for a label (of a worker who looks at all) never lowers it: no kind of mistake is likelier
    than the right answer with the same words (`_learn` sees to it).
    """
    votes, cells, n_tasks = layout.votes, layout.votes.cells, len(layout.width)
    rising = _rising(crowd.alpha * crowd.row[layout.pair], counts[layout.said])
    log = np.bincount(layout.truth, weights=rising, minlength=len(counts)) + np.log(crowd.prior[cells.label])
    rising = _rising(crowd.alpha * crowd.elsewhere[cells.label], counts)
    named = np.bincount(cells.task, weights=crowd.prior[cells.label], minlength=n_tasks)
    unnamed = np.log(np.maximum(1.0 - named, 1e-12))
    log_rest = np.bincount(cells.task, weights=rising, minlength=n_tasks) + unnamed
    prob, rest = _scaled(cells.task, log, log_rest)
    known = votes.gold >= 0
    prob = np.where(known[cells.task], cells.label == votes.gold[cells.task], prob)
    return Posterior(log, log_rest, prob, np.where(known, 0.0, rest))


def _strangers(layout: Layout, alpha: float) -> Crowd:
    """A crowd of which nothing is known but which labels it names."""
    votes, k = layout.votes, max(len(layout.votes.labels), 2)
    right = 0.7 + 0.3 / k
    common = (np.bincount(votes.label, minlength=k) + 1.0) / (len(votes.label) + k)
    row = (1 - right) * common[layout.kind_said] / (1 - common[layout.kind_truth])
    row = np.where(layout.kind_truth == layout.kind_said, right, row)
    return Crowd(right, row, (1 - right) * common, np.full(k, 1.0 / k), alpha)


def _learn(layout: Layout, crowd: Crowd, counts: Floats, posterior: Posterior) -> Crowd:
    """The crowd's confusion rows from what is thought of each task, shrunk to one share of right votes."""
    cells, k = layout.votes.cells, len(crowd.prior)
    per_task = np.bincount(cells.task, weights=counts, minlength=len(layout.width))
    worth = (1 + crowd.alpha) / (crowd.alpha + per_task)
    seen = posterior.prob[layout.truth] * (counts * worth[cells.task])[layout.said]
    seen = np.bincount(layout.pair, weights=seen, minlength=len(crowd.row))
    same = layout.kind_truth == layout.kind_said
    of_truth = np.bincount(layout.kind_truth, weights=seen, minlength=k)
    hits = np.zeros(k)
    hits[layout.kind_truth[same]] = seen[same]
    wrong_for_all = float((posterior.rest * per_task * worth).sum())
    guess = RIGHT_PRIOR * (0.7 + 0.3 / k)
    right = float((hits.sum() + guess) / (of_truth.sum() + wrong_for_all + RIGHT_PRIOR))
    own = (hits + RIGHT_PRIOR * right) / (of_truth + RIGHT_PRIOR)
    common = (np.bincount(cells.label, weights=counts, minlength=k) + 1.0) / (counts.sum() + k)
    expected = common[layout.kind_said] / (1 - common[layout.kind_truth])
    missed = (of_truth - hits)[layout.kind_truth]
    mistake = (seen + MISTAKES_PRIOR * expected) / (missed + MISTAKES_PRIOR)
    row = np.minimum((1 - own[layout.kind_truth]) * mistake, own[layout.kind_said])
    prior = (np.bincount(cells.label, weights=posterior.prob, minlength=k) + 1.0) / (len(layout.width) + k)
    elsewhere = np.minimum((1 - right) * common, own)
    return Crowd(
        right, np.where(same, own[layout.kind_truth], row), elsewhere, prior / prior.sum(), crowd.alpha
    )


def _chance_if_looked(
    layout: Layout, crowd: Crowd, counts: Floats, posterior: Posterior, weight: Floats
) -> Floats:
    """float64[n]: P(what each vote says | its worker looked), from the other votes on the task."""
    votes, cells = layout.votes, layout.votes.cells
    vote, cell, pair = layout.of_vote
    per_task = np.bincount(cells.task, weights=counts, minlength=len(layout.width))
    own = counts[cells.of_vote]
    others = np.maximum(own - weight, 0.0)
    room = crowd.alpha + np.maximum(per_task[votes.task] - weight, 0.0)
    x = crowd.alpha * crowd.row[layout.pair[pair]]
    log = posterior.log[cell] - (gammaln(x + own[vote]) - gammaln(x + others[vote]))
    x_rest = crowd.alpha * crowd.elsewhere[votes.label]
    log_rest = posterior.log_rest[votes.task] - (gammaln(x_rest + own) - gammaln(x_rest + others))
    prob, rest = _scaled(vote, log, log_rest)
    truth = votes.gold[votes.task]
    prob = np.where(truth[vote] >= 0, cells.label[cell] == truth[vote], prob)
    rest = np.where(truth >= 0, 0.0, rest)
    said = np.bincount(vote, weights=prob * (x + others[vote]) / room[vote], minlength=len(votes.task))
    return said + rest * (x_rest + others) / room


def _habits(votes: Votes) -> Floats:
    """float64[n]: how often each vote's worker names its label, by the worker's other votes."""
    k = max(len(votes.labels), 2)
    _, place, times = np.unique(votes.worker * k + votes.label, return_inverse=True, return_counts=True)
    others = votes.per_worker[votes.worker] - 1
    return (times[place] - 1 + HABIT_PRIOR / k) / (others + HABIT_PRIOR)


def _judge(votes: Votes, habit: Floats, looked: Floats, shares: Floats) -> tuple[Floats, Floats, Floats]:
    """How likely each worker looks, the same judged without each vote, and the shares of LOOKS anew."""
    n_workers = len(votes.workers)
    each = [look * looked + (1 - look) * habit for look in LOOKS]
    whole = [np.bincount(votes.worker, weights=np.log(chance), minlength=n_workers) for chance in each]
    of_worker = _softmax(np.stack(whole, axis=1) + np.log(shares))
    # Taking one vote's chance out of the product needs no logarithm.
    left = [of_worker[votes.worker, i] / chance for i, chance in enumerate(each)]
    without = sum(look * part for look, part in zip(LOOKS, left, strict=True)) / sum(left)
    shares = of_worker.sum(axis=0) + LOOKS_PRIOR
    return of_worker @ LOOKS, np.asarray(without), shares / shares.sum()


def _counts(votes: Votes, weight: Floats) -> Floats:
    return np.bincount(votes.cells.of_vote, weights=weight, minlength=len(votes.cells.task))


def _rising(x: Floats, n: Floats) -> Floats:
    """Logarithm of x (x + 1) ... (x + n - 1), for any n from 0 on."""
    return gammaln(x + n) - gammaln(x)


def _scaled(owner: np.ndarray, log: Floats, log_rest: Floats) -> tuple[Floats, Floats]:
    """exp(log) and exp(log_rest), scaled so that they sum to 1 for each owner."""
    top = log_rest.copy()
    np.maximum.at(top, owner, log)
    prob, rest = np.exp(log - top[owner]), np.exp(log_rest - top)
    total = np.bincount(owner, weights=prob, minlength=len(rest)) + rest
    return prob / total[owner], rest / total


def _softmax(log: Floats) -> Floats:
    table = np.exp(log - log.max(axis=1, keepdims=True, initial=-np.inf))
    return table / table.sum(axis=1, keepdims=True)


def _spread(width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each position as often as its width says; beside it the place within, 0 to width - 1."""
    owner = np.repeat(np.arange(len(width)), width)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(width) - width, width)
