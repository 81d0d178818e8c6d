"""Random and constant answerers, found by a test that may be looked at after every vote.

Two accounts of a worker's n answers are weighed against each other:

- *blind*: the answers come from a habit that does not look at the picture: uniform, the crowd's shares, some
  other fixed shares, or nearly always one label (Dirichlet-multinomial, so that the habit need not be known);
- *honest*: each answer is what the others foresee (`quality.peers`) with probability s, the worker's
  attention, else the worker's own habit. Attention differs from worker to worker: its distribution F is
  fitted to this crowd (a Beta beside an atom of blind ones, and some of it spread evenly). Attention below
  LEAST_ATTENTION is called blind.

`evidence` is log P(answers | blind) / P(answers | honest). Under F the ratio is a non-negative martingale of
mean 1, so the probability that it *ever*, at any number of votes, exceeds 1 / alpha is at most alpha (Ville
1939; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science
38); `quality.alarm` puts the line lower from the 40th vote on, at the same false alarms.
Approximate, because F, kappa and the worker's habit are estimated from the same votes:
`benchmarks/quality_spammers.py` measures what is left. A flag is evidence for a person, never a verdict.

How far it goes is a matter of the crowd. Who knew all 40 true answers and the workers' skills would find 32%
to 68% of the uniform answerers of a two-label crowd (RTE) in which honest workers are right in 50% or 55% of
the votes, all of them where the honest are right in 60% or more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, gammaln, logsumexp

from quality.alarm import BLIND, FEWEST_VOTES, late_line, lines
from quality.peers import Ballots, Floats, Forecast, Ints, foresee

LEAST_ATTENTION = 0.25
ATTENTION = np.linspace(LEAST_ATTENTION, 1.0, 16)
RATIO_BINS = np.linspace(np.log(1e-3), np.log(1e3), 48)
SPREAD_EVENLY = (0.03, 0.1, 0.3)
PASSES = 3
POWER = 2.0
CONSTANT_SHARE = 0.9
MOST_FITTED = 1_500
_MEANS = np.linspace(0.25, 0.97, 16)
_STRENGTHS = np.array([2.0, 5.0, 12.0, 30.0, 80.0])
_BLIND = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])


class Blindness(NamedTuple):
    """Per worker, each float64[W] (or int64[W]): `evidence`, log-odds that the answers ignore the pictures
    (-inf without comparable votes); `line`, the evidence that makes a flag; `attention`, the share of answers
    that follow the picture (mean); `n`, comparable votes; `agree`, share that the others were foreseen to say
    the same, on average; `expected`, the same for answers given blindly with this worker's habit; `given`,
    votes in all; `favourite` and `times`: the label given most, how often. `forecast`: what the peers foresaw
    of each vote; `crowd`: mean of `agree` over all votes."""

    evidence: Floats
    line: Floats
    attention: Floats
    n: Ints
    agree: Floats
    expected: Floats
    given: Ints
    favourite: Ints
    times: Ints
    forecast: Forecast
    crowd: float


def weigh_blindness(ballots: Ballots) -> Blindness:
    """Weigh both accounts for every worker; near-linear in the number of votes."""
    worth = np.ones(ballots.n_workers)
    for _ in range(PASSES):
        heard, forecast = worth, foresee(ballots, worth)
        habit, counts = _habits(ballots, forecast.base)
        evidence, attention, mixing = _evidence(ballots, forecast, habit)
        # Whoever seems blind is not asked about the others: he would make everyone's forecast flat.
        worth = np.maximum(attention**POWER / (1.0 + np.exp(np.clip(evidence, -50, 50))), 1e-3)

    def weigh(played: Ballots, foreseen: Forecast) -> Floats:
        return _evidence(played, foreseen, _habits(played, foreseen.base)[0], mixing)[0]

    late = late_line(ballots, forecast, heard, weigh)
    seen = forecast.informed
    w, n_workers = ballots.worker[seen], ballots.n_workers
    n = np.bincount(w, minlength=n_workers)
    total = np.maximum(n, 1)
    agree = np.bincount(w, weights=forecast.chance[seen], minlength=n_workers) / total
    guess = np.bincount(
        counts.worker, weights=counts.times * forecast.base[counts.label], minlength=n_workers
    )
    given = np.bincount(ballots.worker, minlength=n_workers)
    expected = guess / np.maximum(given, 1)
    crowd = float(forecast.chance[seen].mean()) if seen.any() else 0.0
    favourite, times = _favourites(counts, n_workers)
    line = lines(n, late)
    return Blindness(evidence, line, attention, n, agree, expected, given, favourite, times, forecast, crowd)


class _Counts(NamedTuple):
    """How often each worker gave each label: the pairs that occur, sorted by worker, then label."""

    worker: Ints
    label: Ints
    times: Ints


def _habits(ballots: Ballots, base: Floats) -> tuple[Floats, _Counts]:
    """float64[n]: how likely each vote's label is from the worker's *other* votes alone."""
    k = max(ballots.n_labels, 1)
    keys, inverse, times = np.unique(
        ballots.worker * k + ballots.label, return_inverse=True, return_counts=True
    )
    counts = _Counts(keys // k, keys % k, times)
    n = np.bincount(ballots.worker, minlength=ballots.n_workers)
    # One vote's worth of doubt, spread over all labels.
    own = (times[inverse] - 1.0 + 1.0 / k) / n[ballots.worker]
    return 0.5 * own + 0.5 * base[ballots.label], counts


def _favourites(counts: _Counts, n_workers: int) -> tuple[Ints, Ints]:
    order = np.lexsort((-counts.label, counts.times, counts.worker))
    favourite, times = np.zeros(n_workers, np.int64), np.zeros(n_workers, np.int64)
    favourite[counts.worker[order]] = counts.label[order]  # the last of a worker wins: the most frequent
    times[counts.worker[order]] = counts.times[order]
    return favourite, times


def _evidence(
    ballots: Ballots, forecast: Forecast, habit: Floats, mixing: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Log-odds of blind against honest and the mean attention, float64[W] each; and F, float64[S].

    Args:
        mixing: F; left out, it is fitted to these workers.
    """
    seen = forecast.informed
    w = ballots.worker[seen]
    n = np.bincount(w, minlength=ballots.n_workers)
    blind = blind_likelihood(ballots, forecast.base, seen)
    by_habit = np.bincount(w, weights=np.log(habit[seen]), minlength=ballots.n_workers)
    histogram = ratio_histogram(w, forecast.chance[seen] / habit[seen], ballots.n_workers)
    honest = histogram @ _log_gain().T  # [W, S], above `by_habit`
    if mixing is None:
        able = n >= FEWEST_VOTES
        mixing = fit_attention(honest[able], (blind - by_habit)[able])
    likely = honest + np.log(mixing)
    evidence = np.where(n > 0, blind - by_habit - logsumexp(likely, axis=1), -np.inf)
    share = np.exp(likely - logsumexp(likely, axis=1, keepdims=True))
    return evidence, share @ ATTENTION, mixing


def ratio_histogram(worker: Ints, ratio: Floats, n_workers: int) -> Floats:
    """float64[W, bins]: each worker's votes by how much better the peers foresee them than the habit does.

    A vote in between two bins is parted between them, so that the mean of its logarithm is kept. This is all
    that has to be kept of a worker: one vote changes two cells.
    """
    place = np.interp(np.log(np.maximum(ratio, 1e-12)), RATIO_BINS, np.arange(len(RATIO_BINS)))
    low = np.minimum(place.astype(np.int64), len(RATIO_BINS) - 2)
    upper = place - low
    size, shape = n_workers * len(RATIO_BINS), (n_workers, len(RATIO_BINS))
    at = worker * len(RATIO_BINS) + low
    table = np.bincount(at, weights=1.0 - upper, minlength=size)
    table += np.bincount(at + 1, weights=upper, minlength=size)
    return table.reshape(shape)


def _log_gain() -> Floats:
    """float64[S, bins]: log of (s * chance + (1 - s) * habit) / habit."""
    return np.log1p(ATTENTION[:, None] * np.expm1(RATIO_BINS)[None, :] * (1 - 1e-9))


def blind_likelihood(ballots: Ballots, base: Floats, seen: np.ndarray) -> Floats:
    """float64[W]: log-probability of each worker's comparable answers if they ignore the pictures."""
    k, n_workers = max(ballots.n_labels, 1), ballots.n_workers
    worker, label = ballots.worker[seen], ballots.label[seen]
    n = np.bincount(worker, minlength=n_workers)
    keys, times = np.unique(worker * k + label, return_counts=True)
    owner = keys // k

    def urn(each: float) -> Floats:
        gained = gammaln(times + each) - gammaln(each)
        total = np.bincount(owner, weights=gained, minlength=n_workers)
        return total - gammaln(n + each * k) + gammaln(each * k)

    by_crowd = np.bincount(worker, weights=np.log(base[label]), minlength=n_workers)
    (uniform, _), (crowd, _), (loose, each), (fixed, in_all) = BLIND
    accounts = np.stack([-n * np.log(k), by_crowd, urn(each), urn(in_all / k)])
    return logsumexp(accounts, axis=0, b=np.array([uniform, crowd, loose, fixed])[:, None])


def fit_attention(honest: Floats, blind: Floats) -> Floats:
    """float64[S]: how attention is distributed among the honest, with an atom of blind workers beside it.

    Maximum a posteriori over means and strengths of a Beta distribution and shares of blind workers; the
    prior is worth about four attentive workers, and takes few to be blind.

    Args:
        honest: float64[W, S], log-likelihood at each attention. blind: float64[W].
    """
    shapes = _beta_shapes()
    if len(blind) > MOST_FITTED:
        part = np.linspace(0, len(blind) - 1, MOST_FITTED).astype(np.int64)
        honest, blind = honest[part], blind[part]
    mean_of = np.tile(np.repeat(_MEANS, len(_STRENGTHS)), len(SPREAD_EVENLY))
    merit = 3.0 * np.log(mean_of)[:, None] + np.log(1 - mean_of)[:, None] + 6.0 * np.log1p(-_BLIND)[None, :]
    if len(blind):
        top = np.maximum(honest.max(axis=1), blind)
        fit = np.exp(honest - top[:, None]) @ shapes.T  # [W, C]
        atom = np.exp(blind - top)
        for column, share in enumerate(_BLIND):
            mixed = share * atom[:, None] + (1 - share) * fit
            merit[:, column] += np.log(np.maximum(mixed, 1e-300)).sum(axis=0)
    best = int(np.argmax(merit.max(axis=1)))
    return shapes[best]


def _beta_shapes() -> Floats:
    """float64[C, S]: the candidates for F on the grid of attention."""
    means, strengths = np.repeat(_MEANS, len(_STRENGTHS)), np.tile(_STRENGTHS, len(_MEANS))
    edges = np.linspace(LEAST_ATTENTION - 0.025, 1.0, len(ATTENTION) + 1)
    a, b = (means * strengths)[:, None], ((1 - means) * strengths)[:, None]
    mass = np.maximum(np.diff(betainc(a, b, edges[None, :]), axis=1), 1e-12)
    mass /= mass.sum(axis=1, keepdims=True)
    return np.concatenate([(1 - even) * mass + even / len(ATTENTION) for even in SPREAD_EVENLY])
