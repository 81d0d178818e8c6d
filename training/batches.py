"""From rows of the cache to what a net reads, with augmentation in whole batches on the device."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from training.augment import Augmentation
from training.loop import Batches

PLAIN = ((127.0, 127.0, 127.0), (64.0, 64.0, 64.0))
"""Mean and deviation of each channel (0 to 255), for nets from scratch: about -2 to 2."""
SCALED = 1024
"""Rows of features that are scaled at a time."""
AT_A_TIME = 1 << 19
"""Bytes of normalised pictures."""
RESIDENT_SHARE = 0.5
"""Of a GPU's free memory, what pictures may take; the rest is for the nets."""


class FeatureBatches:
    """Rows of `features` (float32[2, n, d], as it is and mirrored); with `flip`, each view equally likely."""

    def __init__(self, features: Tensor, flip: bool) -> None:
        self.features, self.flip = features, flip
        self._lock = threading.Lock()
        self._scaled: dict[torch.dtype, FeatureBatches] = {}

    def __call__(self, rows: Tensor, chance: torch.Generator | None) -> Tensor:
        """float[m, d] of rows (int64[m]); None for evaluation: as they are."""
        views, n, width = self.features.shape
        if chance is not None and self.flip:
            rows = rows + n * torch.randint(0, 2, rows.shape, generator=chance, device=rows.device)
        return self.features.view(views * n, width).index_select(0, rows)

    def scaled(self, scale: nn.Module, dtype: torch.dtype) -> FeatureBatches:
        """The same after `scale` (in every call the same one), in `dtype`; computed once for all threads."""
        with self._lock:
            if dtype not in self._scaled:
                found = torch.empty_like(self.features, dtype=dtype)
                with torch.no_grad():
                    for view, into in zip(self.features, found, strict=True):
                        for rows, target in zip(view.split(SCALED), into.split(SCALED), strict=True):
                            target.copy_(scale(rows))
                self._scaled[dtype] = FeatureBatches(found, self.flip)
            return self._scaled[dtype]


def picture_batches(
    pixels: np.ndarray,
    device: torch.device,
    augmentation: Augmentation,
    size: int | None = None,
    normal: tuple[tuple[float, ...], tuple[float, ...]] = PLAIN,
) -> Batches:
    """Pictures as a net reads them: augmented in training, else cut out at the centre.

    On a GPU all pictures are held in its memory if they take up to `RESIDENT_SHARE` of what is free there;
    else each batch is copied there. On the CPU they stay memory-mapped.

    Args:
        pixels: uint8[n, stored, stored, 3]; with the augmentation `crop`, stored is larger than `size`.
        size: pixels a side of what comes out (default: as stored).
        normal: mean and deviation of each channel, 0 to 255.

    Returns:
        A function of rows (int64[m] on `device`) and a generator (None: evaluation) that gives
        float32[m, 3, size, size], channels last in memory.
    """
    size = size or pixels.shape[1]
    taken = _reader(pixels, device)
    edge = (pixels.shape[1] - size) // 2
    # One row of a picture as it lies in memory: three numbers at a time would be ten times as slow.
    mean, deviation = (torch.tensor(part, device=device).repeat(size) for part in normal)
    factor = 1 / deviation
    # On the CPU some pictures at a time, so that they are still in its cache at the next operation.
    some = max(1, AT_A_TIME // (size * size * 12)) if device.type == "cpu" else None

    def batch(rows: Tensor, chance: torch.Generator | None) -> Tensor:
        x = taken(rows).permute(0, 3, 1, 2)
        if chance is None:
            x = x[:, :, edge : edge + size, edge : edge + size]
        else:
            x = augmentation.pixels(x, chance, size)
        x = x.permute(0, 2, 3, 1)
        out = torch.empty(x.shape, device=device)
        for pictures, into in zip(x.split(some or len(x)), out.split(some or len(x)), strict=True):
            into.copy_(pictures).view(-1, size * 3).sub_(mean).mul_(factor)
        return out.permute(0, 3, 1, 2)

    return batch


def _reader(pixels: np.ndarray, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function of rows that gives their pictures, uint8[m, stored, stored, 3], on `device`."""
    if device.type != "cuda":
        return lambda rows: torch.from_numpy(np.take(pixels, rows.numpy(), axis=0))
    if pixels.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        resident = torch.from_numpy(np.array(pixels)).to(device)
        return lambda rows: resident.index_select(0, rows)

    def copied(rows: Tensor) -> Tensor:
        found = torch.from_numpy(np.take(pixels, rows.cpu().numpy(), axis=0))
        return found.pin_memory().to(device, non_blocking=True)

    return copied
