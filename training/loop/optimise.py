"""How weights move: optimisers, learning rate, penalties, and the moving average of weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from training.networks import head_parameters
from training.settings import Settings


def optimizer_for(net: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser over all that is taught.

    Biases and normalisation weights are not decayed, unless `decay_all`; all but the head takes a share of
    the learning rate, `backbone_lr`.
    """
    head = {id(parameter) for parameter in head_parameters(net)}
    groups: list[dict[str, Any]] = []
    for in_head in (False, True):
        for decayed in (True, False):
            chosen = [
                p
                for p in net.parameters()
                if p.requires_grad
                and (id(p) in head) == in_head
                and (p.ndim > 1 or settings.decay_all) == decayed
            ]
            rate = settings.lr * (1.0 if in_head else settings.backbone_lr)
            decay = settings.weight_decay if decayed else 0.0
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "lr": rate, "full_lr": rate})
    if settings.optimizer == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True
        )
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.lr, fused=True)
    return torch.optim.AdamW(groups, lr=settings.lr, fused=True)


def rate_at(step: int, steps: int, settings: Settings) -> float:
    """Share of the full learning rate: linear warm-up, then the schedule's; cosine ends at 0."""
    rising = math.ceil(settings.warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
    if settings.schedule == "step":
        epoch = step * settings.epochs // steps
        return settings.step_factor ** (epoch // settings.step_epochs)
    return 1.0


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Let every group take `share` of its full learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * share


def shape_gradients(parameters: list[nn.Parameter], settings: Settings) -> None:
    """Add the penalties' gradients (l1 by sign, l2 by size; biases and normalisation are spared), then cut
    the whole to the largest norm."""
    if settings.l1 or settings.l2:
        with torch.no_grad():
            for p in parameters:
                if p.grad is not None and p.ndim > 1:
                    p.grad.add_(p, alpha=settings.l2)
                    p.grad.add_(p.sign(), alpha=settings.l1)
    if settings.clip:
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip)


class Average:
    """An exponential moving average of a net's weights and statistics (Polyak & Juditsky 1992).

    Early steps count less of the past: the decay of step t is at most (1 + t) / (10 + t).
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        self.decay, self.steps = decay, 0
        self._own, self._other = _tensors(self.net), _tensors(net)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of the step just made."""
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for own, other in zip(self._own, self._other, strict=True):
            if own.is_floating_point():
                own.lerp_(other, share)
            else:
                own.copy_(other)


def _tensors(net: nn.Module) -> list[Tensor]:
    """Weights that are taught, and statistics."""
    return [*net.parameters(), *net.buffers()]
