"""Vote tables from simulated people, for tests without a database."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.people import People


def votes_of(people: People, order: np.ndarray, given: np.ndarray) -> pd.DataFrame:
    """The first `given[t]` votes on each task t; its workers come in the order of `order[:, t]`."""
    task = np.repeat(np.arange(len(given)), given)
    turn = np.arange(len(task)) - np.repeat(np.cumsum(given) - given, given)
    worker = order[turn, task]
    return pd.DataFrame(
        {
            "task": [f"t{number:05}" for number in task],
            "worker": [f"w{number:03}" for number in worker],
            "label": people.answers[worker, task].astype(str),
        }
    )
