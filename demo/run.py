"""The whole main job on this machine, from crawl to report, with the bundled photos: what `make demo` runs.

Every stage is the real one, started as a process. A demo that was stopped goes on where it stopped; a
finished one is moved aside and starts clean.
"""

import argparse
import errno
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from demo import database
from demo.processes import ROOT, DemoError, Processes, check_space
from demo.state import State, move_aside, take_lock
from demo.steps import NAME, Demo
from demo.summary import arms_table, counted_votes, label_accuracy
from demo.table import closing_table, farewell

SEED = 7
SMALLEST = 250  # every category needs a photo in every split
WANTED_SPACE = 600 * 2**20
METHODS = ("majority", "dawid_skene")
STEPS: tuple[tuple[str, str, Callable[[Demo], Any]], ...] = (
    ("crawl", "Crawl: a web site of this machine, over HTTP", Demo.crawl),
    ("dedup", "Dedup: group near-duplicates", Demo.dedup),
    ("prepare", "Round: gold, references, accounts, tasks", Demo.prepare),
    ("label", "Label: simulated workers vote through the site", Demo.label),
    ("quality", "Quality: consensus, more votes where it is unsure", Demo.quality),
    ("release", "Release: export, verify, open", Demo.publish),
    ("retrain", "Retrain: the same pictures under several labellings", Demo.retrain),
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m demo.run",
        description="Run every stage on the bundled photos, from crawl to report.",
        epilog="example: python -m demo.run --small 300 --data data/small",
    )
    made.add_argument("--small", type=int, metavar="N", help="use about N of the 2,600 photos")
    made.add_argument("--data", type=Path, help="data folder (default: ASSAY_DATA, else data/)")
    made.add_argument("--port", type=int, help="port of the photo site (default: a free one)")
    made.add_argument("--seed", type=int, default=SEED, help="of plan, crowd and round (default %(default)s)")
    made.add_argument("--fresh", action="store_true", help="start clean; what is there is moved to earlier/")
    return made


def begin(data: Path, options: dict[str, Any], fresh: bool) -> State:
    """The state to go on with, and a word about which. Raises DemoError where the folder is another's."""
    state = State.load(data) if not fresh or not (data / "demo.json").exists() else None
    others = [name for name in database.datasets(data) if name != NAME]
    if state and not state.finished:
        if state.options != options:
            raise DemoError(
                f"{data} holds a demo begun with other options {json.dumps(state.options)}: "
                "give the same, or --fresh",
                2,
            )
        word = f"Resuming after step {state.last}" if state.last else "Resuming at the first step"
        print(f"{word}, in {data}", flush=True)
        return state
    if others:
        raise DemoError(
            f"{data} holds other datasets too ({', '.join(others[:3])}): choose another --data", 2
        )
    ours = state is not None or (data / "demo.json").exists()
    if not ours and NAME in database.datasets(data):
        raise DemoError(
            f"{data} holds a dataset called {NAME} that is not the demo's: choose another --data", 2
        )
    if ours:
        print(f"Starting clean: the earlier demo is kept in {move_aside(data)}", flush=True)
    else:
        print(f"Starting clean, in {data}", flush=True)
    state = State(data, options)
    state.save()
    return state


def run_steps(demo: Demo) -> None:
    """Every step that is not done yet, with its wall time."""
    total = len(STEPS) + 1
    for number, (name, title, work) in enumerate(STEPS, start=1):
        if name in demo.state.done:
            continue
        print(f"[{number}/{total}] {title}", flush=True)
        begun = time.monotonic()
        demo.state.once(name, partial(work, demo))
        print(f"      done in {time.monotonic() - begun:.0f} s", flush=True)
    print(f"[{total}/{total}] Report", flush=True)


def summarise(demo: Demo) -> str:
    """The closing table."""
    photo_of = demo.plan().photo_of()
    truth = {image: demo.labels[photo] for image, photo in photo_of.items()}
    exported = pd.read_csv(demo.files / "votes.csv", dtype=str, keep_default_na=False)
    votes, on_gold = counted_votes(exported)
    labels = label_accuracy(votes, on_gold, truth, METHODS)
    metrics = json.loads((Path(demo.state.done["retrain"]["run"]) / "metrics.json").read_text())
    return closing_table(
        {name: demo.state.done[name] for name, _, _ in STEPS},
        {name: demo.state.seconds[name] for name, _, _ in STEPS},
        labels,
        arms_table(metrics),
    )


def run(options: argparse.Namespace) -> None:
    """The demo. Raises DemoError with one line for the user."""
    given = options.data or (Path(os.environ["ASSAY_DATA"]) if os.environ.get("ASSAY_DATA") else None)
    data = (given or ROOT / "data").resolve()
    if options.small is not None and options.small < SMALLEST:
        raise DemoError(f"--small needs at least {SMALLEST} photos: ten categories, three splits", 2)
    lock = take_lock(data)
    chosen = {"small": options.small, "seed": options.seed, "port": options.port}
    state = begin(data, chosen, options.fresh)
    check_space(data, WANTED_SPACE)
    database.connect(data)
    with Processes(data, lock) as processes:
        demo = Demo(data, state, processes)
        run_steps(demo)
        print(summarise(demo))
        print(farewell(demo.release, Path(state.done["retrain"]["run"]), demo.passwords(), given))
    state.finished = True
    state.save()


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        run(options)
    except DemoError as error:
        return complain(str(error), error.code)
    except KeyboardInterrupt:
        return complain("stopped; run the demo again and it goes on from here", 130)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return complain(
                "the disk is full: free some space and run the demo again, it goes on from here", 1
            )
        return complain(f"{error.filename or 'the system'}: {error.strerror or error}", 1)
    except sqlite3.Error as error:
        return complain(f"the demo's database cannot be read ({error}): start clean with --fresh", 1)
    return 0


def complain(line: str, code: int) -> int:
    """One line on stderr, and the exit code."""
    print(f"demo: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
