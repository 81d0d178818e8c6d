"""Zero-based skill (crowd-kit): weighted majority and agreement in turn, until the weights stand still.

Only the part of a worker's agreement that is above chance (1/K) counts, hence "zero-based": someone who
clicks at random weighs nothing.
"""

from __future__ import annotations

import numpy as np

from quality.aggregation.majority import share_fit
from quality.aggregation.posterior import Fit, share_posterior
from quality.aggregation.votes import Votes
from quality.aggregation.wawa import agreement

STEP = 0.5
"""How far the weights move towards the new agreement in each pass: damping keeps them from swinging."""


def fit_zbs(votes: Votes, max_iterations: int = 100, tolerance: float = 1e-5) -> Fit:
    """Iterate to a fixed point of weight = agreement above chance with the vote so weighted."""
    chance = 1.0 / max(len(votes.labels), 2)
    weight = np.ones(len(votes.workers))
    moved, passes = np.inf, 0
    while moved > tolerance and passes < max_iterations:
        wanted = np.maximum(agreement(votes, weight[votes.worker]) - chance, 0.0) / (1 - chance)
        moved = STEP * float(np.abs(wanted - weight).max(initial=0.0))
        weight = weight + STEP * (wanted - weight)
        passes += 1
    blind = share_posterior(votes, weight[votes.worker])
    return share_fit("zbs", votes, blind, passes, moved <= tolerance)
