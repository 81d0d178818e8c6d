"""MACE: each worker either knows the answer, or spams from a distribution of their own.

D. Hovy, T. Berg-Kirkpatrick, A. Vaswani, E. Hovy, "Learning whom to trust with MACE", NAACL 2013; here EM
with MAP priors instead of variational Bayes and random restarts, so that equal input gives equal output.
"""

from __future__ import annotations

import numpy as np

from quality.aggregation.posterior import Fit, class_shares, share_posterior, vote_posterior, with_evidence
from quality.aggregation.votes import Votes

KNOWS_PRIOR = (1.0, 0.5)
"""Beta prior on "this worker knows" and "spams", in votes."""
SPAM_PRIOR = 2.0
"""Votes that stand behind "a spammer chooses labels as often as the crowd does"."""


def fit_mace(votes: Votes, max_iterations: int = 100, tolerance: float = 1e-4) -> Fit:
    """EM over the truth and over which votes were spam; a pass costs O(votes)."""
    k = max(len(votes.labels), 1)
    pairs, pair = np.unique(votes.worker * k + votes.label, return_inverse=True)
    owner, label = pairs // k, pairs % k
    n = votes.per_worker.astype(float)
    common = (np.bincount(votes.label, minlength=k) + 1.0) / (len(votes.label) + k)
    blind = share_posterior(votes, np.ones(len(votes.task)))
    knows = np.full(len(n), KNOWS_PRIOR[0] / sum(KNOWS_PRIOR))
    spam = (common[label] * SPAM_PRIOR + np.bincount(pair, minlength=len(pairs))) / (SPAM_PRIOR + n[owner])
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        before, told = blind, blind.clamped(votes)
        here = knows[votes.worker]
        known = told.of_votes(votes) * here / (here + (1 - here) * spam[pair])
        knows = (np.bincount(votes.worker, weights=known, minlength=len(n)) + KNOWS_PRIOR[0]) / (
            n + sum(KNOWS_PRIOR)
        )
        spammed = np.bincount(pair, weights=1 - known, minlength=len(pairs))
        of_worker = np.bincount(owner, weights=spammed, minlength=len(n))
        spam = (spammed + SPAM_PRIOR * common[label]) / (of_worker[owner] + SPAM_PRIOR)
        here = knows[votes.worker]
        weight = np.log(here + (1 - here) * spam[pair]) - np.log((1 - here) * spam[pair])
        blind = vote_posterior(votes, weight, class_shares(votes, told))
        moved = float(np.abs(blind.prob - before.prob).max(initial=0.0))
        passes += 1
    blind = with_evidence(votes, blind, weight)
    posterior = blind.clamped(votes)
    right = np.bincount(votes.worker, weights=posterior.of_votes(votes), minlength=len(n))
    return Fit("mace", posterior, blind, right / np.maximum(n, 1), passes, moved <= tolerance)
