"""Which tasks of a round are sure, and how many votes the others want: `quality.stopping` over its rows.

The site settles by the rule that `quality.replay` replays, call for call: labels from the aggregate, then
`gain.outlook` (in which people who look can be fooled alike) says how sure each label is, how many votes
could settle it and what a vote would save, then `stopping.decide`, or `accuracy_target.reach` where the round
wants an expected accuracy, decides. The confidence that is kept in Consensus is another one, the
aggregate's, with its posterior: pages, exports and the reliability diagram read it, whatever the rule of the
round was. The outlook's is of use only for stopping and is not kept.

`Round.stopping` holds what a round wants beyond `votes_min`, `votes_max` and `confidence`; see `Wish`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.models import Invitation, Round, Task
from annotation_site.services.locking import short_write
from quality.accuracy_target import reach
from quality.aggregation import Result
from quality.forecast import Margin
from quality.gain import Outlook, outlook, stated
from quality.presets import IMAGENET, SAMPLE_VOTES, VotesNeeded, votes_needed
from quality.services.issues import votes_requested
from quality.services.stored import ABSTAIN, category_keys
from quality.stopping import ASK_AGAIN, Decision, decide, wanted_of

SAMPLE_DONE = 0.9
"""Share of the first sample that must have its votes before the others are judged by it."""


@dataclass(frozen=True)
class Wish:
    """What `Round.stopping` says.

    `category_confidence`: category id -> the confidence wanted of it; `expected_accuracy`: of each category
    instead of `Round.confidence` of each task; `least_gain`: the price of a vote in errors. `preset`:
    "imagenet" or nothing; its first sample are the tasks whose rank is below `sample_below`.
    """

    category_confidence: dict[str, float] = field(default_factory=dict)
    expected_accuracy: float | None = None
    least_gain: float = 0.0
    preset: str = ""
    sample_below: int = 0

    @classmethod
    def of(cls, round: Round) -> Wish:
        """Unknown keys are left aside: a later version's."""
        known = cls.__dataclass_fields__.keys() & round.stopping.keys()
        return cls(**{key: round.stopping[key] for key in known})

    def check(self, votes_max: int) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: with the number that is wrong, in one line.
        """
        for name, value in self.category_confidence.items():
            if not 0 < value < 1:
                raise ValueError(f"the confidence wanted of {name} must be between 0 and 1; got {value:g}")
        if self.expected_accuracy is not None and not 0 < self.expected_accuracy < 1:
            raise ValueError(f"the expected accuracy must be between 0 and 1; got {self.expected_accuracy:g}")
        if not 0 <= self.least_gain < 1:
            raise ValueError(f"the least gain is a number of errors from 0 to 1; got {self.least_gain:g}")
        if self.preset not in ("", IMAGENET):
            raise ValueError(f"the only preset is {IMAGENET}; got {self.preset!r}")
        if self.preset and self.expected_accuracy is not None:
            raise ValueError("the preset has its own rule: leave out the expected accuracy")
        if self.preset and votes_max < SAMPLE_VOTES:
            raise ValueError(
                f"the preset gives its first sample {SAMPLE_VOTES} votes: votes max must be that or more; "
                f"got {votes_max}"
            )

    def as_dict(self) -> dict[str, Any]:
        """What to keep in `Round.stopping`: only what differs from the usual."""
        usual = Wish()
        return {key: value for key, value in vars(self).items() if value != getattr(usual, key)}


@dataclass(frozen=True)
class Judged:
    """All n tasks of a round, in order of id.

    `voted`: int64[v], rows of the tasks that have votes, in the order of `ahead` (which has those only).
    `given`: counted votes; `least`, `most`: fewest and most; `confidence` (NaN: no vote), `wanted`, `step`,
    `gain`: as `stopping.decide` takes them; `label`: object[n]. `held`: bool[n], tasks that are neither
    settled nor asked about before the first sample has its votes. `margin`: votes by which labels must
    lead and do, each int64[n], under the preset once the sample is there.
    """

    voted: np.ndarray
    given: np.ndarray
    least: np.ndarray
    most: np.ndarray
    confidence: np.ndarray
    wanted: np.ndarray
    step: np.ndarray
    gain: np.ndarray
    label: np.ndarray
    held: np.ndarray
    available: np.ndarray | None
    ahead: Outlook
    margin: Margin | None = None

    def decision(self, wish: Wish, asked: np.ndarray) -> Decision:
        """The rule's word on every task; `asked`: bool[n], tasks that may be asked about at all.

        Where a category stops as a whole the others count in its mean, and no vote is set aside for them.
        """
        limits = (self.least, self.most)
        more: dict[str, Any] = {
            "available": self.available, "gain": self.gain, "least_gain": wish.least_gain,
        }  # fmt: skip
        if wish.expected_accuracy is None:
            return decide(self.confidence, self.given, *limits, self.wanted, self.step, **more)
        told = reach(self.label, self.confidence, self.given, self.wanted, *limits, closed=~asked, **more)
        sure = np.nan_to_num(self.confidence, nan=0.0) >= self.wanted
        return Decision(np.where(asked | sure, told.state, ASK_AGAIN), told.ask)


def with_decided(judged: Judged, decided: np.ndarray) -> Judged:
    """What experts decided (bool[n]) is certain, whatever its votes say."""
    return replace(judged, confidence=np.where(decided, 1.0, judged.confidence))


def judge(round: Round, tasks: np.ndarray, votes: pd.DataFrame, result: Result, given: np.ndarray) -> Judged:
    """Look ahead for every task.

    Args:
        tasks: as `stored.read_tasks` gives them. votes: the counted ones, as the votes table has them.
        result: what the aggregate made of them. given: int64[n], counted votes of each task.
    """
    wish, n = Wish.of(round), len(tasks)
    code, _, _ = result.posterior.best()
    voted = np.searchsorted(tasks["id"], result.votes.tasks.astype(np.int64))
    label = np.full(n, None, object)
    label[voted[code >= 0]] = result.votes.labels[code[code >= 0]]
    category = _categories(round, tasks, label)
    usual = round.confidence if wish.expected_accuracy is None else wish.expected_accuracy
    wanted = wanted_of(category, usual, wish.category_confidence)
    ahead = outlook(result.votes, code, wanted[voted])
    confidence, gain, step = np.full(n, np.nan), np.full(n, np.nan), np.ones(n, np.int64)
    gain[voted], step[voted] = ahead.gain, ahead.needed
    # A mean over a category must be honest; a threshold for each task need only sort them well.
    said = result.consensus["confidence"].to_numpy(float)
    confidence[voted] = ahead.confidence if wish.expected_accuracy is None else stated(said, ahead)
    sample = _sample(wish, tasks)
    least = np.where(sample, min(SAMPLE_VOTES, round.votes_max), round.votes_min)
    # Audited tasks settle only with the votes that they were given at the start, which is the most.
    least = np.where(tasks["audit"], np.minimum(tasks["wanted"], round.votes_max), least)
    # So do tasks whose label somebody doubts, only with the votes that were asked for then.
    least = np.minimum(np.maximum(least, votes_requested(round, tasks["id"])), round.votes_max)
    judged = Judged(
        voted, given, least, np.full(n, round.votes_max), confidence, wanted, step, gain,
        label if round.question == Round.Question.CLASSIFY else category, np.zeros(n, bool),
        _available(round, tasks, votes), ahead,
    )  # fmt: skip
    return _by_sample(round, wish, judged, sample, votes, result, code) if wish.preset == IMAGENET else judged


def _categories(round: Round, tasks: np.ndarray, label: np.ndarray) -> np.ndarray:
    """object[n]: the category that each task is about: the one proposed, else the label that leads."""
    if round.question == Round.Question.CLASSIFY:
        return label
    keys = category_keys(round)
    return np.array([keys.get(pk) for pk in tasks["category"].tolist()], object)


def _available(round: Round, tasks: np.ndarray, votes: pd.DataFrame) -> np.ndarray | None:
    """int64[n]: invited workers, not suspended, who have no counted vote on the task.

    None (no limit) where the round is for everyone: somebody may still join.
    """
    if round.access == Round.Access.EVERYONE:
        return None
    invited = Invitation.objects.filter(round=round, worker__suspended=False)
    codes = set(invited.values_list("worker__code", flat=True))
    by_them = votes["task"][votes["worker"].isin(codes)].to_numpy(np.int64)
    return len(codes) - np.bincount(np.searchsorted(tasks["id"], by_them), minlength=len(tasks))


def _sample(wish: Wish, tasks: np.ndarray) -> np.ndarray:
    """bool[n]: the preset's first sample."""
    standing = ~tasks["gold"] & (tasks["state"] != Task.State.WITHDRAWN)
    return standing & (tasks["rank"] < wish.sample_below)


def _by_sample(
    round: Round, wish: Wish, judged: Judged, sample: np.ndarray, votes: pd.DataFrame, result: Result,
    code: np.ndarray,
) -> Judged:  # fmt: skip
    """Judge by the number of votes by which a label leads, as `presets.votes_needed` found it."""
    done = judged.given >= judged.least
    ready = done[sample].mean() >= SAMPLE_DONE if sample.any() else True
    needed = _needed(round, wish, judged, sample, votes, result)
    margin = needed.of(judged.label)
    lead = np.zeros(len(margin), np.int64)
    lead[judged.voted] = _lead(result, code)
    sure = np.where(lead >= margin, 1.0, np.maximum(lead, 0) / (margin + 1.0))
    known = judged.voted[result.votes.gold >= 0]
    sure[known] = 1.0
    held = ~sample & ~(ready | np.isin(np.arange(len(sample)), known))
    step = np.maximum(margin - lead, 1)
    wanted = np.ones(len(margin))
    return Judged(**{**vars(judged), "confidence": sure, "wanted": wanted, "step": step, "held": held,
                     "margin": Margin(margin, lead) if ready else None})  # fmt: skip


def _needed(
    round: Round, wish: Wish, judged: Judged, sample: np.ndarray, votes: pd.DataFrame, result: Result
) -> VotesNeeded:
    names = result.votes.tasks[sample[judged.voted]]
    definite = votes[["task", "label"]].astype({"task": str})
    definite = definite[definite["task"].isin(set(names)) & ~definite["label"].isin(ABSTAIN)]
    category_of = None
    if round.question == Round.Question.VERIFY:
        category_of = dict(zip(result.votes.tasks, judged.label[judged.voted], strict=True))
    return votes_needed(definite, round.confidence, category_of, special=wish.category_confidence)


def _lead(result: Result, code: np.ndarray) -> np.ndarray:
    """int64[v]: votes for the label `code` of each task, less those for the next."""
    cells = result.votes.cells
    count = np.bincount(cells.of_vote, minlength=len(cells.task))
    own = cells.label == code[cells.task]
    best, rival = np.zeros(len(code), np.int64), np.zeros(len(code), np.int64)
    best[cells.task[own]] = count[own]
    np.maximum.at(rival, cells.task[~own], count[~own])
    return best - rival


def keep_least_gain(round: Round, gain: float) -> None:
    """From now on a vote that saves no more than `gain` errors is not asked for in this round."""
    with short_write():
        now = Round.objects.select_for_update(no_key=True).get(pk=round.pk)
        now.stopping = replace(Wish.of(now), least_gain=gain).as_dict()
        now.save(update_fields=["stopping"])
    round.stopping = now.stopping


def numbers_of(tasks: np.ndarray, ids: Iterable[int]) -> np.ndarray:
    """bool[n]: which tasks have these ids."""
    return np.isin(tasks["id"], np.fromiter(ids, np.int64))
