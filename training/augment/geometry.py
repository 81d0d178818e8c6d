"""What moves pixels: one map a picture, from the places of the new picture to those of the old one.

Places are counted from the centre in pixels (x right, y down). What falls outside of the old picture is its
mirror image. Whole-pixel moves are looked up and change no value; others are bilinear.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.augment import boxes
from training.augment.plan import Plan

RATIOS = (3 / 4, 4 / 3)
"""Widths over heights of random crops (Szegedy et al. 2015, "Going deeper with convolutions", section 6)."""


def moved(x: Tensor, plan: Plan, more: list[Tensor], size: int, chance: torch.Generator) -> Tensor:
    """uint8[n, 3, h, w] -> uint8 or float32 [n, 3, size, size].

    `more`: float[n, 3, 3], maps of later moves of the new picture.
    """
    resampled = bool(more) or plan.rotate or plan.scale != (1.0, 1.0) or plan.crop
    if not resampled:
        if x.shape[2:] != (size, size):
            raise ValueError(f"pictures of {tuple(x.shape[2:])} pixels cannot become {size} without a crop")
        return looked_up(x, plan, chance)
    first = drawn(x, plan, size, chance)
    for later in more:
        first = first @ later
    return sampled(x, first, size)


def looked_up(x: Tensor, plan: Plan, chance: torch.Generator) -> Tensor:
    """Flips and whole-pixel shifts of square pictures, by index."""
    n, _, size, _ = x.shape
    if not (plan.flip or plan.vflip or plan.shift):
        return x
    columns, rows = (
        _mirrored_index(_flips(n, asked, chance, x), _shifts(n, plan.shift, chance, x), size)
        for asked in (plan.flip, plan.vflip)
    )
    picture = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def drawn(x: Tensor, plan: Plan, size: int, chance: torch.Generator) -> Tensor:
    """float[n, 3, 3]: maps of flip, vflip, shift, rotate, scale and crop, in this order from the new side."""
    n, _, height, width = x.shape
    across, right = _flips(n, plan.flip, chance, x), _shifts(n, plan.shift, chance, x)
    down, low = _flips(n, plan.vflip, chance, x), _shifts(n, plan.shift, chance, x)
    turn = boxes.uniform(n, -plan.rotate, plan.rotate, chance) * (math.pi / 180)
    zoom = 1 / boxes.uniform(n, *plan.scale, chance)
    one, nought = torch.ones_like(turn), torch.zeros_like(turn)
    # The index path turns first and moves then: new place p reads the old one at flip * p + shift.
    mirror = matrix(1.0 - 2.0 * across, nought, right.float(), nought, 1.0 - 2.0 * down, low.float())
    cos, sin = turn.cos() * zoom, turn.sin() * zoom
    # y points down, so this turns the new picture counter-clockwise for positive angles.
    found = matrix(cos, -sin, nought, sin, cos, nought) @ mirror
    if plan.crop is None:
        return matrix(one * (width / size), nought, nought, nought, one * (height / size), nought) @ found
    box = boxes.drawn(n, height, width, plan.crop, RATIOS, chance)
    across_box, down_box = box.left + box.width / 2 - width / 2, box.top + box.height / 2 - height / 2
    cut = matrix(box.width / size, nought, across_box, nought, box.height / size, down_box)
    return cut @ found


def matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor) -> Tensor:
    """float[n, 3, 3] of x' = ax + by + c, y' = dx + ey + f; each float[n]."""
    nought, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, c, d, e, f, nought, nought, one], 1).reshape(-1, 3, 3)


def sampled(x: Tensor, maps: Tensor, size: int) -> Tensor:
    """float32[n, 3, size, size]: `x` (0 to 255) read bilinearly where `maps` (float[n, 3, 3]) point."""
    n, channels, height, width = x.shape
    # affine_grid counts places from -1 to 1 across a picture instead of in pixels.
    per_pixel = torch.tensor([[2 / width], [2 / height]], device=x.device)
    across = torch.tensor([size / 2, size / 2, 1.0], device=x.device)
    theta = maps[:, :2] * per_pixel * across
    grid = affine_grid(theta, [n, channels, size, size], align_corners=False)
    return grid_sample(
        x.float().contiguous(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _flips(n: int, asked: bool, chance: torch.Generator, x: Tensor) -> Tensor:
    """int64[n] of 0 and 1: which pictures are mirrored."""
    if not asked:
        return torch.zeros(n, dtype=torch.int64, device=x.device)
    return torch.randint(0, 2, (n,), generator=chance, device=x.device)


def _shifts(n: int, most: int, chance: torch.Generator, x: Tensor) -> Tensor:
    """int64[n] from -most to most."""
    if not most:
        return torch.zeros(n, dtype=torch.int64, device=x.device)
    return torch.randint(-most, most + 1, (n,), generator=chance, device=x.device)


def _mirrored_index(flip: Tensor, shift: Tensor, size: int) -> Tensor:
    """int64[n, size]: which old column (or row) each new one shows."""
    new = torch.arange(size, device=flip.device)
    old = torch.where(flip[:, None] == 1, size - 1 - new, new) + shift[:, None]
    old = old.remainder(2 * size)
    return torch.where(old < size, old, 2 * size - 1 - old)
