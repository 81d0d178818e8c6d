"""How fast Assay trains, beside the loop of torchvision's references/classification/train.py.

usage: python -m benchmarks.training_speed [--only A,B] [--quick] [--repeats N] [--threads N] [--device cuda]

Both train the same nets on the same JPEG files with the same crops and flips, batches of 32 and SGD: the peer
by `benchmarks.training_peer`, Assay as a run does, by `training.loop.fit` in the precision that `auto` picks
and as many trainings side by side as there are threads. They take turns, each in a process of its own, so
that what else the machine does hits both. A row has the medians of the turns, and of their ratios with the
least and the most, by the clock and in CPU seconds of all processes. Not counted are a first batch, the start
of workers, and decoding into the cache, which happens once for all arms and seeds.

Scenes: `small32` (the small net), `cifar32` (ResNet-18 with a stem for 32 px), `resnet224` (ResNet-18, files
of 500 x 375); `load32`, `load224`: batches read from the cache and normalised, beside the reference's loader;
`probe`, `quick`: the whole command from an empty cache, 8 arms x 10 seeds on 5,000 train and 1,000 test
pictures at 128 px, frozen EfficientNet-lite0 under a linear head and under a hidden layer.

Measured on 2026-11-22 with --repeats 3 on two cores without AMX (AMD EPYC, Zen 4) that did nothing else. No
GPU was at hand: --device cuda is untried, and airbench is no peer yet.

                reference/s    assay/s           times, clock             times, CPU  wanted
       small32          527      2,109      4.00 [3.94, 4.02]      4.16 [4.09, 4.22]       3
        load32        2,961    424,866 152.01 [123.98, 152.78] 141.87 [116.13, 144.55]     100
       load224          487      9,407   19.33 [18.25, 21.86]   17.33 [17.11, 21.55]     100
       cifar32           47         97      2.11 [1.99, 2.15]      2.13 [2.04, 2.18]       3
     resnet224           13         34      2.56 [2.46, 2.70]      2.50 [2.40, 2.58]     2.5
         probe 8 arms x 10 seeds, 5,000 + 1,000 pictures: 111 s, 156 CPU s; majority 59.8% right
         quick 8 arms x 10 seeds, 5,000 + 1,000 pictures: 144 s, 262 CPU s; majority 58.0% right
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import training_peer as peer
from benchmarks.training_peer import Taken
from benchmarks.training_pictures import CLASSES, make_release
from training.augment import parse
from training.batches import picture_batches
from training.cache import open_pictures
from training.experiment import pick_device, pick_precision
from training.loop import Inputs, fit
from training.loop.allocator import keep_freed_memory
from training.networks import recipe_for
from training.pairs import SIDE_BY_SIDE
from training.presets import PRESETS
from training.release import open_release
from training.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(__file__).parent / "results" / "training_speed"
WARM = 1
"""Batches of each turn that are not counted."""
ARMS = (
    "one_vote",
    "majority",
    "dawid_skene",
    "consensus",
    "soft_posterior",
    "soft_votes",
    "reference",
    "noise_sym_40",
)
PROBE = ("probe", "quick")
"""Scenes of the whole command: presets."""
Ours = Callable[[int, int], Taken]


@dataclass(frozen=True)
class Scene:
    """A net at a size. `pictures`: of each turn, the peer's and ours. `wanted`: the least ratio."""

    size: int
    file: tuple[int, int]
    wanted: float
    pictures: tuple[int, int]
    model: str | None = None


SCENES = {
    "small32": Scene(32, (32, 32), 3.0, (2048, 4096), "small"),
    "cifar32": Scene(32, (32, 32), 3.0, (320, 640), "resnet18"),
    "resnet224": Scene(224, (500, 375), 2.5, (128, 192), "resnet18"),
    "load32": Scene(32, (32, 32), 100.0, (4096, 65536)),
    "load224": Scene(224, (500, 375), 100.0, (512, 8192)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 the trainer failed, 2 unusable arguments."""
    args = _parser().parse_args(argv)
    chosen = args.only.split(",") if args.only else [*SCENES, *PROBE]
    unknown = [name for name in chosen if name not in SCENES and name not in PROBE]
    if unknown or args.repeats < 1 or args.threads < 1:
        known = ", ".join([*SCENES, *PROBE])
        print(f"training_speed: scenes are {known}; repeats and threads at least 1", file=sys.stderr)
        return 2
    try:
        device = pick_device(args.device)
    except ValueError as error:
        print(f"training_speed: {error}", file=sys.stderr)
        return 2
    print(f"torch {torch.__version__}, {device}, {args.threads} threads, {pick_precision('auto', device)}")
    print(
        f"{'':>10} {'reference/s':>12} {'assay/s':>10} {'times, clock':>22} {'times, CPU':>22} {'wanted':>7}"
    )
    for name in chosen:
        if name in SCENES:
            print(compared(name, args), flush=True)
            continue
        done = whole_command(name, args)
        if done is None:
            return 1
        print(done, flush=True)
    return 0


@dataclass(frozen=True)
class Place:
    """What a side's process has to know."""

    scene: str
    work: Path
    files: int
    threads: int
    device: str


def compared(name: str, args: argparse.Namespace) -> str:
    """One row: both take turns, in two processes that live for the whole row."""
    scene = SCENES[name]
    pictures = (peer.BATCH, 2 * peer.BATCH) if args.quick else scene.pictures
    place = Place(name, args.work, 256 if args.quick else 2048, args.threads, args.device)
    make_release(_folder(place), place.files, 32, *scene.file)
    fresh = multiprocessing.get_context("spawn")
    turns: list[tuple[Taken, Taken]] = []
    with ProcessPoolExecutor(1, fresh) as theirs, ProcessPoolExecutor(1, fresh) as ours:
        for seed in range(1 if args.quick else args.repeats):
            other = theirs.submit(reference_turn, place, pictures[0], seed).result()
            turns.append((other, ours.submit(assay_turn, place, pictures[1], seed).result()))
    rates = [
        statistics.median(side.pictures / side.wall for side in both) for both in zip(*turns, strict=True)
    ]
    row = f"{name:>10} {rates[0]:>12,.0f} {rates[1]:>10,.0f}"
    for key in ("wall", "cpu"):
        speeds = [[side.pictures / max(getattr(side, key), 0.01) for side in turn] for turn in turns]
        ratios = sorted(mine / other for other, mine in speeds)
        row += f" {f'{statistics.median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]':>22}"
    return f"{row} {scene.wanted:>7g}"


def _folder(place: Place) -> Path:
    return place.work / f"pictures-{SCENES[place.scene].file[0]}-{place.files}"


def reference_turn(place: Place, pictures: int, seed: int) -> Taken:
    """The peer goes through so many pictures, and trains on them where the scene has a net."""
    scene, device = SCENES[place.scene], pick_device(place.device)
    torch.set_num_threads(place.threads)
    torch.manual_seed(seed)
    net = recipe_for(_settings(scene), CLASSES).fresh().to(device) if scene.model else None
    batches = peer.loader(_folder(place) / "train", scene.size, pictures + WARM * peer.BATCH, seed)
    return peer.measured(batches, net, device, WARM)


def assay_turn(place: Place, pictures: int, seed: int) -> Taken:
    """Assay does the same, from the second turn on out of the cache in memory."""
    torch.set_num_threads(place.threads)
    return _prepared(place)(pictures, seed)


@functools.cache
def _prepared(place: Place) -> Ours:
    keep_freed_memory()
    return loading(place) if SCENES[place.scene].model is None else training(place)


def training(place: Place) -> Ours:
    """A turn of training as a run does it: a function of how many pictures, and of the seed."""
    scene, device = SCENES[place.scene], pick_device(place.device)
    settings = _settings(scene)
    recipe = recipe_for(settings, CLASSES)
    pixels, rows = _cached(place, settings)
    batches = picture_batches(pixels, device, parse(settings.augment), scene.size, recipe.normalisation)
    precision = pick_precision(settings.precision, device)
    inputs = Inputs(batches, CLASSES, precision, alone=device.type == "cuda")
    labels = torch.arange(len(rows), device=device) % CLASSES
    at_once = min(SIDE_BY_SIDE, place.threads) if device.type == "cpu" else 1

    def train(net: torch.nn.Module, pictures: int) -> None:
        fit(net, inputs, rows.to(device), labels, settings, 0, pictures=pictures)

    def turn(pictures: int, seed: int) -> Taken:
        torch.manual_seed(seed)
        nets = [recipe.fresh().to(device).to(memory_format=torch.channels_last) for _ in range(at_once)]
        share = place.threads // at_once
        with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            list(pool.map(train, nets, [WARM * settings.batch] * at_once))
            started, before = time.perf_counter(), peer.cpu_seconds([])
            list(pool.map(train, nets, [pictures // at_once] * at_once))
            return Taken(pictures, time.perf_counter() - started, peer.cpu_seconds([]) - before)

    return turn


def loading(place: Place) -> Ours:
    """A turn of reading batches from the cache as a net reads them when it is tested."""
    scene, device = SCENES[place.scene], pick_device(place.device)
    pixels, rows = _cached(place, dataclasses.replace(_settings(scene), augment=()))
    batches, rows = picture_batches(pixels, device, parse(()), scene.size), rows.to(device)

    def turn(pictures: int, seed: int) -> Taken:
        chance = torch.Generator().manual_seed(seed)
        rounds = -(-pictures // len(rows))
        order = torch.cat([torch.randperm(len(rows), generator=chance) for _ in range(rounds)])
        started, before = time.perf_counter(), peer.cpu_seconds([])
        for start in range(0, pictures, peer.BATCH):
            batches(rows[order[start : start + peer.BATCH]], None)
        return Taken(pictures, time.perf_counter() - started, peer.cpu_seconds([]) - before)

    return turn


def _settings(scene: Scene) -> Settings:
    """The reference's recipe, but for the batch of one process and the precision."""
    return dataclasses.replace(
        PRESETS["reference"],
        model=scene.model or "small",
        stem="auto",
        size=scene.size,
        epochs=1,
        batch=peer.BATCH,
        schedule="constant",
        precision="auto",
    )


def _cached(place: Place, settings: Settings) -> tuple[np.ndarray, torch.Tensor]:
    """The pictures from Assay's cache, and the rows of the train split."""
    release = open_release(_folder(place), verify=False, workers=place.threads)
    size = parse(settings.augment).stored_size(settings.size)
    pictures = open_pictures(release, size, place.work / "cache", place.threads, _silent)
    return pictures.pixels, torch.tensor((release.manifest["split"] == "train").to_numpy().nonzero()[0])


def _silent(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return items


def whole_command(name: str, args: argparse.Namespace) -> str | None:
    """`training.retrain` from its start to its report; a row, or None where it failed."""
    train, test = (200, 50) if args.quick else (5000, 1000)
    arms, seeds = (ARMS[:2], 2) if args.quick else (ARMS, 10)
    folder = make_release(args.work / f"pictures-{train}", train, test, 160, 120)
    with tempfile.TemporaryDirectory(dir=args.work) as run:
        command = [sys.executable, "-m", "training.retrain", str(folder), "-o", f"{run}/run", "--json"]
        command += ["--preset", name, "--arms", ",".join(arms), "--seeds", str(seeds)]
        command += ["--threads", str(args.threads), "--device", args.device]
        started, before = time.perf_counter(), _children()
        done = subprocess.run(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True)
        wall, cpu = time.perf_counter() - started, _children() - before
    if done.returncode:
        return None
    accuracy = json.loads(done.stdout)["arms"]["majority"]["top1"]["value"]
    return (
        f"{name:>10} {len(arms)} arms x {seeds} seeds, {train:,} + {test:,} pictures: {wall:.0f} s, "
        f"{cpu:.0f} CPU s; majority {100 * accuracy:.1f}% right"
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", metavar="A,B", help="scenes (default: all)")
    parser.add_argument("--quick", action="store_true", help="a few pictures, one turn: does it run?")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns of each side (default: 5)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cores, metavar="N", help="(default: the cores)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default: cpu)")
    parser.add_argument("--work", type=Path, default=WORK, metavar="FOLDER", help="pictures and caches")
    return parser


if __name__ == "__main__":
    sys.exit(main())
