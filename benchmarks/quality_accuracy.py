"""How right the consensus is, how honest its confidence, what gold adds: beside crowd-kit, on real crowds.

usage: python -m benchmarks.quality_accuracy VOTES_DIR [--peer PYTHON_WITH_CROWD_KIT] [--quick]

Assay's methods see votes only, never the truth; their settings are the same on every set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.crowds import crowd_kit, majority_accuracy, sets_in
from quality.aggregation import METHODS, aggregate

GOLD, DRAWS = 20, 5
BIN = 200


def scored(votes: pd.DataFrame, truth: pd.Series, method: str, gold: pd.DataFrame | None = None) -> tuple:
    """Right or wrong, and the confidence, of every task with a known truth that was not gold."""
    consensus = aggregate(votes, method, gold=gold).consensus.set_index("task")
    asked = truth if gold is None else truth.drop(gold["task"])
    consensus = consensus.reindex(asked.index)
    return (consensus["label"] == asked).to_numpy(float), consensus["confidence"].to_numpy(float)


def calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    """Mean gap between stated and true accuracy over bins of at least BIN tasks."""
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, max(1, len(order) // BIN))
    return float(sum(abs(right[b].mean() - confidence[b].mean()) * len(b) for b in bins) / len(order))


def with_gold(votes: pd.DataFrame, truth: pd.Series, draws: int) -> float:
    """Mean accuracy on the rest, over a few draws of GOLD gold tasks."""
    found = []
    for draw in range(draws):
        known = truth.sample(GOLD, random_state=draw)
        gold = pd.DataFrame({"task": known.index, "label": known.to_numpy()})
        found.append(scored(votes, truth, "auto", gold)[0].mean())
    return float(np.mean(found))


def below_majority(votes: pd.DataFrame, truth: pd.Series, right: np.ndarray) -> bool:
    """Whether a paired bootstrap over tasks puts the default below majority in 97.5% of its draws."""
    counts = votes.groupby(["task", "label"]).size().reset_index(name="n")
    top = counts[counts["n"] == counts.groupby("task")["n"].transform("max")]
    share = top.assign(right=top["label"] == top["task"].map(truth)).groupby("task")["right"].mean()
    gap = share.reindex(truth.index).to_numpy(float) - right
    draws = np.random.default_rng(5).integers(0, len(gap), (2000, len(gap)))
    return bool(np.quantile(gap[draws].mean(axis=1), 0.025) > 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row a set, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("votes", type=Path)
    parser.add_argument("--peer", help="a Python that has crowd-kit 1.4.2")
    parser.add_argument("--quick", action="store_true", help="few methods and draws, to see that it runs")
    args = parser.parse_args(argv)
    methods = ("auto", "majority") if args.quick else METHODS
    rows = {}
    for name, votes, truth in sets_in(args.votes):
        row: dict[str, object] = {"tasks": len(truth), "majority*": majority_accuracy(votes, truth)}
        for method in methods:
            right, confidence = scored(votes, truth, method)
            row[method] = right.mean()
            if method == "auto":
                row |= {"stated": confidence.mean(), "ece": calibration_error(right, confidence)}
                row["below"] = below_majority(votes, truth, right)
        row["gold20"] = with_gold(votes, truth, 1 if args.quick else DRAWS)
        if args.peer:
            for method, found in crowd_kit(args.peer, votes, truth).items():
                row[f"ck.{method}"] = found[0] if found else np.nan
        rows[name] = row
        print(name, {key: round(float(value), 4) for key, value in row.items()}, flush=True)
    table = pd.DataFrame(rows).T.astype(float)
    finished = table.dropna()
    print(
        f"\nmeans over the {len(finished)} sets that every method finished (majority*: ties drawn at random)"
    )
    print((100 * finished.drop(columns=["tasks", "below"]).mean()).round(2).to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
