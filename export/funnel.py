"""How far a dataset is, from its counters: the steps of the funnel and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Standing:
    """Counts of a dataset's way. `waiting`: tasks of open rounds that are neither settled nor given up."""

    found: int
    stored: int
    unique: int
    labelled: int
    settled: int
    released: int
    rounds: int = 0
    open_rounds: int = 0
    waiting: int = 0
    references: bool = False
    runs: int = 0
    latest: str = ""

    def steps(self) -> list[tuple[str, int, float | None]]:
        """(step, count, share): unique as a share of found, the later steps as shares of unique."""
        counts = {
            "found": self.found,
            "unique": self.unique,
            "labelled": self.labelled,
            "settled": self.settled,
            "released": self.released,
        }
        base = {"unique": self.found, "found": 0}
        return [(step, n, _share(n, base.get(step, self.unique))) for step, n in counts.items()]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Next(Enum):
    """The one thing to do next."""

    INGEST = "ingest"
    DEDUP = "dedup"
    OPEN_ROUND = "open_round"
    WAIT = "wait"
    SETTLE = "settle"
    REFER = "refer"
    EXPORT = "export"
    RETRAIN = "retrain"
    DONE = "done"


def next_step(standing: Standing) -> Next:
    """What the curator does next, the first thing that is missing along the way."""
    if not standing.stored:
        return Next.INGEST
    if not standing.unique:
        return Next.DEDUP
    if not standing.rounds:
        return Next.OPEN_ROUND
    if not standing.released:
        if not standing.labelled:
            return Next.WAIT if standing.open_rounds else Next.SETTLE
        if standing.waiting:
            return Next.WAIT
        return Next.EXPORT if standing.references else Next.REFER
    return Next.DONE if standing.runs else Next.RETRAIN
