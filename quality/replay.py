"""python -m quality.replay: what a campaign would have cost under the site's own stopping rule.

Votes become available in the order of the rows. In each pass every open task gets its next votes, all labels
are settled again from the votes seen so far, `gain.outlook` judges them and `stopping.decide` says which
tasks want more, as the site does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.tables import BadTable, read_table, table_kind, write_table
from quality.accuracy_target import reach
from quality.aggregation import METHODS, BadVotes, aggregate
from quality.gain import outlook, stated
from quality.stopping import (
    ASK_AGAIN,
    VOTES_MIN,
    WANTED_CONFIDENCE,
    Decision,
    check_limits,
    decide,
    wanted_of,
    within_budget,
)

RENAME = {"item": "task", "image": "task"}
EXAMPLE = """example:
  python -m quality.replay votes.csv -o result.csv --confidence 0.98 --votes-min 2 --votes-max 10 --json
  python -m quality.replay votes.csv -o result.csv --budget 2000 --confidence 1
  python -m quality.replay votes.csv -o result.csv --category-confidence cat=0.99,dog=0.99
  python -m quality.replay votes.csv -o result.csv --expected-accuracy 0.98 --votes-max 10"""
PART_OF_BUDGET = 8
"""Under a budget a pass spends at most this part of what is left: then the labels are judged anew."""


@dataclass(frozen=True)
class Rule:
    """The stopping rule's settings.

    `budget`: votes in all, None is no limit; `category_confidence`: what is wanted of some labels instead of
    `confidence`; `least_gain`: the price of a vote in errors, 0 is no limit. `expected_accuracy`: where it is
    given, not each task must be sure, but each category right so often (`accuracy_target`).
    """

    confidence: float = WANTED_CONFIDENCE
    votes_min: int = VOTES_MIN
    votes_max: int | None = None
    budget: int | None = None
    category_confidence: Mapping[str, float] = field(default_factory=dict)
    least_gain: float = 0.0
    expected_accuracy: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a setting that makes no sense, whatever the votes are."""
        most = np.iinfo(np.int64).max if self.votes_max is None else self.votes_max
        usual = self.confidence if self.expected_accuracy is None else self.expected_accuracy
        check_limits(np.array(self.votes_min), np.array(most), np.array(usual), np.array(1))
        wanted_of(np.array([]), 1.0, self.category_confidence)
        if self.budget is not None and self.budget < 1:
            raise ValueError("the budget must be at least one vote")
        if not 0 <= self.least_gain < 1:
            raise ValueError(f"the least gain is a part of an error, 0 to 1, not {self.least_gain}")


@dataclass
class _Judged:
    """What the last pass found, each of T tasks; tasks that no vote has reached yet are NaN."""

    confidence: np.ndarray
    wanted: np.ndarray
    step: np.ndarray
    gain: np.ndarray
    label: np.ndarray
    table: pd.DataFrame


def replay(
    frame: pd.DataFrame, rule: Rule, method: str = "auto", gold: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Run a file of votes through the rule: `task,label,confidence,votes`, sorted by task.

    A task that runs out of rows is closed as it is. Under a budget the votes go where they save most errors,
    once every task has its least; a task that the budget never reached is missing from the result.

    Raises:
        BadVotes: a column is missing or the method is unknown. ValueError: a limit that makes no sense.
    """
    pool = _available(frame)
    labels = sorted(set(pool["label"]))
    turn = pool.groupby("task", sort=True).cumcount().to_numpy()
    task, found = pd.factorize(pool["task"], sort=True)
    names = pd.Index(found)
    waiting = np.bincount(task, minlength=len(names))
    given = np.zeros(len(names), np.int64)
    judged = _nothing(len(names), rule)
    left = len(pool) if rule.budget is None else rule.budget
    with tqdm(total=len(names), desc="closed", disable=not sys.stderr.isatty()) as bar:
        while True:
            decision = _decide(rule, judged, given, waiting)
            ask = np.where(decision.state == ASK_AGAIN, decision.ask, 0)
            bar.update(int((ask == 0).sum()) - bar.n)
            ask = within_budget(ask, judged.gain, _part(rule, given, left))
            if not ask.any():
                return judged.table
            left -= int(ask.sum())
            given += ask
            judged = _judge(pool[turn < given[task]], names, rule, method, gold, labels)


def _nothing(n: int, rule: Rule) -> _Judged:
    """Before the first vote."""
    table = pd.DataFrame(columns=["task", "label", "confidence", "votes"])
    wanted, step = np.full(n, _usual(rule)), np.ones(n, np.int64)
    unknown = np.full(n, np.nan)
    return _Judged(unknown, wanted, step, unknown.copy(), np.full(n, None, object), table)


def _usual(rule: Rule) -> float:
    return rule.confidence if rule.expected_accuracy is None else rule.expected_accuracy


def _decide(rule: Rule, judged: _Judged, given: np.ndarray, waiting: np.ndarray) -> Decision:
    more = {"available": waiting - given, "gain": judged.gain, "least_gain": rule.least_gain}
    limits = (rule.votes_min, rule.votes_max)
    if rule.expected_accuracy is None:
        return decide(judged.confidence, given, *limits, judged.wanted, judged.step, **more)
    return reach(judged.label, judged.confidence, given, judged.wanted, *limits, **more)


def _judge(
    seen: pd.DataFrame, names: pd.Index, rule: Rule, method: str, gold: pd.DataFrame | None, labels: list
) -> _Judged:
    """Settle all labels anew and look ahead."""
    result = aggregate(seen, method=method, gold=gold, labels=labels)
    code, _, _ = result.posterior.best()
    table = result.consensus[["task", "label", "confidence", "votes"]].copy()
    wanted = wanted_of(table["label"].to_numpy(object), _usual(rule), rule.category_confidence)
    ahead = outlook(result.votes, code, wanted)
    judged = _nothing(len(names), rule)
    at = names.get_indexer(pd.Index(table["task"]))
    honest = stated(table["confidence"].to_numpy(float), ahead)
    judged.confidence[at] = ahead.confidence if rule.expected_accuracy is None else honest
    judged.wanted[at] = wanted
    table["confidence"] = np.round(honest, 6)
    judged.step[at], judged.gain[at] = ahead.needed, ahead.gain
    judged.label[at] = table["label"].to_numpy(object)
    judged.table = table
    return judged


def _part(rule: Rule, given: np.ndarray, left: int) -> int:
    """Votes that this pass may spend."""
    first = rule.budget is None or (given < rule.votes_min).any()
    return left if first else -(-left // PART_OF_BUDGET)


def _available(frame: pd.DataFrame) -> pd.DataFrame:
    """Usable rows as text, in order; a worker's second answer to a task is no new vote and is left out."""
    missing = [column for column in ("task", "worker", "label") if column not in frame.columns]
    if missing:
        raise BadVotes(f"votes: no column {', '.join(missing)}")
    rows = frame[["task", "worker", "label"]].dropna().astype(str)
    rows = rows[(rows != "").all(axis=1)]
    pool = rows.drop_duplicates(["task", "worker"], keep="first").reset_index(drop=True)
    if len(pool) < len(frame):
        print(
            f"quality.replay: left out {number_of(len(frame) - len(rows), 'row')} without a task, worker or "
            f"label and {number_of(len(rows) - len(pool), 'further answer')} of a worker to the same task",
            file=sys.stderr,
        )
    return pool


def read_confidences(text: str) -> dict[str, float]:
    """What `--category-confidence` says: `ID=P,ID=P`, or a table of `category,confidence`.

    Raises:
        BadTable, ValueError: it says no such thing.
    """
    if "=" not in text or Path(text).is_file():
        frame = read_table(text, need=("category", "confidence"))
        pairs = list(zip(frame["category"], frame["confidence"], strict=True))
    else:
        parts = [part.rpartition("=") for part in text.split(",") if part]
        pairs = [(name, value) for name, _, value in parts]
    try:
        found = {str(name).strip(): float(value) for name, value in pairs}
    except ValueError:
        raise ValueError(
            f"--category-confidence is ID=P,ID=P or a table of category,confidence: {text}"
        ) from None
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    try:
        special = read_confidences(args.category_confidence) if args.category_confidence else {}
        rule = Rule(
            args.confidence, args.votes_min, args.votes_max, args.budget, special, args.least_gain,
            args.expected_accuracy,
        )  # fmt: skip
        table_kind(args.output)
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
            f"{number_of(len(result), 'task')}, {number_of(spent, 'vote')} "
            f"({summary['votes_per_task']:.2f} a task), stated error {summary['stated_error']:.2%} "
            f"-> {args.output}"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m quality.replay",
        description="Run a past or planned campaign through the site's stopping rule.",
        epilog=EXAMPLE,
    )
    parser.add_argument("votes", metavar="VOTES", help="table of task,worker,label in order of arrival")
    parser.add_argument("-o", "--output", metavar="RESULT", required=True, help="the table to write")
    parser.add_argument("--confidence", type=float, default=WANTED_CONFIDENCE, metavar="P")
    parser.add_argument(
        "--expected-accuracy", type=float, default=None, metavar="P",
        help="instead of --confidence: vote until each category is expected to be right so often",
    )  # fmt: skip
    parser.add_argument("--votes-min", type=int, default=VOTES_MIN, metavar="N")
    parser.add_argument("--votes-max", type=int, default=None, metavar="N")
    parser.add_argument("--budget", type=int, default=None, metavar="N", help="votes to spend in all")
    parser.add_argument(
        "--category-confidence", metavar="FILE|ID=P,...", help="what is wanted of some categories instead"
    )
    parser.add_argument(
        "--least-gain", type=float, default=0.0, metavar="G",
        help="stop where one more vote saves no more than G errors: price of a vote / price of an error",
    )  # fmt: skip
    parser.add_argument("--gold", metavar="F", help="table of task,label: answers that are known")
    parser.add_argument("--method", default="auto", metavar="M", help=f"{', '.join(METHODS)} (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the totals as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
