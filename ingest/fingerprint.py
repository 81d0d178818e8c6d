"""Perceptual hashes: 64 bits that stay nearly the same when a picture is resized or recompressed.

The hash is the DCT hash that `imagehash.phash` computes, bit for bit on photos (1,000 of 1,000): grey, 32 x
32 (Lanczos), type-II DCT, the 8 x 8 lowest frequencies, each against their median, first row first, most
significant bit first. Lists made elsewhere with imagehash can therefore be compared. Two differences:
coefficients are rounded to 1e-6, so that a flat picture gets the same hash everywhere and not the noise of
one machine's floating point, and the DCT is a product of two small matrices.

Distances are Hamming distances: `(a ^ b).bit_count()`. Mind that a close hash is a hint, never a proof: see
`ingest.duplicates`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_VERSION = 1
"""Stored beside every hash; it changes when the way a hash is computed changes any bit of a photo's hash."""

SIDE = 32
LOW = 8
WORK_SIDE = 512


def _dct_rows() -> NDArray[np.float64]:
    """First `LOW` rows of the unnormalised type-II DCT of length `SIDE`."""
    k = np.arange(LOW)[:, None]
    n = np.arange(SIDE)[None, :]
    return 2.0 * np.cos(np.pi * k * (2 * n + 1) / (2 * SIDE))


_ROWS = _dct_rows()
_MIRROR = np.where(np.arange(LOW) % 2, -1.0, 1.0)[None, :]
_WEIGHTS = np.left_shift(np.uint64(1), np.arange(63, -1, -1, dtype=np.uint64))


def phash(image: Image.Image) -> int:
    """The 64-bit hash of an upright picture (any mode), 0 … 2^64 - 1."""
    return _bits(_coefficients(image))


def phash_mirrored(image: Image.Image) -> int:
    """The hash that the picture would have, mirrored left to right."""
    return _bits(_coefficients(image) * _MIRROR)


def phash_cuts(image: Image.Image, cuts: Sequence[tuple[float, float, float, float]]) -> tuple[int, ...]:
    """Hashes of the picture less a little of its sides, one for each cut.

    A cropped copy's hash is nearer to the one of these with about the same cut than to the whole picture's.
    They are compared with `phash`, but only nearly are the hash that the cut file would have.

    Args:
        image: an upright picture of any mode.
        cuts: shares of the width and height cut off (left, top, right, bottom), each below 0.5.
    """
    grey = image.convert("L")
    longest = max(grey.size)
    if longest > 2 * WORK_SIDE:
        # One large reduction instead of several; at 16 times the hash's side the difference is slight.
        size = [max(1, round(side * WORK_SIDE / longest)) for side in grey.size]
        grey = grey.resize((size[0], size[1]), Image.Resampling.BOX)
    width, height = grey.size
    hashes = []
    for left, top, right, bottom in cuts:
        box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
        hashes.append(_bits(_transform(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box))))
    return tuple(hashes)


def to_hex(value: int) -> str:
    """16 lower-case hex digits.

    Raises:
        ValueError: not an unsigned 64-bit number.
    """
    if not 0 <= value < 2**64:
        raise ValueError(f"not an unsigned 64-bit number: {value}")
    return f"{value:016x}"


def from_hex(text: str) -> int:
    """The number that `to_hex` wrote.

    Raises:
        ValueError: not 16 hex digits.
    """
    if len(text) != 16 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"not 16 hex digits: {text!r}")
    return int(text, 16)


def distance(a: int, b: int) -> int:
    """How many of the 64 bits differ."""
    return (a ^ b).bit_count()


def _coefficients(image: Image.Image) -> NDArray[np.float64]:
    return _transform(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _transform(small: Image.Image) -> NDArray[np.float64]:
    pixels = np.asarray(small, dtype=np.float64)
    return np.round(_ROWS @ pixels @ _ROWS.T, 6) + 0.0


def _bits(low: NDArray[np.float64]) -> int:
    above = low.ravel() > np.median(low)
    return int(np.bitwise_or.reduce(_WEIGHTS[above])) if above.any() else 0
