"""GLAD: a vote is right with probability 1 / (1 + exp(-a_w b_t)), worker's ability times task's ease.

J. Whitehill, T. Wu, J. Bergsma, J. Movellan, P. Ruvolo, "Whose vote should count more", NIPS 2009. Priors as
in the paper (ability ~ N(1, 1), log ease ~ N(0, 1); the paper's ease prior is N(1, 1)), maximised by a few
diagonal Newton steps in each M-step instead of a hand-set learning rate.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit

from quality.aggregation.posterior import Fit, class_shares, share_posterior, vote_posterior, with_evidence
from quality.aggregation.votes import Votes

NEWTON_STEPS = 3
LARGEST_STEP = 0.5


def fit_glad(votes: Votes, max_iterations: int = 60, tolerance: float = 1e-3) -> Fit:
    """EM; a pass costs O(votes)."""
    others = max(len(votes.labels) - 1, 1)
    ability, log_ease = np.ones(len(votes.workers)), np.zeros(len(votes.tasks))
    blind = share_posterior(votes, np.ones(len(votes.task)))
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before, told = blind, blind.clamped(votes)
        right = told.of_votes(votes)
        for _ in range(NEWTON_STEPS):
            ability, log_ease = _newton(votes, right, ability, log_ease)
        margin = ability[votes.worker] * np.exp(log_ease)[votes.task]
        weight = log_expit(margin) - log_expit(-margin) + np.log(others)
        blind = vote_posterior(votes, weight, class_shares(votes, told))
        moved = float(np.abs(blind.prob - before.prob).max(initial=0.0))
        passes += 1
    blind = with_evidence(votes, blind, weight)
    posterior = blind.clamped(votes)
    skill = np.bincount(votes.worker, weights=posterior.of_votes(votes), minlength=len(votes.workers))
    skill = skill / np.maximum(votes.per_worker, 1)
    return Fit("glad", posterior, blind, skill, passes, moved <= tolerance)


def _newton(
    votes: Votes, right: np.ndarray, ability: np.ndarray, log_ease: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One guarded step for all abilities, then one for all tasks' ease."""
    ease = np.exp(log_ease)
    chance = expit(ability[votes.worker] * ease[votes.task])
    up, bend = ease[votes.task] * (right - chance), ease[votes.task] ** 2 * chance * (1 - chance)
    slope = np.bincount(votes.worker, weights=up, minlength=len(ability)) - (ability - 1.0)
    curve = np.bincount(votes.worker, weights=bend, minlength=len(ability)) + 1.0
    ability = ability + np.clip(slope / curve, -LARGEST_STEP, LARGEST_STEP)
    margin = ability[votes.worker] * ease[votes.task]
    chance = expit(margin)
    slope = np.bincount(votes.task, weights=margin * (right - chance), minlength=len(ease)) - log_ease
    curve = np.bincount(votes.task, weights=margin**2 * chance * (1 - chance), minlength=len(ease)) + 1.0
    return ability, log_ease + np.clip(slope / curve, -LARGEST_STEP, LARGEST_STEP)
