"""From flags to a proposal: what might be done about a worker. A person decides; nothing here acts.

A policy is a table: for each flag, the steps to propose one after the other, the mildest first. A step that
was taken is not proposed again; after the last one the proposal stays at the last one. What comes after more
gold follows from the answers to it (`GoldTrial`), not from its having been given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from quality.flags import Flag
from quality.spam import ATTENTION

ENOUGH = 10.0
"""Odds at which answers to gold speak for or against a worker. Whoever looks reaches them once in so many
trials at most, at whatever answer one stops (Ville 1939), and was flagged before."""
CROWD_PRIOR = (8.0, 10.0)
"""Answers to gold that stand behind "the crowd is right in 8 of 10", right and in all."""


class Action(StrEnum):
    """What can be done, from the mildest to the hardest."""

    LEAVE = "leave"
    WAIT = "wait"
    WARN = "warn"
    RETRAIN = "retrain"
    MORE_GOLD = "more_gold"
    SUSPEND = "suspend"
    VOID = "void"


HARDNESS = list(Action)
WHAT = {
    Action.LEAVE: "leave it there: their answers to the further gold follow the pictures",
    Action.WAIT: "wait for their answers to the further gold",
    Action.WARN: "write to the worker what was seen",
    Action.RETRAIN: "show the worker the instructions and their wrong gold answers, with the right ones",
    Action.MORE_GOLD: "mix further gold into the worker's coming batches, and see how it is answered",
    Action.SUSPEND: "give the worker no more work",
    Action.VOID: "void the worker's votes; their tasks are asked about again",
}

Policy = Mapping[str, tuple[Action, ...]]
USUAL: Policy = {
    "random": (Action.SUSPEND, Action.VOID),
    "constant": (Action.SUSPEND, Action.VOID),
    "copying": (Action.SUSPEND, Action.VOID),
    "too_fast": (Action.WARN, Action.RETRAIN, Action.SUSPEND),
    "even_pace": (Action.WARN, Action.MORE_GOLD, Action.SUSPEND),
}


@dataclass(frozen=True)
class GoldTrial:
    """How a worker answered gold since a person gave them more of it: all gold, the usual share included.

    `promised`: further gold tasks by that decision; `given`: of them, so far; `coming`: gold that is still to
    be given or lies in a batch at hand. `right` of `answered`; `unsure`: abstained, which says nothing.
    `others_right` of `others`: everybody else's answers to the same tasks. `blind`: the share that would be
    right of the worker's own answers with the pictures unseen, dealt out at random.
    """

    promised: int
    given: int
    coming: int
    right: int
    answered: int
    unsure: int
    others_right: int
    others: int
    blind: float

    @property
    def odds(self) -> float:
        """How much likelier these answers are from somebody who does not look than from somebody who does.

        Who looks is right as the crowd is with the probability of their attention, else as the blind are;
        the attention of whoever looks is anything from `spam.LEAST_ATTENTION` to 1.
        """
        crowd = (self.others_right + CROWD_PRIOR[0]) / (self.others + CROWD_PRIOR[1])
        looks = ATTENTION * max(crowd, self.blind) + (1.0 - ATTENTION) * self.blind
        chance = np.clip(np.append(looks, self.blind), 1e-3, 1 - 1e-3)
        log = self.right * np.log(chance) + (self.answered - self.right) * np.log1p(-chance)
        return float(np.exp(log[-1] - logsumexp(log[:-1]) + np.log(len(ATTENTION))))

    @property
    def next_step(self) -> Action | None:
        """What to do instead of the policy's next step; None: that step, since the answers speak for it."""
        if self.odds >= ENOUGH:
            return None
        if self.odds <= 1.0 / ENOUGH:
            return Action.LEAVE
        return Action.WAIT if self.coming else Action.MORE_GOLD

    def as_dict(self) -> dict[str, float]:
        """For `--json`."""
        return {**vars(self), "blind": round(self.blind, 6), "odds": round(self.odds, 6)}

    def in_words(self) -> str:
        """One line for a person."""
        words = f"further gold: {self.given} of {self.promised} given"
        if self.answered:
            words += (
                f"; since then right in {self.right} of {self.answered} answers to gold (with the pictures "
                f"unseen it would be {self.blind:.0%}"
            )
            words += f", others have {self.others_right / self.others:.0%})" if self.others else ")"
        else:
            words += "; no gold answered since"
        return words + (f"; unsure {self.unsure} times" if self.unsure else "")


class Proposal(NamedTuple):
    """What to do about a worker, and every reason for it in words."""

    worker: str
    action: Action
    reasons: tuple[str, ...]

    def in_words(self) -> str:
        """One line for a person."""
        return f"{self.worker}: {WHAT[self.action]} ({'; '.join(self.reasons)})"


def propose(
    flags: Iterable[Flag],
    taken: Mapping[str, Collection[str]] | None = None,
    policy: Policy = USUAL,
    trials: Mapping[str, GoldTrial] | None = None,
) -> list[Proposal]:
    """One proposal for each flagged worker, the hardest that any of their flags leads to; sorted by worker.

    Args:
        taken: worker -> actions already taken.
        policy: flags that it does not know lead to a warning.
        trials: worker -> what came of the further gold, for those who were given some.
    """
    chosen: dict[str, tuple[Action, list[str]]] = {}
    for flag in flags:
        done, trial = set((taken or {}).get(flag.worker, ())), (trials or {}).get(flag.worker)
        steps = policy.get(flag.slug) or (Action.WARN,)
        action = _step(steps, done, trial)
        before, reasons = chosen.get(flag.worker, (action, []))
        reasons.append(f"{flag.slug}: {flag.evidence}")
        if trial and Action.MORE_GOLD in steps:
            reasons.append(trial.in_words())
        chosen[flag.worker] = (max(before, action, key=HARDNESS.index), reasons)
    return [Proposal(worker, action, tuple(why)) for worker, (action, why) in sorted(chosen.items())]


def _step(steps: Sequence[Action], done: Collection[str], trial: GoldTrial | None) -> Action:
    """The first step that was not taken. Past more gold, the step that the answers to it speak for."""
    action = next((step for step in steps if step.value not in done), steps[-1])
    if action.value in done or Action.MORE_GOLD not in steps[: steps.index(action)]:
        return action
    if trial is None:
        return Action.MORE_GOLD
    return trial.next_step or action
