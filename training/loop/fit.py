"""Teach one net one labelling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import networks
from training.backbone import autocast
from training.loop.chance import seed_layers, step_key
from training.loop.failures import DivergedError, explained
from training.loop.inputs import Inputs
from training.loop.memory import ShortOfMemory, in_parts, in_words, out_of_memory
from training.loop.optimise import Average, optimizer_for, rate_at, set_rate, shape_gradients
from training.loop.order import class_weights, epoch_order, labels_of
from training.loop.predict import measure
from training.loop.snapshot import Snapshots
from training.ranks import ALONE, FirstFailed, Ranks, lost
from training.settings import Settings


@dataclass(frozen=True)
class Fitted:
    """`losses`: mean training loss of each epoch. `val`: (loss, accuracy) of each, where there was something
    to measure by. `notes`: what the user should know. `seconds`: of all invocations together."""

    losses: list[float]
    val: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Validation:
    """Pictures to measure by after each epoch, never test's. `rows`, `labels`: int64[n]."""

    rows: Tensor
    labels: Tensor


class Watch(Protocol):
    """Whoever watches a training; nothing depends on it."""

    def epoch(self, number: int, loss: float, val: tuple[float, float] | None) -> None:
        """An epoch (1, 2, …) ended, with its mean training loss and, if measured, val loss and accuracy."""


def fit(
    net: nn.Module,
    inputs: Inputs,
    rows: Tensor,
    targets: Tensor,
    settings: Settings,
    seed: int,
    *,
    pictures: int | None = None,
    val: Validation | None = None,
    snapshots: Snapshots | None = None,
    watch: Watch | None = None,
    ranks: Ranks = ALONE,
) -> Fitted:
    """Train `net` in place, from its snapshot where there is one.

    Args:
        rows: int64[n], the train pictures, on the device that computes.
        targets: int64[n] classes or float32[n, classes].
        pictures: as many steps are taken as for so many (default: n), the n being gone through more often.
        val: needed for early stopping (`settings.patience`).
        ranks: the processes that share each batch.

    Raises:
        DivergedError: the loss stopped being a number; noticed when the epoch ends.
        ShortOfMemory, CompileFailed, NotDeterministic, RankLost: as their names say.
    """
    training = _Training(net, inputs, rows, targets, settings, seed, pictures or len(rows), ranks)
    try:
        return training.run(val, snapshots, watch)
    except RuntimeError as error:
        raise explained(error, settings) from None


class _Training:
    """The state of one training, and its steps."""

    def __init__(
        self,
        net: nn.Module,
        inputs: Inputs,
        rows: Tensor,
        targets: Tensor,
        settings: Settings,
        seed: int,
        pictures: int,
        ranks: Ranks,
    ) -> None:
        self.net, self.inputs, self.settings, self.seed, self.ranks = net, inputs, settings, seed, ranks
        self.rows, self.targets, self.device = rows, targets, rows.device
        self.labels = labels_of(targets).cpu()
        self.size = min(settings.batch, pictures)
        self.per_epoch = max(1, pictures // self.size)
        self.chance = torch.Generator(device=self.device)
        self.optimizer = optimizer_for(net, settings)
        self.taught = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.average = Average(net, settings.ema) if settings.ema else None
        self.model: Callable[[Tensor], Any] = ranks.wrap(net, self.device)
        if settings.compile:
            self.model = torch.compile(self.model)
        self.weights: Tensor | None = None
        if settings.balance == "weights":
            self.weights = class_weights(self.labels, inputs.classes).to(self.device)
        self.first_buffers = [buffer.clone() for buffer in net.buffers()]
        self.epoch = self.index = 0
        self.parts = 1
        self.total = torch.zeros((), device=self.device)
        self.losses: list[float] = []
        self.val: list[tuple[float, float]] = []
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.good: tuple[str, dict[str, Tensor]] | None = None
        self.started = time.monotonic()

    def run(self, val: Validation | None, snapshots: Snapshots | None, watch: Watch | None) -> Fitted:
        """All epochs that are missing."""
        if snapshots and (state := snapshots.load(self.device)):
            self._restore(state)
        while self.epoch < self.settings.epochs and not self._finished():
            self._teach_epoch(snapshots)
            loss = float(self.ranks.total(self.total)) / self.per_epoch / self.ranks.world
            if not math.isfinite(loss):
                self._diverged(snapshots)
            self.losses.append(loss)
            self.epoch, self.index = self.epoch + 1, 0
            self.total.zero_()
            if val:
                self._measure(val)
            if snapshots:
                self.good = (f"after epoch {self.epoch}", networks.copied_weights(self._tested()))
            if watch:
                watch.epoch(self.epoch, loss, self.val[-1] if val else None)
            if snapshots and self.epoch < self.settings.epochs and snapshots.due(self.epoch):
                snapshots.save(self._state())
        if self.best:
            networks.load_weights(self.net, self.best[1])
        elif self.average:
            networks.load_weights(self.net, networks.weights_of(self.average.net))
        return Fitted(self.losses, self.val, self._notes(), time.monotonic() - self.started)

    def _teach_epoch(self, snapshots: Snapshots | None) -> None:
        """The epoch's steps from `index` on. Nothing in here waits for the device but a snapshot."""
        networks.set_training(self.net)
        order = epoch_order(
            self.seed,
            self.epoch,
            self.labels,
            self.inputs.classes,
            self.per_epoch * self.size,
            self.settings.balance,
        ).to(self.device, non_blocking=True)
        while self.index < self.per_epoch:
            self._step(order[self.index * self.size : (self.index + 1) * self.size])
            self.index += 1
            if snapshots and self.index < self.per_epoch and snapshots.due():
                if math.isfinite(float(self.total)):
                    snapshots.save(self._state())
                elif self.ranks.world == 1:
                    self._diverged(snapshots)

    def _step(self, chosen: Tensor) -> None:
        step, steps = self.epoch * self.per_epoch + self.index, self.settings.epochs * self.per_epoch
        set_rate(self.optimizer, rate_at(step, steps, self.settings))
        key = step_key(self.seed, self.epoch, self.index, self.ranks.rank)
        self.chance.manual_seed(key)
        chosen = chosen[self.ranks.rank :: self.ranks.world]
        x, y = self.inputs.batches(self.rows[chosen], self.chance), self.targets[chosen]
        if self.inputs.mix:
            x, y = self.inputs.mix(x, y, self.chance)
        if self.ranks.world > 1:
            self._accumulate_with_others(x, y, key)
        else:
            self.parts = in_parts(
                lambda parts: self._accumulate(x, y, key, parts),
                min(self.parts, len(x)),
                len(x),
                self.device,
            )
        shape_gradients(self.taught, self.settings)
        self.optimizer.step()
        if self.average:
            self.average.update()

    def _accumulate(self, x: Tensor, y: Tensor, key: int, parts: int) -> None:
        """The gradients of a batch, taken in `parts`, and its loss."""
        if self.inputs.alone:
            seed_layers(key, self.device)
        if parts > self.parts and self.epoch == self.index == 0:
            with torch.no_grad():  # a failed attempt may have moved some statistics
                for buffer, first in zip(self.net.buffers(), self.first_buffers, strict=True):
                    buffer.copy_(first)
        self.optimizer.zero_grad(set_to_none=True)
        found = torch.zeros_like(self.total)
        for some_x, some_y in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
            with autocast(self.device, self.inputs.precision):
                output = self.model(some_x)
            loss = self._loss(output, some_y) * (len(some_x) / len(x))
            loss.backward()
            found += loss.detach()
        self.total += found

    def _accumulate_with_others(self, x: Tensor, y: Tensor, key: int) -> None:
        try:
            self._accumulate(x, y, key, 1)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise lost(error) from None
            raise ShortOfMemory(
                f"there is no memory for {len(x)} pictures in each of {self.ranks.world} processes; "
                "give a smaller --batch"
            ) from None

    def _loss(self, output: Any, targets: Tensor) -> Tensor:
        """Cross-entropy in fp32, of auxiliary outputs too, by their recipe's share."""
        smoothing = self.settings.label_smoothing
        counted = None
        if self.weights is not None:
            counted = targets @ self.weights if targets.ndim == 2 else self.weights[targets]
        loss = torch.zeros((), device=self.device)
        for share, scores in zip(
            (1.0, *networks.aux_shares(output)), networks.scores_of(output), strict=True
        ):
            if counted is None:
                own = cross_entropy(scores.float(), targets, label_smoothing=smoothing)
            else:
                each = cross_entropy(scores.float(), targets, label_smoothing=smoothing, reduction="none")
                own = (each * counted).mean()
            loss = loss + share * own
        return loss

    def _tested(self) -> nn.Module:
        return self.average.net if self.average else self.net

    def _measure(self, val: Validation) -> None:
        """Measure what would be tested now, and keep it where it is the best so far."""
        # Statistics of batch normalisation differ between processes: the first one's count.
        measured = self.ranks.told(lambda: measure(self._tested(), self.inputs, val.rows, val.labels))
        self.val.append(measured)
        if self.settings.patience and (self.best is None or measured[0] < self.best[0]):
            self.best = (measured[0], networks.copied_weights(self._tested()))

    def _finished(self) -> bool:
        """Whether early stopping ends it."""
        if not (self.settings.patience and self.val):
            return False
        losses = [loss for loss, _ in self.val]
        return len(losses) - 1 - losses.index(min(losses)) >= self.settings.patience

    def _notes(self) -> list[str]:
        return [in_words(self.size, self.parts)] if self.parts > 1 else []

    def _diverged(self, snapshots: Snapshots | None) -> None:
        if not self.ranks.first:
            raise FirstFailed
        kept = "no weights before that are kept"
        if snapshots and self.good and snapshots.writes:
            kept = f"the weights {self.good[0]} are kept in {snapshots.keep(self.good[1])}"
        raise DivergedError(
            f"the loss stopped being a number in epoch {self.epoch + 1} of {self.settings.epochs}; {kept}; "
            f"try a smaller learning rate than --lr {self.settings.lr:g}"
        )

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "index": self.index,
            "parts": self.parts,
            "total": self.total,
            "losses": self.losses,
            "val": [list(pair) for pair in self.val],
            "net": networks.weights_of(self.net),
            "optimizer": self.optimizer.state_dict(),
            "average": networks.weights_of(self.average.net) if self.average else None,
            "steps": self.average.steps if self.average else 0,
            "best": list(self.best) if self.best else None,
            "seconds": time.monotonic() - self.started,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.index, self.parts = state["epoch"], state["index"], state["parts"]
        self.total = state["total"].to(self.device)
        self.losses, self.val = state["losses"], [(loss, accuracy) for loss, accuracy in state["val"]]
        networks.load_weights(self.net, state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            networks.load_weights(self.average.net, state["average"])
            self.average.steps = state["steps"]
        self.best = (state["best"][0], state["best"][1]) if state["best"] else None
        self.good = (
            f"of epoch {self.epoch + bool(self.index)}",
            networks.copied_weights(self._tested()),
        )
        self.started = time.monotonic() - state["seconds"]
