"""From rows of the cache to what a net reads, with augmentation in whole batches on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from training.loop import Batches

MEAN, SCALE = 127.0, 64.0


def feature_batches(features: Tensor, flip: bool) -> Batches:
    """Rows of `features` (float32[2, n, d], as it is and mirrored); with `flip`, each view equally likely."""

    def batch(rows: Tensor, chance: torch.Generator | None) -> Tensor:
        if chance is None or not flip:
            return features[0, rows]
        view = torch.randint(0, 2, rows.shape, generator=chance, device=rows.device)
        return features[view, rows]

    return batch


def picture_batches(pixels: np.ndarray, device: torch.device, flip: bool, shift: int) -> Batches:
    """Pictures (uint8[n, size, size, 3]) scaled to about -2..2; in training mirrored and shifted at random.

    On a GPU the whole cache is held in its memory; on the CPU it stays memory-mapped.
    """
    resident = torch.from_numpy(np.array(pixels)).to(device) if device.type == "cuda" else None

    def batch(rows: Tensor, chance: torch.Generator | None) -> Tensor:
        taken = resident[rows] if resident is not None else torch.from_numpy(pixels[rows.numpy()])
        x = taken.permute(0, 3, 1, 2).float().sub(MEAN).div(SCALE)
        if chance is not None and flip:
            mirrored = torch.rand(len(x), generator=chance, device=device) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        if chance is not None and shift:
            x = shifted(x, shift, chance)
        return x.contiguous(memory_format=torch.channels_last)

    return batch


def shifted(x: Tensor, most: int, chance: torch.Generator) -> Tensor:
    """Move each picture of float[n, 3, h, w] by up to `most` pixels each way; edges are mirrored."""
    n, _, height, width = x.shape
    padded = pad(x, (most, most, most, most), mode="reflect")
    top, left = torch.randint(0, 2 * most + 1, (2, n), generator=chance, device=x.device)
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    picture = torch.arange(n, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
