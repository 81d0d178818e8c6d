"""In which order pictures are shown, and how uneven classes are made even."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.loop.chance import order_generator


def labels_of(targets: Tensor) -> Tensor:
    """int64[n]: classes, of soft targets (float[n, classes]) the likeliest."""
    return targets.argmax(1) if targets.ndim == 2 else targets


def epoch_order(seed: int, epoch: int, labels: Tensor, classes: int, needed: int, balance: str) -> Tensor:
    """int64[needed or more], positions in `labels` (int64[n], on the CPU), to be read from the front.

    All pictures are gone through in a random order as often as needed. `oversample` repeats those of rare
    classes in each turn until all classes have as many, `undersample` leaves out some of the frequent ones,
    others in each turn. The random numbers depend on seed and epoch alone: they are the same in every arm.
    """
    generator = order_generator(seed, epoch)
    if balance not in ("oversample", "undersample"):
        rounds = math.ceil(needed / len(labels))
        return torch.cat([torch.randperm(len(labels), generator=generator) for _ in range(rounds)])
    counts = torch.bincount(labels, minlength=classes)
    wanted = int(counts.max()) if balance == "oversample" else int(counts[counts > 0].min())
    turns: list[Tensor] = []
    while sum(map(len, turns)) < needed:
        # One number for each picture, whatever its label is in this arm.
        shuffled = torch.randperm(len(labels), generator=generator)
        own = labels[shuffled]
        parts = []
        for label in counts.nonzero().flatten().tolist():
            members = shuffled[own == label]
            parts.append(members.repeat(math.ceil(wanted / len(members)))[:wanted])
        turn = torch.cat(parts)
        turns.append(turn[torch.randperm(len(turn), generator=generator)])
    return torch.cat(turns)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """float32[classes]: what pictures of each class count, so that all classes count alike and the mean
    picture of int64[n] `labels` counts 1. Classes without a picture count 1: no label names them."""
    counts = torch.bincount(labels, minlength=classes).float()
    present = int((counts > 0).sum())
    return torch.where(counts > 0, len(labels) / (present * counts.clamp_min(1)), 1.0)
