"""Assay's default: what the data can carry, chosen by evidence, without the truth.

Estimators that know more about workers win where workers gave many votes and lose where they gave few or
share their mistakes; which is which cannot be seen from one of them. Four that differ in what they believe
are asked: a weighted majority; a shrunken confusion table for each worker; "knows or spams"; pictures that
are hard for all (`risk`). Each is fitted to one half of every task's votes and must foresee the other half,
as a crowd whose confusion it estimated would give it. The mixture that foresees best (stacking: Yao, Vehtari,
Simpson, Gelman 2018, Bayesian Analysis 13(3)) is the mixture of their posteriors that is returned. A model
that has talked itself into something tells the other half badly, and gets little weight. Gold, where there is
some, is foreseen likewise by models that were not told it, and counts as what it is: the truth, not one more
opinion; it also tells how sure the mixture may be (`calibration`). A fifth model then joins, which starts
from gold instead of the votes (`gold_seeded`): where most of a crowd share a mistake, only that one can know.

Where a table of tasks x labels is too large to hold (or there is no vote at all), the one-coin model answers
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from quality.aggregation.calibration import Calibration, calibrate
from quality.aggregation.dawid_skene import fit_dawid_skene, fits_in_memory
from quality.aggregation.dependence import (
    FEWEST_GOLD,
    OF_MORE,
    OF_TWO,
    likeness,
    shown_by_halves,
    splittable,
)
from quality.aggregation.gold_seeded import can_seed, fit_gold_seeded
from quality.aggregation.mace import fit_mace
from quality.aggregation.one_coin import fit_one_coin
from quality.aggregation.posterior import DensePosterior, Fit, label_shares
from quality.aggregation.risk import fit_risk
from quality.aggregation.votes import Votes
from quality.aggregation.wawa import fit_wawa

Model = Callable[[Votes], Fit]
MODELS: tuple[Model, ...] = (fit_wawa, fit_dawid_skene, fit_mace, fit_risk)
FAST = MODELS[:-1]
"""What is asked above MANY votes: there the others know enough of each worker, and `risk` takes longest."""
MOST_CELLS = 20_000_000
"""Largest table of tasks x labels of which it holds several."""
EVENLY = 10.0
"""Votes foreseen that stand behind each model before any was: keeps small tables near the plain mean."""
GOLD_EVENLY = 5.0
"""Gold tasks that the verdict of the votes is worth, where gold has its say."""
MANY = 1_000_000
"""Votes from which on one half is asked about the other, not each about the other."""
CHUNK = 4_000_000
"""Numbers handled at a time where votes x labels would be too many to hold."""


def fit_auto(votes: Votes) -> Fit:
    """The stacked posterior; the weights and how far the models disagree are told in `notes`."""
    cells = len(votes.tasks) * len(votes.labels)
    if not len(votes.task) or cells > MOST_CELLS or not fits_in_memory(votes):
        one = fit_one_coin(votes)
        return Fit("one_coin", one.posterior, one.blind, one.skill, one.iterations, one.converged)
    asked = MODELS if len(votes.task) <= MANY else FAST
    fits = [model(votes) for model in asked]
    halves = _halves(votes, asked)
    shown = _shown(votes, halves)
    alike = [likeness(votes, fit, model, by) for fit, model, by in zip(fits, asked, shown, strict=True)]
    tempers = [value for fit, value in zip(fits, alike, strict=True) if fit.blind.can_temper]
    tables = [_opinion(votes, fit, value) for fit, value in zip(fits, alike, strict=True)]
    weight = _weights(_foreseen_votes(votes, halves), EVENLY * np.ones(len(asked)))
    known, surety = np.flatnonzero((votes.gold >= 0) & (votes.per_task > 0)), Calibration()
    right: int | None = None
    if len(known) >= FEWEST_GOLD:
        models = list(zip(asked, alike, strict=True))
        behind = GOLD_EVENLY * weight
        if can_seed(votes):
            fits.append(fit_gold_seeded(votes))
            alike.append(max(tempers))
            tables.append(_opinion(votes, fits[-1], alike[-1]))
            models.append((fit_gold_seeded, alike[-1]))
            behind = np.append(behind, behind.sum())
        foreseen = _foreseen_gold(votes, known, models)
        truth = votes.gold[known]
        weight = _weights(foreseen[np.arange(len(known)), :, truth], behind)
        mixed = np.einsum("gmk,m->gk", foreseen, weight)
        surety, right = calibrate(mixed, truth), int((mixed.argmax(axis=1) == truth).sum())
    table = sum(w * table for w, table in zip(weight, tables, strict=True))
    blind = DensePosterior(surety.applied(np.asarray(table)))
    labels = np.array([table.argmax(axis=1) for table in tables])
    return Fit(
        "auto",
        blind.clamped(votes),
        blind,
        np.asarray(sum(w * fit.skill for w, fit in zip(weight, fits, strict=True))),
        max(fit.iterations for fit in fits),
        all(fit.converged for fit in fits),
        {
            "likeness": float(np.mean(tempers)),
            "disagreement": float((labels != labels[0]).any(axis=0).mean()),
            "surety": {"power": round(surety.power, 3), "slip": surety.slip},
            "weights": {fit.method: round(float(w), 3) for fit, w in zip(fits, weight, strict=True)},
        },
        right,
    )


def _opinion(votes: Votes, fit: Fit, alike: float) -> np.ndarray:
    """float64[T, K]: what a model says, tempered; of a share of votes, what it says as a probability."""
    if fit.method != "wawa":
        return fit.blind.tempered(alike).dense().table
    n = votes.per_task[:, None]
    return (fit.blind.dense().table * n + label_shares(votes)[None, :]) / (n + 1.0)


def _weights(foreseen: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """float64[M], sums to 1: the mixture under which what was foreseen is likeliest (EM, MAP).

    Args:
        foreseen: float64[n, M], the probability that each model gave to what came. behind: float64[M],
            Dirichlet prior, in things foreseen.
    """
    weight = behind / behind.sum()
    for _ in range(200):
        told = weight * ((1.0 / np.maximum(foreseen @ weight, 1e-300)) @ foreseen) + behind
        before, weight = weight, told / told.sum()
        if np.abs(weight - before).max() < 1e-4:
            break
    return weight


class _Half(NamedTuple):
    """One half of each task's votes (`told`: bool[n]), without gold, and every model of it."""

    told: np.ndarray
    train: Votes
    fits: list[Fit]


def _halves(votes: Votes, models: tuple[Model, ...]) -> list[_Half]:
    """Both halves; one of MANY votes."""
    half = _half(votes)
    found = []
    for told in (half, ~half) if len(votes.task) <= MANY else (half,):
        train = votes.only(told)
        # Gold is weighed apart: here it would speak for whoever fits a few tasks well.
        train = replace(train, gold=np.full_like(votes.gold, -1))
        found.append(_Half(told, train, [model(train) for model in models]))
    return found


def _shown(votes: Votes, halves: list[_Half]) -> list[float | None]:
    """What the two halves show of the likeness of voters, model by model; None where they show nothing."""
    tasks = splittable(votes, halves[0].train, halves[1].train) if len(halves) == 2 else None
    if tasks is None:
        return [None] * len(halves[0].fits)
    pairs = zip(halves[0].fits, halves[1].fits, strict=True)
    return [shown_by_halves(one, other, tasks, len(votes.labels)) for one, other in pairs]


def _foreseen_votes(votes: Votes, halves: list[_Half]) -> np.ndarray:
    """float64[n, M]: the probability that each model, told half of a task's votes, gave to the others."""
    parts = []
    for told, train, fits in halves:
        rest = np.flatnonzero(~told & (train.per_task[votes.task] > 0))
        parts.append(np.stack([_at_its_best(votes, train, rest, fit) for fit in fits], axis=1))
    return np.concatenate(parts)


def _at_its_best(votes: Votes, train: Votes, rest: np.ndarray, fit: Fit) -> np.ndarray:
    """`_of_rest` at whichever usual likeness foresees better: a model is judged by what it thinks, not by how
    sure it was made."""
    tries = [_of_rest(votes, train, rest, fit, value) for value in (OF_TWO, OF_MORE)]
    return max(tries, key=lambda chance: float(np.log(np.maximum(chance, 1e-300)).sum()))


def _half(votes: Votes) -> np.ndarray:
    """bool[n]: a half of each task's votes (rounded up), drawn by their place, the same on every call."""
    draw = np.random.default_rng(20).random(len(votes.task))
    order = np.lexsort((draw, votes.task))
    start = np.r_[0, np.cumsum(votes.per_task)][:-1]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - start[votes.task]
    return place * 2 < votes.per_task[votes.task]


def _of_rest(votes: Votes, train: Votes, rest: np.ndarray, fit: Fit, alike: float) -> np.ndarray:
    """float64[m]: how likely the votes `rest` are, given a model of the votes in `train`.

    A vote is taken for one of the crowd's: drawn from the row of the crowd's confusion (estimated from the
    same half with the model's own posterior) that the task's label chooses. So models are compared by what
    they say of tasks, not by how they picture workers.
    """
    table = _opinion(train, fit, alike)
    k = table.shape[1]
    ones = np.ones(len(train.task))
    given = sparse.csr_matrix((ones, (train.label, train.task)), shape=(k, len(table)))
    confusion = np.asarray(given @ table).T + 0.1
    confusion /= confusion.sum(axis=1, keepdims=True)
    task, label = votes.task[rest], votes.label[rest]
    parts = [
        np.einsum("nk,kn->n", table[task[some]], confusion[:, label[some]])
        for some in np.array_split(np.arange(len(rest)), len(rest) * k // CHUNK + 1)
    ]
    return np.concatenate(parts)


def _foreseen_gold(votes: Votes, known: np.ndarray, models: list[tuple[Model, float]]) -> np.ndarray:
    """float64[g, M, K]: what each model, told the other gold, says of each gold task."""
    foreseen = np.empty((len(known), len(models), len(votes.labels)))
    for asked in _folds(len(known), 5 if len(votes.task) <= MANY else 2):
        gold = votes.gold.copy()
        gold[known[asked]] = -1
        told = replace(votes, gold=gold)
        for place, (model, value) in enumerate(models):
            foreseen[asked, place] = _opinion(told, model(told), value)[known[asked]]
    return foreseen


def _folds(n: int, folds: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng(21).permutation(n)
    yield from np.array_split(order, folds)
