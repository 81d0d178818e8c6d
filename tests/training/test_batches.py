"""What nets read is the cache's pictures, normalised; training sees them changed, tests never."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.augment import parse
from training.batches import PLAIN, picture_batches

CPU = torch.device("cpu")
UNEVEN = ((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))


def stored(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("normal", [PLAIN, UNEVEN])
@pytest.mark.parametrize(("names", "size"), [(("flip", "shift=2"), 8), (("crop", "flip"), 7)])
def test_tests_see_the_centre_as_it_is(
    names: tuple[str, ...], size: int, normal: tuple[tuple[float, ...], tuple[float, ...]]
) -> None:
    pixels, rows = stored(8), torch.tensor([3, 0, 3])
    x = picture_batches(pixels, CPU, parse(names), size, normal)(rows, None)
    expected = (pixels[rows.numpy(), :size, :size].astype(np.float64) - normal[0]) / normal[1]
    assert np.allclose(x.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.dtype == torch.float32


@pytest.mark.parametrize("names", [("flip", "shift=2"), ("crop", "flip"), ("colour=0.5",), ("erase=1",)])
def test_training_sees_changed_pictures_and_the_cache_stays(names: tuple[str, ...]) -> None:
    pixels = stored(8)
    before, rows = pixels.copy(), torch.arange(5)
    batches = picture_batches(pixels, CPU, parse(names), 8)
    changed, again = (batches(rows, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(changed, again)
    assert not torch.equal(changed, batches(rows, None))
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(pixels, before)


def test_nothing_asked_leaves_the_cache_alone() -> None:
    pixels = stored(8)
    before = pixels.copy()
    x = picture_batches(pixels, CPU, parse(()), 8)(torch.arange(5), torch.Generator())
    x.zero_()
    assert np.array_equal(pixels, before)
