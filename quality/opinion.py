"""What several rounds say together about one picture. Pure; the one rule for pages, reports and releases.

Rounds that have finished with a picture come first: one that is still collecting votes says nothing where an
older one has settled. Among them the newest that says something wins. A classify round says its consensus; a
verify round's `yes` says the proposed category (the surest, if several), and its `no` takes that category
away from older rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

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


def in_todays_words(findings: Iterable[Finding], successors: Mapping[str, str | None]) -> Iterator[Finding]:
    """What the rows say, now that categories were merged or split since their questions were asked.

    Merged categories' probabilities add up, and the likeliest label is chosen again. A label that was split
    says nothing, and its probability belongs to no label any more. That a picture is not of a merged category
    does not mean that it is not of the one that took it in.

    Args:
        successors: category -> the one that took it in; None where it was split.
    """
    for row in findings:
        if row.proposed is not None:
            today = successors.get(row.proposed, row.proposed)
            if today is not None and (today == row.proposed or row.label != NO):
                yield replace(row, proposed=today)
        elif row.label in successors or not successors.keys().isdisjoint(row.posterior):
            renamed = _renamed(row, successors)
            if renamed is not None:
                yield renamed
        else:
            yield row


def _renamed(row: Finding, successors: Mapping[str, str | None]) -> Finding | None:
    """A classify round's row under today's names; None where its label was split."""
    label = successors.get(row.label, row.label)
    if label is None:
        return None
    summed: dict[str, float] = {}
    for key, probability in row.posterior.items():
        today = successors.get(key, key)
        if today is not None:
            summed[today] = round(summed.get(today, 0.0) + probability, 6)
    if not summed:
        return replace(row, label=label)
    best = min(summed, key=lambda key: (-summed[key], key))
    if summed.get(label, 0.0) >= summed[best]:
        best = label  # of equals the one that was chosen stays
    return replace(row, label=best, confidence=min(1.0, summed[best]), posterior=summed)


def _rank(row: Finding) -> tuple[bool, int, float, str, str, str]:
    """First what counts first; rows that differ in what they say never rank alike."""
    named = row.proposed or row.label
    return (not row.finished, -row.round, -row.confidence, named, row.label, row.proposed or "")
