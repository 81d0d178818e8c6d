"""Is the stated confidence true? Votes alone, and with gold; beside crowd-kit's Dawid-Skene.

usage: python -m benchmarks.quality_calibration VOTES_DIR [--peer PYTHON_WITH_CROWD_KIT] [--quick]

For each set: the true accuracy, the stated one, and the expected calibration error (bins of at least 200
tasks), by votes alone and with some gold, always scored on tasks that were not gold; and how often the stated
95% interval of the set's accuracy holds the true one, over random subsets of its tasks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.crowds import sets_in
from benchmarks.quality_accuracy import calibration_error
from quality.aggregation import aggregate

GOLD = (20, 60, 200)
DRAWS, SUBSETS, SUBSET = 3, 20, 300
PEER = """
import json, sys
import pandas as pd
from crowdkit.aggregation import DawidSkene
votes = pd.read_csv(sys.argv[1], dtype=str)
proba = DawidSkene(n_iter=100).fit_predict_proba(votes)
print(json.dumps({task: [label, float(p)] for task, label, p in
                  zip(proba.index, proba.idxmax(axis=1), proba.max(axis=1))}))
"""


def judged(votes: pd.DataFrame, truth: pd.Series, gold: pd.DataFrame | None = None) -> dict[str, float]:
    """Accuracy, what was stated, calibration error, and whether the interval held; on tasks not gold."""
    result = aggregate(votes, gold=gold)
    asked = truth if gold is None else truth.drop(gold["task"])
    consensus = result.consensus.set_index("task").reindex(asked.index)
    right = (consensus["label"] == asked).to_numpy(float)
    confidence = consensus["confidence"].to_numpy(float)
    interval = result.summary["label_accuracy"]
    return {
        "accuracy": right.mean(),
        "stated": confidence.mean(),
        "ece": calibration_error(right, confidence),
        "held": float(interval["lo"] <= right.mean() <= interval["hi"]),
        "width": interval["hi"] - interval["lo"],
    }


def gold_of(truth: pd.Series, number: int, seed: int) -> pd.DataFrame:
    known = truth.sample(number, random_state=seed)
    return pd.DataFrame({"task": known.index, "label": known.to_numpy()})


def coverage(votes: pd.DataFrame, truth: pd.Series, gold: int, subsets: int) -> tuple[float, float]:
    """How often the interval held over random subsets of tasks, and its mean width."""
    found = []
    for seed in range(subsets):
        some = truth.sample(min(SUBSET, round(0.7 * len(truth))), random_state=seed)
        part = votes[votes["task"].isin(some.index)]
        found.append(judged(part, some, gold_of(some, gold, seed) if gold else None))
    return float(np.mean([row["held"] for row in found])), float(np.mean([row["width"] for row in found]))


def peer_states(python: str, votes: pd.DataFrame, truth: pd.Series) -> tuple[float, float]:
    """What crowd-kit's Dawid-Skene states on average, and its calibration error."""
    with tempfile.TemporaryDirectory() as folder:
        votes.to_csv(f"{folder}/votes.csv", index=False)
        done = subprocess.run(
            [python, "-c", PEER, f"{folder}/votes.csv"], capture_output=True, text=True, check=True
        )
    table = pd.DataFrame.from_dict(json.loads(done.stdout), orient="index", columns=["label", "sure"])
    table = table.reindex(truth.index)
    right = (table["label"] == truth).to_numpy(float)
    return float(table["sure"].mean()), calibration_error(right, table["sure"].to_numpy(float))


def measured(votes: pd.DataFrame, truth: pd.Series, peer: str | None, quick: bool) -> dict[str, float]:
    """One set's row of the table."""
    alone = judged(votes, truth)
    row = {"tasks": len(truth), **{key: alone[key] for key in ("accuracy", "stated", "ece")}}
    for number in GOLD[:1] if quick else GOLD:
        if len(truth) >= 4 * number:
            seeds = range(1 if quick else DRAWS)
            rows = [judged(votes, truth, gold_of(truth, number, seed)) for seed in seeds]
            row[f"ece_gold{number}"] = float(np.mean([one["ece"] for one in rows]))
    for number in (0, 20):
        held, width = coverage(votes, truth, number, 2 if quick else SUBSETS)
        row |= {f"held_gold{number}": held, f"width_gold{number}": width}
    if peer:
        row["ck_stated"], row["ck_ece"] = peer_states(peer, votes, truth)
    return row


def made_up(fooled: float, seed: int, tasks: int = 1500) -> tuple[pd.DataFrame, pd.Series]:
    """Six votes a task by 60 workers, right three times in four, ten labels; some pictures fool many."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(10, size=tasks)
    lure = (truth + rng.integers(1, 10, size=tasks)) % 10
    worker = np.array([rng.choice(60, 6, replace=False) for _ in range(tasks)])
    skill = np.clip(rng.normal(0.72, 0.1, 60), 0.3, 0.98)
    label = np.where(
        rng.random((tasks, 6)) < skill[worker], truth[:, None], rng.integers(10, size=(tasks, 6))
    )
    lured = (rng.random(tasks) < fooled)[:, None] & (rng.random((tasks, 6)) < 0.6)
    label = np.where(lured, lure[:, None], label)
    rows = {"task": np.repeat(np.arange(tasks), 6), "worker": worker.ravel(), "label": label.ravel()}
    return pd.DataFrame(rows).astype(str), pd.Series(truth.astype(str), index=np.arange(tasks).astype(str))


def without_halves(votes: pd.DataFrame, truth: pd.Series) -> float:
    """The calibration error with the usual likeness."""
    with mock.patch("quality.aggregation.auto.splittable", return_value=None):
        return judged(votes, truth)["ece"]


def made_up_rows(quick: bool) -> pd.DataFrame:
    """A row for each made-up crowd: means over draws."""
    rows = {}
    for name, fooled in (("independent", 0.0), ("a tenth of the pictures fools many", 0.1)):
        found = []
        for seed in range(1 if quick else DRAWS):
            votes, truth = made_up(fooled, seed, 300 if quick else 1500)
            one = judged(votes, truth)
            found.append({**one, "ece, usual likeness": without_halves(votes, truth)})
        rows[name] = pd.DataFrame(found)[["accuracy", "stated", "ece", "ece, usual likeness"]].mean()
    return pd.DataFrame(rows).T


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row a set, and the made-up crowds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("votes", type=Path)
    parser.add_argument("--peer", help="a Python that has crowd-kit 1.4.2")
    parser.add_argument("--quick", action="store_true", help="one draw of each, to see that it runs")
    args = parser.parse_args(argv)
    rows = {}
    for name, votes, truth in sets_in(args.votes):
        if len(votes) > 100 * len(truth) or len(truth) < 80:
            continue  # too few tasks to say anything about bins or intervals
        rows[name] = measured(votes, truth, args.peer, args.quick)
        print(name, {key: round(float(value), 4) for key, value in rows[name].items()}, flush=True)
    print(pd.DataFrame(rows).T.astype(float).round(3).to_string())
    print(made_up_rows(args.quick).round(3).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
