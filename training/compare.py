"""`python -m training.compare`: did a release, or a setting, make better models? Needs no database."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ingest.arguments import Arguments
from training.comparison.changes import as_dict, text
from training.comparison.paired import compare
from training.comparison.runs import open_runs
from training.comparison.shared import shared_pictures
from training.trained import PREFERRED, TrainedError

EXAMPLE = f"""example:
  python -m training.compare runs/clothing-1.0.0 runs/clothing-2.0.0 --html compare.html
  python -m training.compare runs/frozen runs/tuned --arm consensus --json

All runs are compared with the first one, on the test pictures that all of them answered and whose references
are the same, paired by picture and seed, under one arm: {", ".join(PREFERRED[:-1])} or {PREFERRED[-1]}, the
first that all runs have. Intervals are 95%; p of several comparisons is Holm's.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 the page cannot be written, 2 runs that cannot be compared."""
    args = _parser().parse_args(argv)
    try:
        if args.html and not args.html.absolute().parent.is_dir():
            raise TrainedError(f"{args.html}: no such folder to write into")
        runs = open_runs(args.runs)
        if len(runs) < 2:
            raise TrainedError("one run is nothing to compare; give two or more")
        comparison = compare(runs, shared_pictures(runs), args.arm)
    except TrainedError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        return _fail("stopped", 1)
    if args.html:
        from training.comparison.page import render
        from training.store import write_atomically

        try:
            write_atomically(args.html, render(comparison).encode())
        except OSError as error:
            return _fail(f"{args.html} cannot be written: {error.strerror or error}", 1)
    words = json.dumps(as_dict(comparison), indent=1) if args.json else text(comparison)
    if args.html and not args.json:
        words += f"\npage: {args.html}"
    try:
        print(words, flush=True)
    except BrokenPipeError:  # the reader has gone, and needs no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _fail(message: str, code: int) -> int:
    print(f"compare: {' '.join(message.split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m training.compare",
        description="Compare runs: across releases, or before and after a change of settings.",
        epilog=EXAMPLE,
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="finished runs; the first is the base"
    )
    parser.add_argument("--arm", help="the labelling whose nets are compared")
    parser.add_argument("--html", type=Path, metavar="F.html", help="write a page with plots, one file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
