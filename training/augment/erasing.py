"""Random erasing (Zhong et al. 2017): a rectangle of some pictures becomes mid grey, which nets see as 0."""

from __future__ import annotations

import torch
from torch import Tensor

from training.augment import boxes

AREAS, RATIOS = (0.02, 0.33), (0.3, 3.3)
FILL = 127


def erased(x: Tensor, probability: float, chance: torch.Generator) -> Tensor:
    """`x` ([n, 3, h, w], 0 to 255) with a box covered in a share `probability` of the pictures."""
    n, _, height, width = x.shape
    box = boxes.drawn(n, height, width, AREAS, RATIOS, chance)
    chosen = (boxes.uniform(n, 0.0, 1.0, chance) < probability) & box.fits
    inside = inside_of(box, height, width) & chosen[:, None, None]
    return x.masked_fill(inside[:, None], FILL)


def inside_of(box: boxes.Boxes, height: int, width: int) -> Tensor:
    """bool[n, height, width]: the pixels of each box."""
    row = torch.arange(height, device=box.top.device)
    column = torch.arange(width, device=box.top.device)
    rows = (row >= box.top[:, None]) & (row < (box.top + box.height)[:, None])
    columns = (column >= box.left[:, None]) & (column < (box.left + box.width)[:, None])
    return rows[:, :, None] & columns[:, None, :]
