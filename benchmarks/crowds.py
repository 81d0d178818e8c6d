"""Vote tables of real crowds for the benchmarks of `quality/`, and what crowd-kit makes of them.

A set is a folder with votes.csv(.gz) (item,worker,label) and truth.csv(.gz) (item,label).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

PEER = """
import json, signal, sys, time
import pandas as pd
from crowdkit import aggregation as a

votes = pd.read_csv(sys.argv[1], dtype=str)
truth = pd.read_csv(sys.argv[2], dtype=str, index_col=0).iloc[:, 0]
methods = {
    "Wawa": lambda: a.Wawa(),
    "ZBS": lambda: a.ZeroBasedSkill(),
    "OneCoin": lambda: a.OneCoinDawidSkene(n_iter=100),
    "DawidSkene": lambda: a.DawidSkene(n_iter=100),
    "GLAD": lambda: a.GLAD(),
    "MACE": lambda: a.MACE(),
}
found = {}
for name, method in methods.items():
    signal.alarm(120)
    try:
        start = time.process_time()
        labels = method().fit_predict(votes)
        found[name] = [float((labels.reindex(truth.index) == truth).mean()), time.process_time() - start]
    except BaseException as problem:
        found[name] = None
    signal.alarm(0)
print(json.dumps(found))
"""


def read_set(folder: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Votes (`task,worker,label`) and the true labels of the tasks that have a vote, by task."""
    votes, truth = (pd.read_csv(next(folder.glob(f"{name}.csv*")), dtype=str) for name in ("votes", "truth"))
    votes = votes.set_axis(["task", "worker", "label", *votes.columns[3:]], axis=1)
    truth = truth.set_axis(["task", "label", *truth.columns[2:]], axis=1).dropna(subset=["task", "label"])
    known = truth.drop_duplicates("task").set_index("task")["label"]
    return votes[["task", "worker", "label"]].dropna(), known[known.index.isin(set(votes["task"]))]


def sets_in(root: Path) -> Iterator[tuple[str, pd.DataFrame, pd.Series]]:
    """(name, votes, truth) of every set under `root` whose truth is known, by name."""
    for folder in sorted(path.parent for path in root.glob("*/truth.csv*")):
        if any(folder.glob("votes.csv*")):
            votes, truth = read_set(folder)
            if len(truth):
                yield folder.name, votes, truth


def majority_accuracy(votes: pd.DataFrame, truth: pd.Series) -> float:
    """Expected accuracy of majority with ties drawn at random."""
    counts = votes.groupby(["task", "label"]).size().reset_index(name="n")
    top = counts[counts["n"] == counts.groupby("task")["n"].transform("max")]
    right = top.assign(right=top["label"] == top["task"].map(truth)).groupby("task")["right"].mean()
    return float(right.reindex(truth.index).mean())


def crowd_kit(python: str, votes: pd.DataFrame, truth: pd.Series) -> dict[str, tuple[float, float] | None]:
    """Accuracy and CPU seconds of crowd-kit's methods, run by a Python that has it; None: not in 120 s."""
    with tempfile.TemporaryDirectory() as folder:
        votes.to_csv(f"{folder}/votes.csv", index=False)
        truth.to_csv(f"{folder}/truth.csv")
        command = [python, "-c", PEER, f"{folder}/votes.csv", f"{folder}/truth.csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, tuple[float, float] | None] = json.loads(done.stdout)
    return found
