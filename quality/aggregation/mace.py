"""MACE: each worker either knows the answer, or spams from a distribution of their own.

D. Hovy, T. Berg-Kirkpatrick, A. Vaswani, E. Hovy, "Learning whom to trust with MACE", NAACL 2013; here EM
with MAP priors instead of variational Bayes and random restarts, so that equal input gives equal output.
"""

from __future__ import annotations

import numpy as np

from quality.aggregation.codes import distinct_pairs
from quality.aggregation.posterior import Fit, class_shares, share_posterior, vote_posterior, with_evidence
from quality.aggregation.votes import Votes

KNOWS_PRIOR = (1.0, 0.5)
"""Beta prior on "this worker knows" and "spams", in votes."""
SPAM_PRIOR = 2.0
"""Votes that stand behind "a spammer chooses labels as often as the crowd does"."""


def fit_mace(votes: Votes, max_iterations: int = 100, tolerance: float = 1e-4) -> Fit:
    """EM over the truth and over which votes were spam; a pass costs O(votes).

    What a vote says depends on its worker and its label alone, so nearly all is done once for each pair.
    """
    k = max(len(votes.labels), 1)
    owner, label, pair = distinct_pairs(votes.worker, votes.label, len(votes.workers), k)
    n, given = votes.per_worker.astype(float), np.bincount(pair, minlength=len(owner)).astype(float)
    common = ((np.bincount(votes.label, minlength=k) + 1.0) / (len(votes.label) + k))[label]
    blind = share_posterior(votes, np.ones(len(votes.task)))
    knows = np.full(len(n), KNOWS_PRIOR[0] / sum(KNOWS_PRIOR))[owner]
    spam = (common * SPAM_PRIOR + given) / (SPAM_PRIOR + n[owner])
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before, told = blind, blind.clamped(votes)
        right = np.bincount(pair, weights=told.of_votes(votes), minlength=len(owner))
        known = right * knows / (knows + (1 - knows) * spam)
        known_by = np.bincount(owner, weights=known, minlength=len(n))
        knows = ((known_by + KNOWS_PRIOR[0]) / (n + sum(KNOWS_PRIOR)))[owner]
        spam = (given - known + SPAM_PRIOR * common) / ((n - known_by)[owner] + SPAM_PRIOR)
        weight = (np.log(knows + (1 - knows) * spam) - np.log((1 - knows) * spam))[pair]
        blind = vote_posterior(votes, weight, class_shares(votes, told))
        moved = float(np.abs(blind.prob - before.prob).max(initial=0.0))
        passes += 1
    blind = with_evidence(votes, blind, weight)
    posterior = blind.clamped(votes)
    skill = np.bincount(votes.worker, weights=posterior.of_votes(votes), minlength=len(n)) / np.maximum(n, 1)
    return Fit("mace", posterior, blind, skill, passes, moved <= tolerance)
