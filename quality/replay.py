"""python -m quality.replay: what a campaign would have cost under the site's own stopping rule.

Votes become available in the order of the rows. In each pass every open task gets its next votes, all labels
are settled again from the votes seen so far, and `stopping.decide` says which tasks want more, as the site
does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from ingest.tables import BadTable, read_table, table_kind, write_table
from quality.aggregation import METHODS, BadVotes, aggregate
from quality.stopping import ASK_AGAIN, VOTES_MIN, WANTED_CONFIDENCE, decide

RENAME = {"item": "task", "image": "task"}
EXAMPLE = """example:
  python -m quality.replay votes.csv -o result.csv --confidence 0.98 --votes-min 2 --votes-max 10 --json"""


@dataclass(frozen=True)
class Rule:
    """The stopping rule's settings; `budget`: votes in all, None is no limit."""

    confidence: float = WANTED_CONFIDENCE
    votes_min: int = VOTES_MIN
    votes_max: int | None = None
    budget: int | None = None


def replay(
    frame: pd.DataFrame, rule: Rule, method: str = "auto", gold: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Run a file of votes through the rule: `task,label,confidence,votes`, sorted by task.

    A task that runs out of rows is closed as it is. Under a budget the least sure tasks are asked first; a
    task that the budget never reached is missing from the result.

    Raises:
        BadVotes: a column is missing or the method is unknown. ValueError: a limit that makes no sense.
    """
    pool = _available(frame)
    labels = sorted(set(pool["label"]))
    turn = pool.groupby("task", sort=True).cumcount().to_numpy()
    task, names = pd.factorize(pool["task"], sort=True)
    waiting = np.bincount(task, minlength=len(names))
    given = np.zeros(len(names), np.int64)
    confidence = np.full(len(names), np.nan)
    consensus = pd.DataFrame(columns=["task", "label", "confidence", "votes"])
    left = len(pool) if rule.budget is None else rule.budget
    with tqdm(total=len(names), desc="closed", disable=not sys.stderr.isatty()) as bar:
        while True:
            decision = decide(confidence, given, rule.votes_min, rule.votes_max, rule.confidence)
            ask = np.where(decision.state == ASK_AGAIN, np.minimum(decision.ask, waiting - given), 0)
            bar.update(int((ask == 0).sum()) - bar.n)
            ask = _within(ask, confidence, left)
            if not ask.any():
                return consensus[["task", "label", "confidence", "votes"]]
            left -= int(ask.sum())
            given += ask
            seen = pool[turn < given[task]]
            consensus = aggregate(seen, method=method, gold=gold, labels=labels).consensus
            position = pd.Index(names).get_indexer(consensus["task"])
            confidence[position] = consensus["confidence"].to_numpy()


def _available(frame: pd.DataFrame) -> pd.DataFrame:
    """Usable rows as text, in order; a worker's second answer to a task is no new vote and is left out."""
    missing = [column for column in ("task", "worker", "label") if column not in frame.columns]
    if missing:
        raise BadVotes(f"votes: no column {', '.join(missing)}")
    pool = frame[["task", "worker", "label"]].dropna().astype(str)
    pool = pool[(pool != "").all(axis=1)]
    return pool.drop_duplicates(["task", "worker"], keep="first").reset_index(drop=True)


def _within(ask: np.ndarray, confidence: np.ndarray, left: int) -> np.ndarray:
    """Cut the votes asked for to those that the budget still pays, the least sure tasks first."""
    if int(ask.sum()) <= left:
        return ask
    order = np.argsort(np.nan_to_num(confidence, nan=-1.0), kind="stable")
    paid = np.clip(left - (np.cumsum(ask[order]) - ask[order]), 0, ask[order])
    cut = np.zeros_like(ask)
    cut[order] = paid
    return cut


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    rule = Rule(args.confidence, args.votes_min, args.votes_max, args.budget)
    try:
        table_kind(args.output)
        if rule.budget is not None and rule.budget < 1:
            raise ValueError("the budget must be at least one vote")
        votes = read_table(args.votes, need=("task", "worker", "label"), rename=RENAME)
        gold = read_table(args.gold, need=("task", "label"), rename=RENAME) if args.gold else None
        result = replay(votes, rule, args.method, gold)
        write_table(result, args.output)
    except (BadTable, BadVotes, ValueError) as error:
        print(f"quality.replay: {error}", file=sys.stderr)
        return 2
    spent = int(result["votes"].sum())
    summary = {
        "tasks": len(result),
        "votes": spent,
        "votes_per_task": round(spent / len(result), 6) if len(result) else 0.0,
        "stated_error": round(1.0 - float(result["confidence"].mean()), 6) if len(result) else 0.0,
    }
    if args.json:
        print(json.dumps(summary))
    else:
        print(
            f"{summary['tasks']} tasks, {spent} votes ({summary['votes_per_task']:.2f} a task), "
            f"stated error {summary['stated_error']:.2%} -> {args.output}"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quality.replay",
        description="Run a past or planned campaign through the site's stopping rule.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("votes", metavar="VOTES", help="table of task,worker,label in order of arrival")
    parser.add_argument("-o", "--output", metavar="RESULT", required=True, help="the table to write")
    parser.add_argument("--confidence", type=float, default=WANTED_CONFIDENCE, metavar="P")
    parser.add_argument("--votes-min", type=int, default=VOTES_MIN, metavar="N")
    parser.add_argument("--votes-max", type=int, default=None, metavar="N")
    parser.add_argument("--budget", type=int, default=None, metavar="N", help="votes to spend in all")
    parser.add_argument("--gold", metavar="F", help="table of task,label: answers that are known")
    parser.add_argument("--method", default="auto", metavar="M", help=f"{', '.join(METHODS)} (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the totals as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
