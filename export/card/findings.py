"""What a release folder shows about itself, measured once when it is made: for release.json and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import layout
from export.card.stratification import deviation
from export.card.vote_statistics import VoteStatistics, vote_statistics
from export.leakage import Leakage, measure_folder
from export.tables import give_back_memory


@dataclass(frozen=True)
class Findings:
    """What its votes tell, near copies across its splits, how far its splits differ in their classes."""

    votes: VoteStatistics
    leakage: Leakage
    stratification: dict[str, Any] | None

    def counts(self) -> dict[str, Any]:
        """What release.json holds of it."""
        return {"leakage": self.leakage.counts(), "stratification": self.stratification}


def examine(
    folder: Path,
    categories: Mapping[str, Mapping[str, int]],
    read: Callable[[str], bytes] | None = None,
) -> Findings:
    """Measure a folder whose tables and pictures are written.

    Args:
        categories: class -> split -> pictures.
        read: gives a picture's bytes by its path, where they are not in the folder.
    """
    votes = vote_statistics(folder)
    give_back_memory()
    leakage = measure_folder(folder, read=read)
    give_back_memory()
    return Findings(votes, leakage, deviation(categories, layout.SPLITS))
