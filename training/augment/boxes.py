"""Random rectangles inside a picture, one for each of a batch, without waiting for the device."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

TRIES = 10
"""A box whose shape does not fit is drawn again so often, as in the reference recipe's crop and erasing."""


class Boxes(NamedTuple):
    """float[n] each, whole pixels; `fits`: bool[n], false where every try was larger than the picture."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    fits: Tensor


def uniform(n: int, low: float, high: float, chance: torch.Generator) -> Tensor:
    """float32[n] from `low` to `high`, on the generator's device."""
    return torch.rand(n, generator=chance, device=chance.device) * (high - low) + low


def drawn(
    n: int,
    height: int,
    width: int,
    areas: tuple[float, float],
    ratios: tuple[float, float],
    chance: torch.Generator,
) -> Boxes:
    """Boxes of a share of the area that is even over `areas`, and of a width over height whose logarithm is.

    Where none of the tries fits, the largest central box whose shape is within `ratios`.
    """
    share = uniform(n * TRIES, *areas, chance).reshape(n, TRIES) * (height * width)
    shape = uniform(n * TRIES, math.log(ratios[0]), math.log(ratios[1]), chance).reshape(n, TRIES).exp()
    wide, high = (share * shape).sqrt().round().clamp_min(1), (share / shape).sqrt().round().clamp_min(1)
    fitting = (wide <= width) & (high <= height)
    first = fitting.to(torch.uint8).argmax(1, keepdim=True)
    fits = fitting.any(1)
    broad, tall = min(width, round(height * ratios[1])), min(height, round(width / ratios[0]))
    wide = torch.where(fits, wide.gather(1, first).squeeze(1), float(broad))
    high = torch.where(fits, high.gather(1, first).squeeze(1), float(tall))
    place = torch.rand(2, n, generator=chance, device=chance.device)
    left = torch.where(fits, (place[0] * (width - wide + 1)).floor(), (width - wide) / 2)
    top = torch.where(fits, (place[1] * (height - high + 1)).floor(), (height - high) / 2)
    # float32 can round a place just below 1 up to the next whole number.
    return Boxes(torch.minimum(top, height - high), torch.minimum(left, width - wide), high, wide, fits)
