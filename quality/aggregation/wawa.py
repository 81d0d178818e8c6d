"""Wawa, worker agreement with aggregate (Appen's trust score, as in crowd-kit): majority, then each worker
weighs as much as they agree with it. Where gold is known, agreement is with gold."""

from __future__ import annotations

import numpy as np

from quality.aggregation.majority import share_fit
from quality.aggregation.posterior import Fit, share_posterior
from quality.aggregation.votes import Votes


def fit_wawa(votes: Votes) -> Fit:
    """One pass: weight = share of the worker's votes that name their task's majority label (ties: all
    count)."""
    blind = share_posterior(votes, agreement(votes, np.ones(len(votes.task)))[votes.worker])
    return share_fit("wawa", votes, blind)


def agreement(votes: Votes, weight: np.ndarray) -> np.ndarray:
    """float64[W]: how often each worker votes for a label that leads its task, votes weighing float64[n].

    A label that shares the lead with others counts in part (1 over the labels in front).
    """
    posterior = share_posterior(votes, weight).clamped(votes)
    cells = votes.cells
    top = np.zeros(len(votes.tasks))
    if len(cells.task):
        top[cells.owners] = np.maximum.reduceat(posterior.prob, cells.first)
    leads = posterior.prob >= top[cells.task] - 1e-9
    share = leads / np.maximum(np.bincount(cells.task, weights=leads, minlength=len(top)), 1)[cells.task]
    agreed = np.bincount(votes.worker, weights=share[cells.of_vote], minlength=len(votes.workers))
    return agreed / np.maximum(votes.per_worker, 1)
