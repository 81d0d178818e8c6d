"""What all trainings of a run share, and one of them: an arm under a seed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training import networks
from training.arms import Labellings, Targets
from training.augment import Augmentation
from training.backbone import open_features
from training.batches import FeatureBatches, picture_batches
from training.cache import Pictures
from training.loop import Inputs, Snapshots, Validation, Watch, fit, predict
from training.loop.allocator import keep_freed_memory
from training.ranks import ALONE, Ranks
from training.release import Release
from training.settings import Settings, SettingsError
from training.store import PairResult

Wrap = Callable[[Iterable[Any], int, str], Iterable[Any]]
_SEEDING = threading.Lock()  # layers draw their first weights from torch's one global generator


@dataclass(frozen=True)
class Machine:
    """Where a run is computed. Only `threads`, the kind of device and `sharing` touch its bits.

    `ranks`: all processes of the run. `sharing`: those that share each batch; alone where they share out the
    pairs. `save_epochs`: epochs between two snapshots of a training, 0: by time alone.
    """

    device: torch.device
    threads: int = 1
    ranks: Ranks = ALONE
    sharing: Ranks = ALONE
    save_epochs: int = 0
    tensorboard: Path | None = None


@dataclass(frozen=True)
class Bench:
    """What all pairs of a run share: the inputs on the device, and how to build the net.

    `train`, `test`: int64, rows of the cache. `fresh`: a new net; see `build`. `kept_features`: nets are
    heads on features that were computed once.
    """

    inputs: Inputs
    fresh: Callable[[], nn.Module]
    train: torch.Tensor
    test: torch.Tensor
    device: torch.device
    kept_features: bool = False
    val: Validation | None = None

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.inputs.classes

    def taught_by(self, targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the cache that an arm is taught (int64[n]), and int64[n] classes or float32[n, classes]."""
        taught = torch.from_numpy(targets.labels if targets.soft is None else targets.soft).to(self.device)
        if targets.rows is None:
            return self.train, taught
        chosen = torch.from_numpy(targets.rows).to(self.device)
        return self.train[chosen], taught[chosen]

    @property
    def tested(self) -> Inputs:
        """The inputs when a net is tested: a head costs nothing then, and fp32 keeps small differences."""
        return replace(self.inputs, precision="fp32") if self.kept_features else self.inputs


def pick_device(name: str, local: int = 0) -> torch.device:
    """`auto`: the GPU where there is one, `local` of several. ValueError where the device does not exist."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device here; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}; known are auto, cpu, cuda")
    if name == "cpu":
        return torch.device("cpu")
    if local >= torch.cuda.device_count():
        raise ValueError(f"{torch.cuda.device_count()} GPUs here; start one process for each, no more")
    return torch.device("cuda", local)


def pick_precision(asked: str, device: torch.device) -> str:
    """`auto`: bf16 where the processor multiplies it in hardware, fp32 elsewhere (emulated bf16 is slow)."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16" if fast or getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)() else "fp32"


def be_deterministic(asked: bool) -> None:
    """Let a GPU compute the same bits each time, or let it choose what is fastest. A CPU always does."""
    torch.backends.cudnn.benchmark = not asked
    if asked:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.use_deterministic_algorithms(asked)


def set_up(
    release: Release,
    pictures: Pictures,
    labellings: Labellings,
    test_rows: np.ndarray,
    settings: Settings,
    augmentation: Augmentation,
    recipe: networks.Recipe,
    machine: Machine,
    cache: Path,
    progress: Wrap,
) -> Bench:
    """Put the inputs of a run on the device. `test_rows`: int64, rows of the manifest to be tested on."""
    keep_freed_memory()
    device, classes = machine.device, len(release.classes)
    precision = pick_precision(settings.precision, device)
    train_rows = release.manifest.index[release.manifest["split"] == "train"].to_numpy()[labellings.rows]
    train = torch.from_numpy(train_rows.astype(np.int64)).to(device)
    test = torch.from_numpy(test_rows.astype(np.int64)).to(device)
    mix = None
    if augmentation.mixes:

        def mix(x: Any, targets: Any, chance: torch.Generator) -> Any:
            return augmentation.mix(x, targets, classes, chance)

    batches = picture_batches(
        pictures.pixels, device, augmentation, settings.size, normal=recipe.normalisation
    )
    alone = device.type != "cpu" or draws_at_random(recipe.fresh(), settings.size)
    bench = Bench(Inputs(batches, classes, precision, mix, alone), recipe.fresh, train, test, device)
    if not settings.head_only:
        return bench
    kind = f"{settings.model}-{recipe.digest}-{device.type}-{precision}"
    edge = (pictures.pixels.shape[1] - settings.size) // 2
    stored = open_features(
        pictures.pixels[:, edge : edge + settings.size, edge : edge + settings.size],
        recipe.backbone,
        cache / f"{release.fingerprint[:24]}-{settings.size}-{kind}.npy",
        device,
        precision,
        machine.threads,
        progress,
    )
    features = torch.from_numpy(stored).to(device)
    mirrored = augmentation.plan.flip
    seen = features[:, train].flatten(0, 1) if mirrored else features[0, train]

    def top() -> nn.Module:
        return networks.head(seen, classes, settings.hidden, settings.dropout or 0.0)

    if augmentation.on_pixels:
        alone = alone or bool(settings.dropout)
        inputs = replace(bench.inputs, alone=alone)
        return replace(bench, inputs=inputs, fresh=lambda: networks.OnFrozen(recipe.trunk(), top()))
    # A linear head is too small to gain from bf16.
    taught_in = precision if settings.hidden and device.type == "cpu" else "fp32"
    dropped = bool(settings.dropout)
    inputs = Inputs(FeatureBatches(features, mirrored), classes, taught_in, mix, alone=dropped)
    return replace(bench, inputs=inputs, fresh=top, kept_features=True)


def validation(
    release: Release, readable: np.ndarray, device: torch.device
) -> tuple[Validation | None, str | None]:
    """What to measure by after each epoch, and a warning where it is less than references.

    Val pictures with a reference where there are such, else all of them under the release's own labels, which
    are the same in every arm. None where there is no val picture.
    """
    manifest, index = release.manifest, release.class_index()
    inside = (manifest["split"] == "val").to_numpy(dtype=bool) & readable
    truth = manifest["reference"].map(index).fillna(-1).to_numpy(dtype=np.int64)
    warning = None
    if not (inside & (truth >= 0)).any():
        truth = manifest["category"].map(index).fillna(-1).to_numpy(dtype=np.int64)
        warning = "val pictures have no references: early stopping looks at the release's labels of them"
    rows = np.flatnonzero(inside & (truth >= 0))
    if not len(rows):
        return None, None
    return Validation(torch.from_numpy(rows).to(device), torch.from_numpy(truth[rows])), warning


def draws_at_random(net: nn.Module, size: int) -> bool:
    """Whether the net (on the CPU) draws from torch's one generator when it is taught, as dropout does."""
    networks.set_training(net)
    with _SEEDING, torch.no_grad():
        before = torch.get_rng_state()
        net(torch.zeros(2, 3, size, size))
        return not torch.equal(before, torch.get_rng_state())


def build(bench: Bench, seed: int) -> nn.Module:
    """A fresh net on the device; its first weights depend on the seed alone."""
    with _SEEDING:
        torch.manual_seed(seed)
        net = bench.fresh()
    net = net.to(bench.device)
    return net if bench.kept_features else net.to(memory_format=torch.channels_last)


def train_pair(
    bench: Bench,
    targets: Targets,
    settings: Settings,
    seed: int,
    *,
    snapshots: Snapshots | None = None,
    watch: Watch | None = None,
    sharing: Ranks = ALONE,
) -> tuple[nn.Module, PairResult]:
    """One arm under one seed: initialisation and order depend on the seed alone, never on the arm."""
    net = build(bench, seed)
    rows, taught = bench.taught_by(targets)
    fitted = fit(
        net,
        bench.inputs,
        rows,
        taught,
        settings,
        seed,
        pictures=len(bench.train),
        val=bench.val,
        snapshots=snapshots,
        watch=watch,
        ranks=sharing,
    )
    probabilities = predict(net, bench.tested, bench.test).numpy() if sharing.first else np.zeros((0, 0))
    result = PairResult(
        probabilities, np.array(fitted.losses), fitted.seconds, np.array(fitted.val), tuple(fitted.notes)
    )
    return net, result


def check_batch(settings: Settings, sharing: Ranks) -> None:
    """Raise `SettingsError` if the processes cannot share a batch evenly."""
    if settings.batch % sharing.world:
        raise SettingsError(f"batch {settings.batch} cannot be shared evenly by {sharing.world} processes")
