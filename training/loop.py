"""The training loop: same initialisation and order in every arm of a seed, last weights, no choice on test.

It serves heads on features and whole networks alike; only what turns a batch of rows into the net's input
differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.backbone import autocast
from training.networks import main_logits
from training.presets import Settings

# rows of a batch and a random generator (None: evaluation, no augmentation) -> the net's input
Batches = Callable[[Tensor, torch.Generator | None], Tensor]
EVALUATION_BATCH = 256


class DivergedError(RuntimeError):
    """The loss is no number any more; the message is one line for the user."""


@dataclass(frozen=True)
class Fitted:
    """`losses`: mean training loss of each epoch."""

    losses: list[float]


def optimizer_for(net: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser; biases and normalisation weights are not decayed."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.lr, fused=True)
    return torch.optim.AdamW(groups, lr=settings.lr, fused=True)


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Share of the full learning rate: linear warm-up, then a cosine to 0."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def fit(
    net: nn.Module,
    batches: Batches,
    rows: Tensor,
    targets: Tensor,
    settings: Settings,
    seed: int,
    precision: str,
    pictures: int | None = None,
) -> Fitted:
    """Train `net` in place.

    `rows`: int64[n], the train pictures. `targets`: int64[n] classes or float32[n, classes]. `pictures`: as
    many steps are taken as for so many (default: n), the n being gone through more often. Raises
    `DivergedError` at the end of the epoch in which the loss stopped being a number.
    """
    device = rows.device
    order = torch.Generator().manual_seed(seed)
    chance = torch.Generator(device=device).manual_seed(seed)
    pictures = pictures or len(rows)
    size = min(settings.batch, pictures)
    per_epoch = max(1, pictures // size)
    rounds = math.ceil(per_epoch * size / len(rows))
    steps = per_epoch * settings.epochs
    optimizer = optimizer_for(net, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate_at(s, steps, settings.warmup))
    losses = []
    net.train()
    for epoch in range(settings.epochs):
        turns = [torch.randperm(len(rows), generator=order) for _ in range(rounds)]
        shuffled = torch.cat(turns).to(device)
        total = torch.zeros((), device=device)
        for index in range(per_epoch):
            chosen = shuffled[index * size : (index + 1) * size]
            x = batches(rows[chosen], chance)
            with autocast(device, precision):
                scores = main_logits(net(x)).float()
            loss = cross_entropy(scores, targets[chosen], label_smoothing=settings.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        losses.append(float(total) / per_epoch)  # the only point of an epoch that waits for the device
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"the loss stopped being a number in epoch {epoch + 1} of {settings.epochs}; "
                f"try a smaller learning rate than --lr {settings.lr:g}"
            )
    return Fitted(losses)


def predict(net: nn.Module, batches: Batches, rows: Tensor, precision: str) -> Tensor:
    """float32[n, classes], class probabilities of `rows`, on the CPU."""
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), EVALUATION_BATCH):
            x = batches(rows[start : start + EVALUATION_BATCH], None)
            with autocast(rows.device, precision):
                scores = main_logits(net(x)).float()
            parts.append(scores.softmax(1).cpu())
    return torch.cat(parts)
