"""python -m quality.aggregate: settle the labels in any crowd's table of votes. Needs no database."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ingest.tables import BadTable, read_table, table_kind, write_table
from quality.aggregation import METHODS, BadVotes, aggregate

RENAME = {"item": "task", "image": "task"}
EXAMPLE = """example:
  python -m quality.aggregate votes.csv -o consensus.csv --gold gold.csv --workers workers.csv

VOTES has the columns task (or item, or image), worker and label; further columns are ignored. __unsure__ and
unsure abstain; __none__ is a class like any other. Files are CSV, .csv.gz or Parquet, by their names."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    try:
        for target in filter(None, (args.output, args.workers, args.posteriors)):
            table_kind(target)
        votes = read_table(args.votes, need=("task", "worker", "label"), rename=RENAME)
        gold = read_table(args.gold, need=("task", "label"), rename=RENAME) if args.gold else None
        result = aggregate(votes, method=args.method, gold=gold)
        write_table(_as_text(result.consensus, args.output), args.output)
        if args.workers:
            write_table(result.workers, args.workers)
        if args.posteriors:
            write_table(result.posteriors, args.posteriors)
    except (BadTable, BadVotes) as error:
        print(f"quality.aggregate: {error}", file=sys.stderr)
        return 2
    summary = result.summary
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
        return 0
    for warning in summary["warnings"]:
        print(f"quality.aggregate: warning: {warning}", file=sys.stderr)
    left_out = "".join(f", {n} left out ({reason})" for reason, n in summary["dropped"].items())
    print(
        f"{summary['tasks']} tasks settled by {summary['method']} from {summary['votes_used']} of "
        f"{summary['votes_read']} votes{left_out} -> {args.output}"
    )
    return 0


def _as_text(consensus: pd.DataFrame, path: str) -> pd.DataFrame:
    """CSV says true and false as JSON does; Parquet has a type for it."""
    if table_kind(path) == ".parquet":
        return consensus
    return consensus.assign(tie=np.where(consensus["tie"], "true", "false"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quality.aggregate",
        description="Settle the labels in a table of votes.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("votes", metavar="VOTES", help="table of task,worker,label")
    parser.add_argument(
        "-o", "--output", metavar="CONSENSUS", required=True, help="the labels: a table to write"
    )
    parser.add_argument("--method", default="auto", metavar="M", help=f"{', '.join(METHODS)} (default: auto)")
    parser.add_argument("--gold", metavar="F", help="table of task,label: answers that are known")
    parser.add_argument("--workers", metavar="F", help="write each worker's skill here")
    parser.add_argument("--posteriors", metavar="F", help="write each label's probability here")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
