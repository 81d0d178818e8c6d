"""Pictures mixed with the next one of the batch, and their labels with them.

mixup (Zhang et al. 2018) blends whole pictures, CutMix (Yun et al. 2019) puts a rectangle of the other one
into the picture. The share is drawn once a batch, from Beta(alpha, alpha).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def shares(targets: Tensor, classes: int) -> Tensor:
    """float32[n, classes] of classes (int64[n]) or of shares already."""
    return targets.float() if targets.is_floating_point() else one_hot(targets, classes).float()


def mixed(
    x: Tensor, targets: Tensor, mixup: float, cutmix: float, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`x` (float[n, …]) and `targets` (float[n, classes]), mixed; where both are asked, one of them a batch.

    An alpha of 0 asks for nothing. CutMix needs pictures, [n, channels, h, w].
    """
    if not (mixup or cutmix):
        return x, targets
    kept = torch.ones((), device=x.device)
    if mixup:
        kept = beta(mixup, chance)
    if cutmix:
        box = _outside(beta(cutmix, chance), x.shape[2], x.shape[3], chance)
        first = torch.rand((), generator=chance, device=x.device) < 0.5 if mixup else False
        kept = torch.where(torch.as_tensor(first, device=x.device), kept, box)
    weight = kept.to(x.dtype)
    return (
        x * weight + x.roll(1, 0) * (1 - weight),
        targets * kept.mean() + targets.roll(1, 0) * (1 - kept.mean()),
    )


def beta(alpha: float, chance: torch.Generator) -> Tensor:
    """float[]: one draw from Beta(alpha, alpha), as the share of two gamma draws."""
    draws = torch._standard_gamma(torch.full((2,), alpha, device=chance.device), generator=chance)
    return draws[0] / draws.sum().clamp_min(torch.finfo(draws.dtype).tiny)


def _outside(kept: Tensor, height: int, width: int, chance: torch.Generator) -> Tensor:
    """float[height, width]: 1 where the picture stays, 0 in a box of 1 - `kept` of the area, cut at edges."""
    half = (1 - kept).sqrt() / 2
    centre = torch.rand(2, generator=chance, device=chance.device)
    inside = []
    for length, middle in ((height, centre[0]), (width, centre[1])):
        place = torch.arange(length, device=chance.device)
        low, high = ((middle - half) * length).floor(), ((middle + half) * length).floor()
        inside.append((place >= low) & (place < high))
    return 1.0 - (inside[0][:, None] & inside[1][None, :]).float()
