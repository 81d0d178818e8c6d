"""What is recorded of a picture, computed from its bytes alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ingest.decode import open_picture
from ingest.fingerprint import HASH_VERSION, phash

MIN_SIDE = 32
"""Shortest side of a picture that is taken, in pixels: less is an icon, a spacer or a tracking dot."""
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Facts:
    """One decodable picture.

    Attributes:
        sha256: of the original bytes, 64 hex digits.
        phash: 64-bit perceptual hash, 0 … 2^64 - 1, of version `hash_version`.
        format: what the file is, by its content.
        width, height: pixels, upright.
        bytes: length of the file.
    """

    sha256: str
    phash: int
    hash_version: int
    format: str
    width: int
    height: int
    bytes: int
    animated: bool


def examine(data: bytes, *, min_side: int = MIN_SIDE, max_pixels: int = MAX_PIXELS) -> Facts:
    """Decode and measure one picture.

    Raises:
        RejectedPicture: see `ingest.decode`.
    """
    picture = open_picture(data, max_pixels=max_pixels, min_side=min_side)
    return Facts(
        sha256=hashlib.sha256(data).hexdigest(),
        phash=phash(picture.image),
        hash_version=HASH_VERSION,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        bytes=len(data),
        animated=picture.animated,
    )
