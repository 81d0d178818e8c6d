"""What a reader of votes gives, and what it may be told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

COLUMNS = ("task", "worker", "label")


@dataclass(frozen=True)
class Asked:
    """`answer`: the question (or column) whose answers are wanted, where a file holds several. `columns`:
    which column of a table is the task, worker and label."""

    answer: str = ""
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """`frame`: `task,worker,label`, text; `dropped`: records that are no votes, by reason."""

    frame: pd.DataFrame
    kind: str
    dropped: dict[str, int]
    warnings: list[str]


class Ballot:
    """Collects votes and the reasons why others are none."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rows: list[tuple[str, str, str]] = []
        self.dropped: Counter[str] = Counter()
        self.warnings: list[str] = []

    def add(self, task: str, worker: str, labels: list[str]) -> None:
        """One vote, where exactly one label was chosen."""
        chosen = [label for label in labels if label.strip()]
        if len(chosen) == 1:
            self.rows.append((task, worker, chosen[0]))
        else:
            self.dropped["several_labels" if chosen else "no_label"] += 1

    def read(self) -> Read:
        """What was collected."""
        frame = pd.DataFrame(self.rows, columns=list(COLUMNS), dtype=object)
        return Read(frame, self.kind, dict(self.dropped), self.warnings)
