"""From flags to a proposal: what might be done about a worker. A person decides; nothing here acts.

A policy is a table: for each flag, the steps to propose one after the other, the mildest first. A step that
was taken is not proposed again; after the last one the proposal stays at the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from quality.flags import Flag


class Action(StrEnum):
    """What can be done, from the mildest to the hardest."""

    WARN = "warn"
    RETRAIN = "retrain"
    MORE_GOLD = "more_gold"
    SUSPEND = "suspend"
    VOID = "void"


HARDNESS = list(Action)
WHAT = {
    Action.WARN: "write to the worker what was seen",
    Action.RETRAIN: "show the worker the instructions and their wrong gold answers, with the right ones",
    Action.MORE_GOLD: "invite the worker to a round with more gold before more is given",
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


class Proposal(NamedTuple):
    """What to do about a worker, and every reason for it in words."""

    worker: str
    action: Action
    reasons: tuple[str, ...]

    def in_words(self) -> str:
        """One line for a person."""
        return f"{self.worker}: {WHAT[self.action]} ({'; '.join(self.reasons)})"


def propose(
    flags: Iterable[Flag], taken: Mapping[str, Collection[str]] | None = None, policy: Policy = USUAL
) -> list[Proposal]:
    """One proposal for each flagged worker, the hardest that any of their flags leads to; sorted by worker.

    Args:
        taken: worker -> actions already taken.
        policy: flags that it does not know lead to a warning.
    """
    chosen: dict[str, tuple[Action, list[str]]] = {}
    for flag in flags:
        steps = policy.get(flag.slug) or (Action.WARN,)
        done = set((taken or {}).get(flag.worker, ()))
        action = next((step for step in steps if step.value not in done), steps[-1])
        before, reasons = chosen.get(flag.worker, (action, []))
        reasons.append(f"{flag.slug}: {flag.evidence}")
        chosen[flag.worker] = (max(before, action, key=HARDNESS.index), reasons)
    return [Proposal(worker, action, tuple(why)) for worker, (action, why) in sorted(chosen.items())]
