"""Every benchmark of `quality/`, one after the other: `make bench-quality`, or

    python -m benchmarks.quality DATA [--peer PYTHON] [--quick] [--only NAME,NAME]

DATA has votes/NAME/votes.csv and truth.csv, and for `pictures` the folders that it names. Each runs in a
process of its own, so that one's memory is not another's. What they print is kept under benchmarks/results/
(not in git); benchmarks/README.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

NAMES = ("accuracy", "calibration", "pictures", "speed", "votes_saved", "spammers", "campaign")
NEED_VOTES = {"accuracy", "calibration", "votes_saved", "spammers"}
HAVE_PEER = {"accuracy", "calibration", "pictures", "speed"}
RESULTS = Path(__file__).parent / "results"


def command(name: str, data: Path, peer: str | None, quick: bool) -> list[str]:
    """How one benchmark is called."""
    words = [sys.executable, "-m", f"benchmarks.quality_{name}"]
    words += [str(data / "votes")] if name in NEED_VOTES else []
    words += [str(data)] if name == "pictures" else []
    words += ["--peer", peer] if peer and name in HAVE_PEER else []
    return words + (["--quick"] if quick else [])


def run(name: str, words: list[str]) -> int:
    """Run one, showing and keeping what it prints; its exit code."""
    RESULTS.mkdir(exist_ok=True)
    start = time.monotonic()
    print(f"\n=== {name}: {' '.join(words[1:])}", flush=True)
    # One thread each: figures are ratios of work, not of cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        (RESULTS / f"quality_{name}.txt").open("w") as kept,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process,
    ):
        for line in process.stdout or ():
            kept.write(line)
            print(line, end="", flush=True)
    print(f"--- {name}: exit {process.returncode} in {time.monotonic() - start:.0f} s", flush=True)
    return process.returncode


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all ran, 1 where one failed, 2 for unusable arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with votes/NAME/votes.csv and truth.csv")
    parser.add_argument("--peer", help="a Python that has crowd-kit and cleanlab (make peers)")
    parser.add_argument("--quick", action="store_true", help="the short form of each, to see that it runs")
    parser.add_argument("--only", default=",".join(NAMES), help="names, parted by commas (default: all)")
    args = parser.parse_args(argv)
    chosen = [name.strip() for name in args.only.split(",") if name.strip()]
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        print(
            f"benchmarks.quality: unknown: {', '.join(unknown)} (there are {', '.join(NAMES)})",
            file=sys.stderr,
        )
        return 2
    if not (args.data / "votes").is_dir() and NEED_VOTES & set(chosen):
        print(f"benchmarks.quality: {args.data}/votes: no such folder of vote sets", file=sys.stderr)
        return 2
    failed = [name for name in chosen if run(name, command(name, args.data, args.peer, args.quick))]
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
