"""How often each worker is right, with an interval: in one go, or vote by vote.

A vote is judged by what is known without it: gold, or the belief that the *other* votes leave
(`peer_belief`), so that no vote vouches for itself. A belief is no verdict: where the others hold a label for
right with probability p, a worker of skill s gives it with probability s p + (1 - s) (1 - p) / (K - 1), and
the vote says as much about s as that lets it say (its share of the Fisher information of a vote on gold).
Agreement with an unsure crowd proves little, departing from one costs little, and a good worker among wrong
ones loses only as much as the others are believed.

Skill flags nobody (`quality.flags` does), and decides nothing alone: ten gold questions
leave an interval 25 points wide even for the good, and rank nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import betainccinv, betaincinv

PRIOR_VOTES = 4.0
"""Votes that the crowd's mean is worth in a worker's skill."""
LIKENESS = 0.25
"""How alike two peers are taken to be (`quality.aggregation.dependence`): what they agree on is not
certain."""
PASSES = 12

Floats = np.ndarray


def skill_intervals(right: Floats, n: Floats, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Skill (posterior mean) and the ends of its interval, each float64[W], from a Beta posterior.

    The prior is the crowd's mean, worth PRIOR_VOTES votes.

    Args:
        right: float64[W], votes that are right. n: votes in all, each counted as far as it tells.
        level: probability inside the interval.
    """
    mean = float(np.clip((right.sum() + 1.0) / (n.sum() + 2.0), 0.01, 0.99))
    a = PRIOR_VOTES * mean + right
    b = PRIOR_VOTES * (1 - mean) + np.maximum(n - right, 0.0)
    tail = (1 - level) / 2
    return a / (a + b), betaincinv(a, b, tail), betainccinv(a, b, tail)


def peer_belief(
    task: np.ndarray, worker: np.ndarray, label: np.ndarray, gold: np.ndarray, skill: Floats, n_labels: int
) -> tuple[Floats, Floats]:
    """What the others say of each vote, float64[n] each: how likely its label is right, and how likely the
    likeliest label is. Gold says 1 or 0, and 1.

    The others are coins of their skills (Dawid & Skene 1979 with one parameter), their evidence divided by
    Kish's design effect because they share mistakes.

    Args:
        task, worker, label: int64[n]. gold: int64[T], the known label or -1. skill: float64[W].
    """
    k = max(n_labels, 2)
    if not len(task):
        return np.zeros(0), np.zeros(0)
    able = np.clip(skill, 1.0 / k + 0.01, 0.99)
    others = np.bincount(task, minlength=len(gold)) - 1
    effect = 1.0 + LIKENESS * np.maximum(others - 1, 0)
    weight = np.log(able * (k - 1) / (1 - able))[worker] / effect[task]
    cells, cell = np.unique(task * k + label, return_inverse=True)
    score, owner = np.bincount(cell, weights=weight), cells // k
    top, named = np.zeros(len(gold)), np.bincount(owner, minlength=len(gold))
    np.maximum.at(top, owner, score)
    mass = np.exp(score - top[owner])
    total = np.bincount(owner, weights=mass, minlength=len(gold)) + (k - named) * np.exp(-top)
    own = np.exp(score[cell] - weight - top[task])
    left = np.maximum(total[task] - mass[cell] + own, 1e-300)
    belief = np.clip(own / left, 0.0, 1.0)
    order = np.lexsort((score, owner))
    last = np.searchsorted(owner[order], np.arange(len(gold)), side="right") - 1
    first = order[np.maximum(last, 0)]
    second = np.where(named > 1, score[order[np.maximum(last - 1, 0)]], 0.0)
    rival = np.where(cell == first[task], second[task], top[task])
    rival = np.where((k > named[task]) | (named[task] > 1), np.exp(rival - top[task]), 0.0)
    best = np.maximum(belief, np.minimum(rival / left, 1.0))
    known = gold[task] >= 0
    return np.where(known, gold[task] == label, belief), np.where(known, 1.0, best)


def judged(
    worker: np.ndarray, belief: Floats, best: Floats, n_workers: int, n_labels: int
) -> tuple[Floats, Floats]:
    """Right votes and votes, float64[W] each, every vote counted as far as it tells; for `skill_intervals`.

    Maximum a posteriori by EM, all workers at once; `belief` and `best` as `peer_belief` gives them.
    """
    n = np.bincount(worker, minlength=n_workers)
    skill = np.full(n_workers, 0.8)
    for _ in range(PASSES):
        right = np.bincount(worker, weights=_right(skill[worker], belief, n_labels), minlength=n_workers)
        mean = (right.sum() + 1.0) / (n.sum() + 2.0)
        skill = (right + PRIOR_VOTES * mean) / (n + PRIOR_VOTES)
    told = np.bincount(worker, weights=_telling(skill[worker], best, n_labels), minlength=n_workers)
    return np.where(n > 0, skill * told, 0.0), told


def _right(skill: Floats, belief: Floats, n_labels: int) -> Floats:
    """How likely a vote is right, given its worker's skill and what the others believe of its label."""
    hit, miss = skill * belief, (1 - skill) * (1 - belief) / max(n_labels - 1, 1)
    return hit / np.maximum(hit + miss, 1e-300)


def _telling(skill: Floats, best: Floats, n_labels: int) -> Floats:
    """What a vote tells of its worker's skill, as a share of what a vote on gold would tell."""
    miss = (1 - best) / max(n_labels - 1, 1)
    said = np.clip(skill * best + (1 - skill) * miss, 1e-9, 1 - 1e-9)
    return np.clip(np.square(best - miss) * skill * (1 - skill) / (said * (1 - said)), 0.0, 1.0)


@dataclass(frozen=True)
class Record:
    """What is known of one worker; a vote is added in O(1), whatever came before.

    `right`, `wrong`: the Beta posterior's two numbers, prior included. `votes`: votes given. `confusion`:
    (likeliest label, label given) -> votes, each counted as far as the others were sure.
    """

    right: float = PRIOR_VOTES * 0.8
    wrong: float = PRIOR_VOTES * 0.2
    votes: int = 0
    confusion: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def kept(cls, skill: float, lo: float, hi: float, votes: int) -> Record:
        """The record with this skill (0 to 1) after so many votes whose 95% interval is as wide as this one.

        By bisection over what the votes are worth together: at most one each, beside the prior.
        """
        few, many = 0.1, PRIOR_VOTES + votes
        for _ in range(40):
            middle = (few + many) / 2
            ends = cls(skill * middle, (1 - skill) * middle).interval()
            few, many = (middle, many) if ends[1] - ends[0] > hi - lo else (few, middle)
        return cls(skill * many, (1 - skill) * many, votes)

    @property
    def skill(self) -> float:
        """Posterior mean of the share of right votes."""
        return self.right / (self.right + self.wrong)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends of the skill's interval."""
        tail = (1 - level) / 2
        return (
            float(betaincinv(self.right, self.wrong, tail)),
            float(betainccinv(self.right, self.wrong, tail)),
        )


def update(record: Record, label: str, belief: Mapping[str, float], n_labels: int) -> Record:
    """The record after one more vote.

    The responsibilities are taken at the skill of the moment and never revised (online EM: Cappé & Moulines
    2009, JRSS B 71), so after many votes the record is close to, not equal to, what `judged` makes of the
    same votes: within 0.03 of skill on crowds of 60% to 98% (tested).

    Args:
        label: the vote. belief: what is known without it: label -> probability; gold is {answer: 1.0}.
    """
    if not belief:
        return replace(record, votes=record.votes + 1)
    lead = max(sorted(belief), key=lambda name: belief[name])
    p, best, skill = (np.array([x]) for x in (belief.get(label, 0.0), belief[lead], record.skill))
    told = float(_telling(skill, best, n_labels)[0])
    right = float(_right(skill, p, n_labels)[0])
    pair = (lead, label)
    confusion = {**record.confusion, pair: record.confusion.get(pair, 0.0) + belief[lead]}
    return Record(record.right + told * right, record.wrong + told * (1 - right), record.votes + 1, confusion)
