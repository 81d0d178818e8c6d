"""How fast votes become labels, in how much memory, beside crowd-kit, on simulated crowds.

usage: python -m benchmarks.quality_speed [--peer PYTHON_WITH_CROWD_KIT] [--limit S] [--slow] [--quick]

CPU seconds of all threads (best of three where one takes less than six), the peak of memory above the table
of votes, and the share of tasks labelled right; every method in a process of its own. crowd-kit runs with its
defaults, Dawid-Skene with 100 passes as in its examples. Whoever takes more than the limit is cut off;
`--slow` lets crowd-kit finish, and gives it the 10^7 votes too. Exits 1 where a method is less accurate than
crowd-kit's of the same name by more than 0.2 points.

Measured on 2026-11-21, 2 cores, Debian 12, other work running beside it, with --limit 100:

           votes       method      CPU s  crowd-kit      times         MB  crowd-kit   accuracy  crowd-kit
       10^6 x 10     majority       0.15       0.63        4.1        131        302     0.9750     0.9750
       10^6 x 10         wawa       0.17       1.71       10.3        131        325     0.9824     0.9824
       10^6 x 10          zbs       0.52      74.12      142.7        131        370     0.9824     0.9824
       10^6 x 10     one_coin       0.34      18.92       55.5        131        485     0.9825     0.9825
       10^6 x 10  dawid_skene       0.40      13.14       32.9        160        455     0.9835     0.9787
       10^6 x 10         auto      14.41          -          -        343          -     0.9835          -
     10^5 x 1000     majority       0.02       0.15        8.2         15        312     0.9817     0.9816
     10^5 x 1000     one_coin       0.04      > 100     > 2500         15          -     0.9869          -
     10^5 x 1000  dawid_skene       0.16      > 100      > 600         34          -     0.9893          -
     10^5 x 1000         auto       6.75          -          -        801          -     0.9893          -
      88,000 x 4         glad       0.17      23.32      137.4         15        181     0.8707     0.8708
      88,000 x 4         mace       0.06      29.41      468.1         11         17     0.8729     0.8721
      88,000 x 4         auto       1.05          -          -         20          -     0.8719          -
     10^7 x 1000     majority       3.53          -          -        981          -     0.9808          -
     10^7 x 1000         auto       6.97          -          -       1021          -     0.9869          -
       10^7 x 10  dawid_skene       9.06          -          -       1262          -     0.9841          -
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

ROOT = Path(__file__).resolve().parent.parent
LESS = 0.002
"""Accuracies closer than this are equal: methods of one name differ in their priors."""


@dataclass(frozen=True)
class Scene:
    """A simulated table of votes, and what is measured on it: `methods` beside crowd-kit's, and `alone`.

    `spread`: standard deviation of how easy a task is, in log-odds. `huge`: crowd-kit is asked only if slow.
    """

    name: str
    votes: int
    labels: int
    workers: int
    each: int
    methods: tuple[str, ...]
    alone: tuple[str, ...] = ()
    spread: float = 0.0
    huge: bool = False


SCENES = (
    Scene(
        "10^6 x 10",
        1_000_000,
        10,
        2_000,
        5,
        ("majority", "wawa", "zbs", "one_coin", "dawid_skene"),
        ("auto",),
    ),
    Scene("10^5 x 1000", 100_000, 1_000, 200, 5, ("majority", "one_coin", "dawid_skene"), ("auto",)),
    Scene("88,000 x 4", 88_000, 4, 800, 8, ("glad", "mace"), ("auto",), spread=2.0),
    Scene("10^7 x 1000", 10_000_000, 1_000, 20_000, 5, (), ("majority", "auto"), huge=True),
    Scene("10^7 x 10", 10_000_000, 10, 20_000, 5, ("dawid_skene",), (), huge=True),
)
QUICK = tuple(
    replace(
        scene,
        name=f"{scene.name}/{part}",
        votes=scene.votes // part,
        labels=min(scene.labels, 50),
        workers=60,
    )
    for scene, part in zip(SCENES, (200, 50, 40, 2_000, 2_000), strict=True)
)


def simulated(scene: Scene, seed: int = 5) -> dict[str, np.ndarray]:
    """`task`, `worker`, `label` of every vote, and `truth` by task.

    Workers' skills are Beta(8, 2.5), mean 0.76; half of the mistakes are one of four neighbouring labels, the
    others any label.
    """
    rng = np.random.default_rng(seed)
    n, k, each = scene.votes, scene.labels, scene.each
    truth = rng.integers(0, k, n // each)
    task = np.repeat(np.arange(len(truth)), each)
    # The workers of a task stand at even steps on a circle: nobody votes twice.
    first = rng.integers(0, scene.workers, len(truth))
    step = rng.integers(1, scene.workers // each, len(truth))
    worker = (first[task] + np.tile(np.arange(each), len(truth)) * step[task]) % scene.workers
    skill = logit(rng.beta(8, 2.5, scene.workers))
    right = expit(skill[worker] + rng.normal(0, scene.spread, len(truth))[task])
    near = (truth[task] + rng.choice([-2, -1, 1, 2], len(task))) % k
    wrong = np.where(rng.random(len(task)) < 0.5, near, rng.integers(0, k, len(task)))
    label = np.where(rng.random(len(task)) < right, truth[task], wrong)
    return {"task": task, "worker": worker, "label": label, "truth": truth}


def side(
    python: str, name: str, file: Path, limit: int, methods: Sequence[str]
) -> dict[str, dict[str, float]]:
    """What one side needs for each method; nothing for those beyond the limit."""
    command = [python, "-m", "benchmarks.quality_speed_side", str(file), name, str(limit), *methods]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | threads)
    if done.returncode:
        raise RuntimeError(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    rows = map(json.loads, done.stdout.splitlines())
    return {row.pop("method"): row for row in rows}


def check(peer: str) -> None:
    """Raises RuntimeError or OSError where that Python cannot run crowd-kit."""
    done = subprocess.run([peer, "-c", "import crowdkit.aggregation"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr.strip().splitlines()[-1]}")


def rows_of(
    scene: Scene, peer: str | None, limit: int, slow: bool
) -> Iterator[tuple[str, dict, dict | None]]:
    """Method, what Assay needs, what crowd-kit needs (None: not asked)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "votes.npz"
        table = simulated(scene)
        np.savez(file, task=table["task"], worker=table["worker"], label=table["label"], truth=table["truth"])
        own = side(sys.executable, "assay", file, limit, (*scene.methods, *scene.alone))
        beside = peer is not None and (slow or not scene.huge)
        others = side(str(peer), "crowd-kit", file, limit, scene.methods) if beside else {}
        for method, found in own.items():
            yield method, found, others.get(method)


def as_line(cells: Sequence[str]) -> str:
    return f"{cells[0]:>16}{cells[1]:>13}" + "".join(f"{cell:>11}" for cell in cells[2:])


def line(scene: str, method: str, own: dict, other: dict | None, limit: int) -> str:
    def figures(found: dict | None) -> list[str]:
        if found is None:
            return ["-"] * 3
        if not found:
            return [f"> {limit}", "-", "-"]
        return [f"{found['seconds']:.2f}", f"{found['megabytes']:.0f}", f"{found['accuracy']:.4f}"]

    mine, theirs = figures(own), figures(other)
    times = "-"
    if own and other is not None:
        times = f"{'' if other else '> '}{(other.get('seconds', limit)) / max(own['seconds'], 1e-3):.1f}"
    cells = [scene, method, mine[0], theirs[0], times, mine[1], theirs[1], mine[2], theirs[2]]
    return as_line(cells)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", help="a Python that has crowd-kit 1.4.2")
    parser.add_argument(
        "--limit", type=int, default=60, help="CPU seconds for one method (default %(default)s)"
    )
    parser.add_argument("--slow", action="store_true", help="let crowd-kit finish")
    parser.add_argument("--quick", action="store_true", help="small tables: does it work at all?")
    args = parser.parse_args(argv)
    limit = 1200 if args.slow else args.limit
    worse = []
    heads = ("votes", "method", "CPU s", "crowd-kit", "times", "MB", "crowd-kit", "accuracy", "crowd-kit")
    print(as_line(heads), flush=True)
    try:
        if args.peer:
            check(args.peer)
        for scene in QUICK if args.quick else SCENES:
            for method, own, other in rows_of(scene, args.peer, limit, args.slow or args.quick):
                print(line(scene.name, method, own, other, limit), flush=True)
                if own and other and own["accuracy"] < other["accuracy"] - LESS:
                    worse.append(f"{method} on {scene.name}")
    except (RuntimeError, OSError) as problem:
        print(f"quality_speed: {problem}", file=sys.stderr)
        return 2
    if worse:
        print(f"less accurate than crowd-kit: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
