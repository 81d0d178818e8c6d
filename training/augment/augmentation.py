"""A plan put to work on batches."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from training.augment import colour, erasing, geometry, mixing, randaugment
from training.augment.plan import Plan

RESIZED, CROPPED = 256, 224
"""The reference recipe resizes test pictures to 256 and cuts out the central 224: the same share here."""


@dataclass(frozen=True)
class Augmentation:
    """What is done to a batch in training. Made by `training.augment.parse`."""

    plan: Plan

    @property
    def mixes(self) -> bool:
        """Whether `mix` changes anything; labels are then floats."""
        return bool(self.plan.mixup or self.plan.cutmix)

    @property
    def on_pixels(self) -> bool:
        """Whether more is asked than mirrored views and mixup, so that kept features do not serve."""
        light = ("flip", "mixup")
        return any(
            getattr(self.plan, item.name) != item.default
            for item in fields(self.plan)
            if item.name not in light
        )

    def stored_size(self, size: int) -> int:
        """Pixels a side of the cached pictures for a net of `size`: with `crop` there is more to cut from."""
        return size if self.plan.crop is None else round(size * RESIZED / CROPPED)

    def pixels(self, x: Tensor, chance: torch.Generator, size: int | None = None) -> Tensor:
        """Pictures as the net is to see them in training.

        Args:
            x: uint8[n, 3, height, width], in any memory format, on `chance`'s device.
            size: pixels a side of what comes out; without it as `x`, which must then be square.

        Returns:
            uint8 or float32 [n, 3, size, size], both from 0 to 255.
        """
        plan, size = self.plan, size or x.shape[3]
        rounds = randaugment.drawn(plan.randaugment, x, chance) if plan.randaugment else []
        x = geometry.moved(x, plan, [randaugment.moves(step, size) for step in rounds], size, chance)
        for step in rounds:
            x = randaugment.recoloured(x, step)
        x = colour.jittered(x, plan, chance)
        return erasing.erased(x, plan.erase, chance) if plan.erase else x

    def mix(self, x: Tensor, targets: Tensor, classes: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and labels mixed with those of the batch's next picture; as they are where nothing is asked.

        `x`: float[n, 3, h, w] (or [n, features], for mixup alone). `targets`: int64[n] classes or
        float[n, classes]. Returns floats of `x`'s shape, and float32[n, classes].
        """
        return mixing.mixed(x, mixing.shares(targets, classes), self.plan.mixup, self.plan.cutmix, chance)
