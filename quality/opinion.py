"""What several rounds say together about one picture. Pure; the one rule for pages, reports and releases.

Rounds that have finished with a picture come first: one that is still collecting votes says nothing where an
older one has settled. Among them the newest that says something wins. A classify round says its consensus; a
verify round's `yes` says the proposed category (the surest, if several), and its `no` takes that category
away from older rounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Finding:
    """One consensus row of a picture. `proposed`: the category asked about, in a verify round.

    `finished`: the task is settled, or has had its most votes.
    """

    round: int
    label: str
    confidence: float
    posterior: dict[str, float] = field(default_factory=dict)
    proposed: str | None = None
    finished: bool = True
    votes: int = 0


def leading(findings: Iterable[Finding]) -> tuple[str, Finding] | None:
    """The picture's label and the row that says so; None where nothing is said, or the label was refuted."""
    refuted: set[str] = set()
    for row in sorted(findings, key=_rank):
        if row.proposed is None:
            return None if row.label in refuted else (row.label, row)
        if row.label == YES and row.proposed not in refuted:
            return row.proposed, row
        if row.label == NO:
            refuted.add(row.proposed)
    return None


def _rank(row: Finding) -> tuple[bool, int, float, str, str, str]:
    """First what counts first; rows that differ in what they say never rank alike."""
    named = row.proposed or row.label
    return (not row.finished, -row.round, -row.confidence, named, row.label, row.proposed or "")
