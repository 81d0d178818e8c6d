"""Our own table of votes, and anybody's with other names for its columns."""

from __future__ import annotations

import pandas as pd

from ingest.tables import BadTable
from quality.readers.record import COLUMNS, Asked, Read

OTHER_NAMES = {
    "task": ("item", "image", "question", "task_id", "image_id", "item_id"),
    "worker": ("annotator", "worker_id", "workerId", "user", "rater", "annotator_id"),
    "label": ("answer", "choice", "vote", "response", "category"),
}
"""The contract's `item` and `image` first; the others are what crowds' tables commonly say."""
NO_VALUE = ("nan", "NaN", "<NA>")
"""What programs write for a number that is missing: no id and no label."""


def read_plain(frame: pd.DataFrame, path: str, asked: Asked) -> Read:
    """Find the columns; further columns are kept, so that a caller may use them.

    Raises:
        BadTable: a column that is not there.
    """
    taken = {}
    for column in COLUMNS:
        wanted = asked.columns.get(column)
        if wanted is None:
            names = (column, *OTHER_NAMES[column])
            wanted = next((name for name in names if name in frame.columns), column)
        taken[column] = wanted
    missing = [wanted for wanted in taken.values() if wanted not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns[:12])) or "none"
        raise BadTable(
            f"{path}: no column {', '.join(missing)} (columns there: {there}); "
            "--columns task=A,worker=B,label=C names them"
        )
    picked = pd.DataFrame({column: frame[name] for column, name in taken.items()}, dtype=object)
    for extra in ("seconds", "created", "audit"):
        if extra in frame.columns:
            picked[extra] = frame[extra]
    empty = picked[list(COLUMNS)].isin(NO_VALUE)
    picked[list(COLUMNS)] = picked[list(COLUMNS)].mask(empty, "")
    return Read(picked, "table", {}, [])
