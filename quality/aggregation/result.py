"""What `aggregate` returns: the frames of CONTRACTS.md, made when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from quality.aggregation.codes import text_codes
from quality.aggregation.posterior import Fit, Posterior
from quality.aggregation.votes import Votes
from quality.flags import Flag, find_flags
from quality.pace import read_pace
from quality.peers import Ballots
from quality.skills import judged, peer_belief, skill_intervals

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
    frame: pd.DataFrame | None = None
    """The rows as they came, for the optional columns `seconds` and `created`."""

    @cached_property
    def consensus(self) -> pd.DataFrame:
        """`task,label,confidence,votes,method,tie`, sorted by task; one row per task that had a vote."""
        votes = self.votes
        label, confidence, tie = self.posterior.best()
        names = _taken(np.append(votes.labels, "").astype(object), label)
        columns = (votes.tasks, names, np.round(confidence, 6), votes.given, self.fit.method, tie)
        return pd.DataFrame(dict(zip(CONSENSUS, columns, strict=True)))

    @cached_property
    def posteriors(self) -> pd.DataFrame:
        """`task,label,probability`, sorted; probabilities in steps of 1e-6 that sum to 1 per task."""
        task, label, probability = self.posterior.listed()
        columns = (_taken(self.votes.tasks, task), _taken(self.votes.labels, label), probability)
        return pd.DataFrame(dict(zip(POSTERIORS, columns, strict=True)))

    @cached_property
    def workers(self) -> pd.DataFrame:
        """`worker,votes,gold_votes,skill,lo,hi,flags`, sorted by worker; flags are slugs parted by `;`.

        Skill is the share of right votes as gold and the *other* votes judge them, with a 95% interval;
        `votes` counts abstentions too.
        """
        votes = self.votes
        belief, best = peer_belief(
            votes.task, votes.worker, votes.label, votes.gold, self.fit.skill, len(votes.labels)
        )
        right, told = judged(votes.worker, belief, best, len(votes.workers), len(votes.labels))
        skill, lo, hi = skill_intervals(right, told)
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
        votes, pace = self.votes, None
        if self.frame is not None and {"seconds", "created"} & set(self.frame.columns):
            pace = read_pace(self.frame, self._worker_of_rows(self.frame), len(votes.workers))
        ballots = Ballots(
            votes.task, votes.worker, votes.label, votes.gold, len(votes.workers), len(votes.labels)
        )
        return find_flags(list(votes.workers), ballots, pace)

    def _worker_of_rows(self, frame: pd.DataFrame) -> np.ndarray:
        """int64[rows]: the code of each row's worker, -1 for rows that were left out altogether."""
        code, names = text_codes(frame["worker"])
        known = pd.Index(self.votes.workers, dtype=object)
        return np.append(known.get_indexer(pd.Index(names, dtype=object)), -1)[code]


def _taken(names: np.ndarray, at: np.ndarray) -> pd.api.extensions.ExtensionArray | np.ndarray:
    """names[at], as pandas holds text: each name becomes pandas' text once, not once a row."""
    return pd.Series(names).array.take(at)
