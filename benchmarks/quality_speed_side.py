"""One side of `quality_speed`: run methods on one table of votes, each in a process forked for it.

usage: python -m benchmarks.quality_speed_side VOTES.npz assay|crowd-kit LIMIT METHOD...

Needs only numpy, pandas and what is measured, so that a Python that has crowd-kit can run it. Prints one JSON
object a method: `{method, seconds, megabytes, accuracy}`, without figures where the CPU limit was reached.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

Labels = Callable[[pd.DataFrame], "pd.Series[int]"]
RUNS, ENOUGH = 3, 6.0
"""The best of so many runs counts, but no further run begins after so many CPU seconds."""
CLASSES = {
    "majority": "MajorityVote",
    "wawa": "Wawa",
    "zbs": "ZeroBasedSkill",
    "one_coin": "OneCoinDawidSkene",
    "dawid_skene": "DawidSkene",
    "glad": "GLAD",
    "mace": "MACE",
}


def method_of(side: str, name: str) -> Labels:
    """A function that gives the label by task, both whole numbers."""
    if side == "crowd-kit":
        kind = getattr(importlib.import_module("crowdkit.aggregation"), CLASSES[name])
        options = {"n_iter": 100} if name in ("one_coin", "dawid_skene") else {}
        return lambda votes: kind(**options).fit_predict(votes)
    aggregate = importlib.import_module("quality.aggregation").aggregate

    def settled(votes: pd.DataFrame) -> pd.Series[int]:
        return aggregate(votes, name).consensus.set_index("task")["label"]

    return settled


def measure(label: Labels, votes: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    """CPU seconds, the peak of memory above what was there before, and the share of tasks labelled right."""
    label(votes.head(60))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = label(votes)
    seconds = [time.process_time() - start]
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    right = found.to_numpy().astype(int) == truth[found.index.to_numpy().astype(int)]
    while len(seconds) < RUNS and sum(seconds) < ENOUGH:
        start = time.process_time()
        label(votes)
        seconds.append(time.process_time() - start)
    return {"seconds": min(seconds), "megabytes": megabytes, "accuracy": float(right.mean())}


def apart(label: Labels, votes: pd.DataFrame, truth: np.ndarray, limit: int) -> dict[str, float]:
    """`measure` in a process of its own, so that no method finds the memory of another; {} beyond `limit`."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(write, json.dumps(measure(label, votes, truth)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, float] = json.loads(answer) if answer else {}
    return found


def main(argv: list[str]) -> int:
    file, side, limit, *names = argv
    with np.load(file) as held:
        votes = pd.DataFrame({column: held[column] for column in ("task", "worker", "label")})
        truth = held["truth"]
    for name in names:
        print(
            json.dumps({"method": name, **apart(method_of(side, name), votes, truth, int(limit))}), flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
