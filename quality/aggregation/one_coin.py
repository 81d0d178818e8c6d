"""One-coin Dawid-Skene: each worker is right with a probability of their own, whatever the label, and
otherwise names any other label alike (Zhang, Chen, Zhou, Jordan 2014, JMLR 17; EM of Dawid and Skene 1979).

MAP: a worker's probability is shrunk to the crowd's mean, by as much as the scatter of the records says, and
no vote ever counts against the label that it names. With two votes a worker this is close to majority, as it
should.
"""

from __future__ import annotations

import numpy as np

from quality.aggregation.posterior import (
    Fit,
    SparsePosterior,
    class_shares,
    share_posterior,
    vote_posterior,
    with_evidence,
)
from quality.aggregation.shrinkage import MEAN_PRIOR, beta_strength
from quality.aggregation.votes import Votes


def fit_one_coin(votes: Votes, max_iterations: int = 60, tolerance: float = 1e-4) -> Fit:
    """EM on the votes' cells: a pass costs O(votes), whatever the number of labels."""
    blind = share_posterior(votes, np.ones(len(votes.task)))
    skill, moved, passes = np.zeros(0), np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before = blind
        skill = worker_skill(votes, blind.clamped(votes))
        prior = class_shares(votes, blind.clamped(votes))
        weight = coin_weight(skill, len(votes.labels))[votes.worker]
        blind = vote_posterior(votes, weight, prior)
        moved = float(np.abs(blind.prob - before.prob).max(initial=0.0))
        passes += 1
    blind = with_evidence(votes, blind, weight)
    return Fit("one_coin", blind.clamped(votes), blind, skill, passes, moved <= tolerance)


def worker_skill(votes: Votes, posterior: SparsePosterior) -> np.ndarray:
    """float64[W]: MAP share of right votes of each worker, given how likely each vote is right."""
    n = votes.per_worker.astype(float)
    right = np.bincount(votes.worker, weights=posterior.of_votes(votes), minlength=len(n))
    guess = 0.7 + 0.3 / max(len(votes.labels), 2)
    mean = (right.sum() + MEAN_PRIOR * guess) / (n.sum() + MEAN_PRIOR)
    strength = beta_strength(right, n, mean, low=2.0, high=50.0)
    return (right + strength * mean) / (n + strength)


def coin_weight(skill: np.ndarray, n_labels: int) -> np.ndarray:
    """Log-likelihood ratio of a vote for its own label against any other one, at least 0."""
    others = max(n_labels - 1, 1)
    skill = np.clip(skill, 1e-3, 1 - 1e-3)
    return np.maximum(np.log(skill * others / (1 - skill)), 0.0)
