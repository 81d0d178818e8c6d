"""What `aggregate` returns: the frames of CONTRACTS.md, made when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from quality.aggregation.posterior import Fit, Posterior
from quality.aggregation.votes import Votes
from quality.skills import Flag, peer_support, skill_intervals, spam_flags

CONSENSUS = ("task", "label", "confidence", "votes", "method", "tie")
WORKERS = ("worker", "votes", "gold_votes", "skill", "lo", "hi", "flags")
POSTERIORS = ("task", "label", "probability")


@dataclass(frozen=True)
class Result:
    """Consensus, workers and posteriors of one aggregation; `summary` is what `--json` prints."""

    votes: Votes
    fit: Fit
    posterior: Posterior
    summary: dict[str, Any]

    @cached_property
    def consensus(self) -> pd.DataFrame:
        """`task,label,confidence,votes,method,tie`, sorted by task; one row per task that had a vote."""
        votes = self.votes
        label, confidence, tie = self.posterior.best()
        names = np.append(votes.labels, "").astype(object)
        columns = (votes.tasks, names[label], np.round(confidence, 6), votes.given, self.fit.method, tie)
        return pd.DataFrame(dict(zip(CONSENSUS, columns, strict=True)))

    @cached_property
    def posteriors(self) -> pd.DataFrame:
        """`task,label,probability`, sorted; probabilities in steps of 1e-6 that sum to 1 per task."""
        task, label, probability = self.posterior.listed()
        columns = (self.votes.tasks[task], self.votes.labels[label], probability)
        return pd.DataFrame(dict(zip(POSTERIORS, columns, strict=True)))

    @cached_property
    def workers(self) -> pd.DataFrame:
        """`worker,votes,gold_votes,skill,lo,hi,flags`, sorted by worker; flags are slugs parted by `;`.

        Skill is the share of right votes, with a 95% interval; `votes` counts abstentions too.
        """
        votes = self.votes
        right = np.bincount(votes.worker, weights=self._right, minlength=len(votes.workers))
        skill, lo, hi = skill_intervals(right, votes.per_worker.astype(float))
        on_gold = np.bincount(votes.worker[votes.on_gold], minlength=len(votes.workers))
        slugs: dict[str, list[str]] = {}
        for flag in self.flags:
            slugs.setdefault(flag.worker, []).append(flag.slug)
        flags = [";".join(slugs.get(name, [])) for name in votes.workers]
        numbers = (np.round(x, 6) for x in (skill, lo, hi))
        columns = (votes.workers, votes.worker_given, on_gold, *numbers, flags)
        return pd.DataFrame(dict(zip(WORKERS, columns, strict=True)))

    @cached_property
    def flags(self) -> list[Flag]:
        """Patterns of answers that a person should look at, with their evidence in words."""
        votes = self.votes
        if not len(votes.task):
            return []
        chance = 1.0 / max(len(votes.labels), 2)
        worth = np.maximum(self.fit.skill - chance, 0.0) + 0.01
        support = peer_support(votes.task, votes.worker, votes.label, worth, votes.gold)
        known = ~np.isnan(support)
        return spam_flags(
            list(votes.workers), votes.worker[known], votes.label[known], support[known], len(votes.labels)
        )

    @cached_property
    def _right(self) -> np.ndarray:
        return self.posterior.of_votes(self.votes)
