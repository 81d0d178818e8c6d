"""RandAugment (Cubuk et al. 2020): some operations of one strength, drawn for each picture.

The operations and their ranges are torchvision.transforms.v2.RandAugment's. Its moves of pixels (shears,
shifts, turns) join the picture's one map and so come before the recolourings, and edges are mirrored where
it leaves black. Recolourings that look at one channel alone become a table of 256 values for each picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from training.augment import colour
from training.augment.geometry import matrix

OPERATIONS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness"),
    *("colour", "contrast", "sharpness", "posterise", "solarise", "autocontrast", "equalise"),
)
STRONGEST = 30
"""The magnitude at which an operation's range ends."""


@dataclass(frozen=True)
class Step:
    """One operation for each picture. `operation`: int64[n], places in OPERATIONS. `sign`: float[n], -1 or 1,
    of the operations that go both ways. `strength`: share of the operation's range."""

    operation: Tensor
    sign: Tensor
    strength: float

    def of(self, name: str) -> Tensor:
        """bool[n]: the pictures that this operation was drawn for."""
        return self.operation == OPERATIONS.index(name)

    def signed(self, name: str, most: float) -> Tensor:
        """float[n]: the magnitude where `name` was drawn, 0 elsewhere."""
        return torch.where(self.of(name), self.sign * (self.strength * most), 0.0)


def drawn(asked: tuple[int, int], x: Tensor, chance: torch.Generator) -> list[Step]:
    """`asked`: how many operations, and their magnitude from 0 to STRONGEST."""
    steps = []
    for _ in range(asked[0]):
        operation = torch.randint(0, len(OPERATIONS), (len(x),), generator=chance, device=x.device)
        sign = torch.randint(0, 2, (len(x),), generator=chance, device=x.device) * 2.0 - 1.0
        steps.append(Step(operation, sign, asked[1] / STRONGEST))
    return steps


def moves(step: Step, size: int) -> Tensor:
    """float[n, 3, 3]: maps of the step's shears, shifts and turns in pictures of `size` pixels."""
    across, down = step.signed("shear_x", 0.3), step.signed("shear_y", 0.3)
    most = 150 / 331 * size
    right, low = step.signed("translate_x", most).trunc(), step.signed("translate_y", most).trunc()
    turn = step.signed("rotate", 30.0) * (math.pi / 180)
    cos, sin = turn.cos(), turn.sin()
    half = size / 2
    # Shears keep the upper left corner in its place, turns the centre.
    return matrix(cos, across - sin, across * half - right, sin + down, cos, down * half - low)


def recoloured(x: Tensor, step: Step) -> Tensor:
    """uint8[n, 3, h, w] of the same shape ([…], 0 to 255) with the step's other operations."""
    x = x if x.dtype == torch.uint8 else x.round().to(torch.uint8)
    x = _through_tables(x, step)
    changed = colour.saturated(x.float(), 1 + step.signed("colour", 0.9))
    changed = sharpened(changed, 1 + step.signed("sharpness", 0.9))
    return changed.to(torch.uint8)


def sharpened(x: Tensor, factor: Tensor) -> Tensor:
    """Towards a blur of 3 x 3 (0), as it is (1), or beyond; the outermost pixels stay. Floats."""
    if min(x.shape[2:]) < 3:
        return x
    kernel = torch.ones(3, 3, device=x.device)
    kernel[1, 1] = 5
    blur = conv2d(x, (kernel / kernel.sum()).expand(3, 1, 3, 3), groups=3).round()
    wide = factor[:, None, None, None]
    inner = x[:, :, 1:-1, 1:-1]
    out = x.clone()
    out[:, :, 1:-1, 1:-1] = (inner * wide + blur * (1 - wide)).clamp(0, 255)
    return out


def _through_tables(x: Tensor, step: Step) -> Tensor:
    """Operations that look at one channel alone: what each of the 256 values becomes."""
    n, _, height, width = x.shape
    flat = x.reshape(n, 3, height * width).long()
    value = torch.arange(256, device=x.device, dtype=torch.float32).expand(n, 3, 256)
    bits = 8 - round(step.strength * 4)
    inverted = torch.where(value >= 255 * (1 - step.strength), 255 - value, value)
    tables = (
        ("brightness", (value * _wide(1 + step.signed("brightness", 0.9)))),
        ("contrast", _contrast(value, x, 1 + step.signed("contrast", 0.9))),
        ("posterise", (value / 2 ** (8 - bits)).floor() * 2 ** (8 - bits)),
        ("solarise", inverted),
        ("autocontrast", _autocontrast(value, flat)),
        ("equalise", _equalise(value, flat)),
    )
    table = value
    for name, other in tables:
        table = torch.where(_wide(step.of(name)), other, table)
    return table.clamp(0, 255).to(torch.uint8).gather(2, flat).reshape(n, 3, height, width)


def _contrast(value: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    mean = colour.grey(x).floor().mean((1, 2, 3))
    return value * _wide(factor) + _wide(mean * (1 - factor))


def _autocontrast(value: Tensor, flat: Tensor) -> Tensor:
    """Each channel stretched to 0 to 255; flat channels stay."""
    low, high = flat.amin(2, keepdim=True).float(), flat.amax(2, keepdim=True).float()
    return torch.where(high > low, (value - low) * (255 / (high - low).clamp_min(1)), value)


def _equalise(value: Tensor, flat: Tensor) -> Tensor:
    """Each channel's values spread so that equally many pixels have each; flat channels stay."""
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.int64, device=flat.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    spread = ((below + step // 2) // step.clamp_min(1)).clamp(0, 255).float()
    return torch.where(step > 0, spread, value)


def _wide(factor: Tensor) -> Tensor:
    return factor[:, None, None]
