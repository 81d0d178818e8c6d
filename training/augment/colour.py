"""Colours: brightness, contrast, saturation, hue, greyscale, in this order, with a strength for each picture.

The operations are those of torchvision.transforms.v2 on floats from 0 to 255.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.augment.boxes import uniform
from training.augment.plan import Plan

WEIGHTS = (0.2989, 0.587, 0.114)
"""Red, green and blue in grey (ITU-R BT.601, luma)."""


def jittered(x: Tensor, plan: Plan, chance: torch.Generator) -> Tensor:
    """`x` ([n, 3, h, w], 0 to 255) as it is where nothing is asked; else float32 of the same shape."""
    n = len(x)
    for strength, change in (
        (plan.brightness, brightened),
        (plan.contrast, contrasted),
        (plan.saturation, saturated),
    ):
        if strength:
            x = change(x.float(), uniform(n, 1 - strength, 1 + strength, chance))
    if plan.hue:
        x = hue_turned(x.float(), uniform(n, -plan.hue, plan.hue, chance))
    if plan.greyscale:
        chosen = uniform(n, 0.0, 1.0, chance) < plan.greyscale
        x = saturated(x.float(), torch.where(chosen, 0.0, 1.0))
    return x


def grey(x: Tensor) -> Tensor:
    """float[n, 1, h, w], 0 to 255."""
    red, green, blue = x.float().unbind(1)
    return (red * WEIGHTS[0] + green * WEIGHTS[1] + blue * WEIGHTS[2]).unsqueeze(1)


def brightened(x: Tensor, factor: Tensor) -> Tensor:
    """Towards black (0), as it is (1), or beyond; `factor`: float[n]."""
    return (x * _wide(factor)).clamp(0, 255)


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """Towards the picture's mean grey (0), as it is (1), or beyond; `factor`: float[n]."""
    return _blended(x, grey(x).mean((1, 2, 3), keepdim=True), factor)


def saturated(x: Tensor, factor: Tensor) -> Tensor:
    """Towards grey (0), as it is (1), or beyond; `factor`: float[n]."""
    return _blended(x, grey(x), factor)


def hue_turned(x: Tensor, turn: Tensor) -> Tensor:
    """All hues turned by `turn` (float[n], shares of the circle), with value and chroma kept."""
    red, green, blue = x.unbind(1)
    value, least = x.amax(1), x.amin(1)
    chroma = value - least
    some = chroma.clamp_min(1e-6)
    hue = torch.where(
        value == red,
        (green - blue) / some,
        torch.where(value == green, (blue - red) / some + 2, (red - green) / some + 4),
    )
    hue = hue + 6 * turn[:, None, None]
    # Each channel falls from the value by the chroma over a third of the circle (Smith 1978, HSV).
    channels = []
    for start in (5.0, 3.0, 1.0):
        along = (start + hue).remainder(6)
        channels.append(value - chroma * torch.minimum(along, 4 - along).clamp(0, 1))
    return torch.stack(channels, 1)


def _blended(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    wide = _wide(factor)
    return (x * wide + other * (1 - wide)).clamp(0, 255)


def _wide(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]
