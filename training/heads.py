"""Many heads at once: those that see the same pictures in the same order share every batch.

The arms of a seed do, where they keep all pictures. Sharing saves reading and scaling the features for each
of them, and much of a step's fixed cost. Every head has weights, gradients and sums in tensors of its own, so
that it ends with the same bits whatever is trained beside it. One thread trains a group: on matrices this
small, threads that share one mostly wait for each other.

Milliseconds a head and step of 128 pictures, lite0's 1,280 features, 10 classes, one core without AMX:

| head | alone, fp32 | 4 at once, fp32 | 4 at once, bf16 |
|---|---|---|---|
| 256 hidden | 2.8 | 2.6 | 1.6 |
| linear | 0.66 | 0.37 | 0.38 |
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import networks
from training.augment.mixing import shares
from training.backbone import autocast
from training.batches import FeatureBatches
from training.loop.chance import step_key
from training.loop.failures import DivergedError
from training.loop.fit import Fitted, Watch
from training.loop.inputs import Inputs
from training.loop.optimise import optimizer_for, rate_at, set_rate, shape_gradients
from training.loop.order import epoch_order, labels_of
from training.loop.snapshot import Snapshots
from training.settings import NONE, Settings

TOGETHER = 4
"""Heads of a group at most: eight gained 2% on four, and fewer share the cores more evenly."""
UNDERSTOOD = (
    *("preset", "model", "weights", "train", "stem", "size", "hidden", "epochs", "batch", "optimizer", "lr"),
    *("backbone_lr", "momentum", "nesterov", "schedule", "warmup", "step_epochs", "step_factor"),
    *("weight_decay", "decay_all", "l1", "l2", "clip", "label_smoothing", "augment", "precision"),
    *("deterministic", "confidence", "folds", "seeds", "arms"),
)
"""Settings that `fit_heads` heeds, or that change nothing for a head. Others must be the defaults."""


def suits(settings: Settings, inputs: Inputs) -> bool:
    """Whether `fit_heads` does all that is asked of heads on kept features."""
    plain = all(
        getattr(settings, item.name) == item.default
        for item in dataclasses.fields(settings)
        if item.name not in UNDERSTOOD
    )
    return plain and inputs.mix is None and not inputs.alone


def fit_heads(
    nets: Sequence[nn.Sequential],
    inputs: Inputs,
    rows: Tensor,
    targets: Sequence[Tensor],
    settings: Settings,
    seed: int,
    *,
    names: Sequence[str],
    pictures: int | None = None,
    snapshots: Snapshots | None = None,
    watches: Sequence[Watch] = (),
) -> list[Fitted]:
    """Train `nets` in place, each as `training.loop.fit` would (but for the last digits of its sums).

    Args:
        nets: heads on features, all with the same `Standardise` first; see `networks.head`.
        inputs, rows, seed, pictures: as for `fit`; shared by all. The batches are `FeatureBatches`.
        targets: for each head int64[n] classes or float32[n, classes].
        names: what messages call each head.
        watches: for each head who watches it, or none.

    Raises:
        DivergedError: the loss of a head stopped being a number; noticed when the epoch ends.
    """
    group = _Group(nets, inputs, rows, targets, settings, seed, pictures or len(rows))
    if snapshots and (state := snapshots.load(rows.device)):
        group.restore(state)
    while group.epoch < settings.epochs:
        good = [networks.copied_weights(net) for net in nets]
        group.teach_epoch()
        for name, loss, weights in zip(names, group.losses[-1], good, strict=True):
            if not math.isfinite(loss):
                raise DivergedError(f"{name}: {_diverged(group.epoch, settings, weights, snapshots)}")
        for watch, loss in zip(watches, group.losses[-1], strict=bool(watches)):
            watch.epoch(group.epoch, loss, None)
        if snapshots and group.epoch < settings.epochs and snapshots.due(group.epoch):
            snapshots.save(group.state())
    seconds = (time.monotonic() - group.started) / len(nets)
    return [Fitted(list(own), seconds=seconds) for own in zip(*group.losses, strict=True)]


def _diverged(epoch: int, settings: Settings, good: dict[str, Tensor], snapshots: Snapshots | None) -> str:
    """What to tell, and the weights before that epoch on disk, if there were any."""
    kept = "no weights before that are kept"
    if snapshots and snapshots.writes and epoch > 1:
        kept = f"the weights after epoch {epoch - 1} are kept in {snapshots.keep(good)}"
    return (
        f"the loss stopped being a number in epoch {epoch} of {settings.epochs}; {kept}; "
        f"try a smaller learning rate than --lr {settings.lr:g}"
    )


class _Group:
    """Where the training of some heads stands, and its steps."""

    def __init__(
        self,
        nets: Sequence[nn.Sequential],
        inputs: Inputs,
        rows: Tensor,
        targets: Sequence[Tensor],
        settings: Settings,
        seed: int,
        pictures: int,
    ) -> None:
        self.inputs, self.rows, self.settings, self.seed = inputs, rows, settings, seed
        self.heads = [net[1:].train() for net in nets]
        bits = torch.bfloat16 if inputs.precision == "bf16" else torch.float32
        assert isinstance(inputs.batches, FeatureBatches)
        self.batches = inputs.batches.scaled(nets[0][0], bits)
        self.targets = torch.stack([shares(own, inputs.classes) for own in targets])
        self.labels = labels_of(targets[0]).cpu()
        self.size = min(settings.batch, pictures)
        self.per_epoch = max(1, pictures // self.size)
        self.chance = torch.Generator(device=rows.device)
        self.optimizer = optimizer_for(nn.ModuleList(self.heads), settings)
        self.epoch = 0
        self.losses: list[list[float]] = []
        self.started = time.monotonic()

    def teach_epoch(self) -> None:
        """One epoch of all heads, and its mean losses."""
        needed = self.per_epoch * self.size
        order = epoch_order(self.seed, self.epoch, self.labels, self.inputs.classes, needed, NONE)
        order = order.to(self.rows.device)
        total = torch.zeros(len(self.heads), device=self.rows.device)
        for index in range(self.per_epoch):
            total += self._step(index, order[index * self.size : (index + 1) * self.size])
        self.losses.append((total / self.per_epoch).tolist())
        self.epoch += 1

    def _step(self, index: int, chosen: Tensor) -> Tensor:
        """float[heads]: the losses of one batch."""
        step, steps = self.epoch * self.per_epoch + index, self.settings.epochs * self.per_epoch
        set_rate(self.optimizer, rate_at(step, steps, self.settings))
        self.chance.manual_seed(step_key(self.seed, self.epoch, index, 0))
        x = self.batches(self.rows[chosen], self.chance)
        with autocast(self.rows.device, self.inputs.precision):
            scores = torch.stack([head(x) for head in self.heads]).float()
        wanted = self.targets[:, chosen]
        smoothing = self.settings.label_smoothing
        each = cross_entropy(
            scores.flatten(0, 1), wanted.flatten(0, 1), label_smoothing=smoothing, reduction="none"
        )
        losses = each.view(wanted.shape[:2]).mean(1)
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        for head in self.heads:
            shape_gradients(list(head.parameters()), self.settings)
        self.optimizer.step()
        return losses.detach()

    def state(self) -> dict[str, Any]:
        """All that later epochs depend on."""
        return {
            "epoch": self.epoch,
            "losses": self.losses,
            "heads": [head.state_dict() for head in self.heads],
            "optimizer": self.optimizer.state_dict(),
            "seconds": time.monotonic() - self.started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.epoch, self.losses = state["epoch"], state["losses"]
        for head, weights in zip(self.heads, state["heads"], strict=True):
            head.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.started = time.monotonic() - state["seconds"]
