"""Majority: the label that most workers gave. Its confidence is its share of the task's votes."""

from __future__ import annotations

import numpy as np

from quality.aggregation.posterior import Fit, SparsePosterior, share_posterior
from quality.aggregation.votes import Votes


def fit_majority(votes: Votes) -> Fit:
    """Count votes. A worker's skill is the mean share of the labels that they chose."""
    blind = share_posterior(votes, np.ones(len(votes.task)))
    return share_fit("majority", votes, blind)


def share_fit(
    method: str, votes: Votes, blind: SparsePosterior, iterations: int = 1, converged: bool = True
) -> Fit:
    """A Fit of a method whose posterior is a share of votes."""
    posterior = blind.clamped(votes)
    right = np.bincount(votes.worker, weights=posterior.of_votes(votes), minlength=len(votes.workers))
    skill = right / np.maximum(votes.per_worker, 1)
    return Fit(method, posterior, blind, skill, iterations, converged)
