"""Train every (arm, seed) pair of a run and keep what it found."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training import augment, networks
from training.arms import Labellings, Targets
from training.backbone import open_features
from training.batches import feature_batches, picture_batches
from training.cache import Pictures
from training.loop import Batches, fit, predict
from training.presets import Settings
from training.release import Release
from training.store import PairResult, RunFolder

Wrap = Callable[[Iterable[Any], int, str], Iterable[Any]]
_SEEDING = threading.Lock()  # layers draw their first weights from torch's one global generator


@dataclass(frozen=True)
class Bench:
    """What all pairs of a run share: the inputs on the device, and how to build the net.

    `train`, `test`: int64, rows of the cache. `fresh`: a new net; see `build`.
    """

    batches: Batches
    fresh: Callable[[], nn.Module]
    classes: int
    train: torch.Tensor
    test: torch.Tensor
    precision: str
    device: torch.device


def pick_device(name: str) -> torch.device:
    """`auto`: the GPU where there is one. Raises ValueError where the device does not exist."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}; known are auto, cpu, cuda")
    return torch.device(name)


def pick_precision(asked: str, device: torch.device) -> str:
    """`auto`: bf16 where the processor multiplies it in hardware, fp32 elsewhere (emulated bf16 is slow)."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16" if fast or getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)() else "fp32"


def set_up(
    release: Release,
    pictures: Pictures,
    labellings: Labellings,
    test_rows: np.ndarray,
    settings: Settings,
    device: torch.device,
    cache: Path,
    threads: int,
    progress: Wrap,
) -> Bench:
    """Put the inputs of a run on the device. `test_rows`: int64, rows of the manifest to be tested on."""
    precision = pick_precision(settings.precision, device)
    train_rows = release.manifest.index[release.manifest["split"] == "train"].to_numpy()[labellings.rows]
    train = torch.from_numpy(train_rows.astype(np.int64)).to(device)
    test = torch.from_numpy(test_rows.astype(np.int64)).to(device)
    classes = len(release.classes)
    if settings.model != networks.FROZEN:
        networks.from_scratch(settings.model, classes)  # an unknown name fails before the first epoch
        augmentation = augment.parse(
            ("flip",) * settings.flip + (f"shift={settings.shift}",) * bool(settings.shift)
        )
        batches = picture_batches(pictures.pixels, device, augmentation, settings.size)
        return Bench(
            batches,
            lambda: networks.from_scratch(settings.model, classes),
            classes,
            train,
            test,
            precision,
            device,
        )
    file = (
        cache / f"{release.fingerprint[:24]}-{settings.size}-{settings.model}-{device.type}-{precision}.npy"
    )
    stored = open_features(pictures.pixels, file, device, precision, threads, progress)
    features = torch.from_numpy(stored).to(device)
    views = features[:, train].flatten(0, 1) if settings.flip else features[0, train]
    return Bench(
        feature_batches(features, settings.flip),
        lambda: networks.head(views, classes, settings.hidden),
        classes,
        train,
        test,
        "fp32",  # a head is too small to gain from bf16
        device,
    )


def build(bench: Bench, settings: Settings, seed: int) -> nn.Module:
    """A fresh net on the device; its first weights depend on the seed alone."""
    with _SEEDING:
        torch.manual_seed(seed)
        net = bench.fresh()
    net = net.to(bench.device)
    return net if settings.model == networks.FROZEN else net.to(memory_format=torch.channels_last)


def train_pair(bench: Bench, targets: Targets, settings: Settings, seed: int) -> tuple[nn.Module, PairResult]:
    """One arm under one seed: initialisation and order depend on the seed alone, never on the arm."""
    started = time.monotonic()
    net = build(bench, settings, seed)
    taught = torch.from_numpy(targets.labels if targets.soft is None else targets.soft).to(bench.device)
    train, pictures = bench.train, len(bench.train)
    if targets.rows is not None:
        chosen = torch.from_numpy(targets.rows).to(bench.device)
        train, taught = train[chosen], taught[chosen]
    fitted = fit(net, bench.batches, train, taught, settings, seed, bench.precision, pictures)
    probabilities = predict(net, bench.batches, bench.test, bench.precision)
    seconds = time.monotonic() - started
    return net, PairResult(probabilities.numpy(), np.array(fitted.losses), seconds)


def run_pairs(
    bench: Bench, labellings: Labellings, settings: Settings, folder: RunFolder, threads: int, progress: Wrap
) -> dict[str, list[PairResult]]:
    """All pairs, seed by seed, so that an early end leaves the arms even; finished ones are read.

    Heads on the CPU are trained side by side, one thread each: on matrices this small, threads that share one
    training mostly wait for each other, ten times longer where other programs hold the cores.
    """
    pairs = [(arm, seed) for seed in range(settings.seeds) for arm in labellings.arms]
    folder.plan(len(pairs))
    side_by_side = settings.model == networks.FROZEN and bench.device.type == "cpu"

    def one(pair: tuple[str, int]) -> PairResult:
        arm, seed = pair
        result = folder.load(arm, seed)
        if result is None:
            net, result = train_pair(bench, labellings.targets(arm, seed), settings, seed)
            _save_checkpoint(folder.checkpoints / f"{arm}-{seed}.pt", net)
            folder.save(arm, seed, result)
        return result

    if side_by_side:
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            results = list(progress(pool.map(one, pairs), len(pairs), "train"))
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        results = [one(pair) for pair in progress(pairs, len(pairs), "train")]
    found: dict[str, list[PairResult]] = {arm: [] for arm in labellings.arms}
    for (arm, _), result in zip(pairs, results, strict=True):
        found[arm].append(result)
    return found


def _save_checkpoint(file: Path, net: nn.Module) -> None:
    """The last weights as a plain state dict, readable with `weights_only=True`."""
    part = file.with_suffix(".part")
    weights = {name: value.cpu().contiguous() for name, value in net.state_dict().items()}
    with part.open("wb") as stream:
        torch.save(weights, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
