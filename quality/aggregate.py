"""python -m quality.aggregate: settle the labels in any crowd's table of votes. Needs no database."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.tables import BadTable, read_table, table_kind, write_table
from quality.aggregation import METHODS, BadVotes, Result, aggregate
from quality.aggregation.votes import ABSTAIN
from quality.readers import Asked, Read, read_votes
from quality.readers.record import COLUMNS

RENAME = {"item": "task", "image": "task"}
EXAMPLE = """example:
  python -m quality.aggregate votes.csv -o consensus.csv --gold gold.csv --workers workers.csv
  python -m quality.aggregate votes.csv -o consensus.csv --pictures probs.csv
  python -m quality.aggregate Batch_4242_batch_results.csv -o consensus.csv --answer-column category

VOTES has the columns task (or item, or image), worker and label; of others, seconds and created tell about
workers, and audit (true, false) which tasks are a random sample that no stopping rule chose. __unsure__ and
unsure abstain; __none__ is a class like any other; an empty cell, or NaN, is no vote. Files are CSV, .csv.gz
or Parquet. What Label Studio (JSON, JSON-MIN), CVAT (for images 1.1) and Mechanical Turk (batch results)
export is known by its content. Several files are read as one. What is no vote is left out and counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    try:
        _check_files(args)
        read = read_votes(args.votes, Asked(args.answer_column, _columns(args.columns)))
        known = _known_labels(args.labels)
        frame, unknown = _without_unknown(read.frame, known)
        gold = read_table(args.gold, need=("task", "label"), rename=RENAME) if args.gold else None
        pictures = (
            read_table(args.pictures, ("task", "label", "probability"), rename=RENAME)
            if args.pictures
            else None
        )
        result = aggregate(frame, method=args.method, gold=gold, labels=known, pictures=pictures)
        _write(result, args)
    except (BadTable, BadVotes) as error:
        print(f"quality.aggregate: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    summary = _summary(result, read, unknown)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
        return 0
    for warning in summary["warnings"]:
        print(f"quality.aggregate: warning: {warning}", file=sys.stderr)
    left_out = "".join(f", {n} left out ({reason})" for reason, n in summary["dropped"].items())
    pictures_told = (
        f", pictures weighing {summary['pictures']['weight']:.2f}" if "pictures" in summary else ""
    )
    print(
        f"{number_of(summary['tasks'], 'task')} settled by {summary['method']}{pictures_told} from "
        f"{summary['votes_used']:,} of {number_of(summary['votes_read'], 'vote')}{left_out} -> {args.output}"
    )
    return 0


def _check_files(args: argparse.Namespace) -> None:
    """Before hours of work: every output can be written and takes nobody's place.

    Raises:
        BadTable: a name that is no table's, a folder that is not there, or one file named twice.
    """
    used = {Path(path).resolve() for path in (*args.votes, args.gold, args.pictures, args.labels) if path}
    for target in filter(None, (args.output, args.workers, args.posteriors)):
        table_kind(target)
        file = Path(target).resolve()
        if file in used:
            raise BadTable(f"{target}: it is named for something else too; results go to a file of their own")
        if file.is_dir() or not os.access(file.parent, os.W_OK):
            what = "it is a folder" if file.is_dir() else "its folder cannot be written or is not there"
            raise BadTable(f"{target}: cannot write here: {what}")
        used.add(file)


def _write(result: Result, args: argparse.Namespace) -> None:
    """All tables are made before the first is written, so that one which cannot be made leaves none."""
    tables = [(_as_text(result.consensus, args.output), args.output)]
    if args.workers:
        tables.append((result.workers, args.workers))
    if args.posteriors:
        tables.append((result.posteriors, args.posteriors))
    for table, target in tables:
        write_table(table, target)


def _summary(result: Result, read: Read, unknown: int) -> dict[str, Any]:
    """The aggregation's summary, with what the reader left out before it."""
    summary = dict(result.summary)
    dropped = dict(read.dropped) | ({"unknown_label": unknown} if unknown else {})
    for reason, number in dropped.items():
        summary["dropped"] = summary["dropped"] | {reason: summary["dropped"].get(reason, 0) + number}
    summary["votes_read"] += sum(dropped.values())
    summary["format"] = read.kind
    summary["warnings"] = [*read.warnings, *summary["warnings"]]
    return summary


def _columns(text: str) -> dict[str, str]:
    """`task=A,worker=B` as a dictionary."""
    pairs = [pair.partition("=")[::2] for pair in text.split(",") if pair.strip()]
    for name, column in pairs:
        if name.strip() not in COLUMNS or not column.strip():
            raise BadTable(f"--columns: {name!r}: give task=A,worker=B,label=C (any of them)")
    return {name.strip(): column.strip() for name, column in pairs}


def _known_labels(path: str | None) -> list[str] | None:
    if not path:
        return None
    return list(read_table(path, ("label",), rename={"id": "label", "category": "label"})["label"])


def _without_unknown(frame: pd.DataFrame, known: list[str] | None) -> tuple[pd.DataFrame, int]:
    """The votes for known labels (and abstentions, and empty cells, which are counted later)."""
    if known is None:
        return frame, 0
    fine = frame["label"].isin([*known, *ABSTAIN, "__none__", ""])
    return frame[fine], int((~fine).sum())


def _as_text(consensus: pd.DataFrame, path: str) -> pd.DataFrame:
    """CSV says true and false as JSON does; Parquet has a type for it."""
    if table_kind(path) == ".parquet":
        return consensus
    return consensus.assign(tie=np.where(consensus["tie"], "true", "false"))


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m quality.aggregate",
        description="Settle the labels in a table of votes.",
        epilog=EXAMPLE,
    )
    parser.add_argument("votes", metavar="VOTES", nargs="+", help="table of task,worker,label, or an export")
    parser.add_argument(
        "-o", "--output", metavar="CONSENSUS", required=True, help="the labels: a table to write"
    )
    parser.add_argument("--method", default="auto", metavar="M", help=f"{', '.join(METHODS)} (default: auto)")
    parser.add_argument("--gold", metavar="F", help="table of task,label: answers that are known")
    parser.add_argument(
        "--pictures", metavar="F", help="table of task,label,probability: a classifier as one more voter"
    )
    parser.add_argument("--workers", metavar="F", help="write each worker's skill here")
    parser.add_argument("--posteriors", metavar="F", help="write each label's probability here")
    parser.add_argument("--labels", metavar="F", help="table of label (or id): votes for others are left out")
    parser.add_argument("--columns", default="", metavar="task=A,...", help="what VOTES calls its columns")
    parser.add_argument(
        "--answer-column", default="", metavar="Q", help="the question meant, where an export has several"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
