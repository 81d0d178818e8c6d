"""Pictures as the site sends them: upright, sRGB, without camera data or place, never the original bytes."""

from __future__ import annotations

import io

from PIL import Image

from ingest.decode import open_picture

THUMB_SIDE = 320
FULL_SIDE = 2_048
"""Longest side in pixels of the large picture; more than a screen shows, and quick to send."""


def thumbnail(data: bytes) -> bytes:
    """A WebP of at most 320 x 320 pixels.

    Raises:
        RejectedPicture: the bytes cannot be opened.
    """
    return _encode(data, THUMB_SIDE, "WEBP", quality=82, method=4)


def large(data: bytes) -> bytes:
    """A JPEG of at most 2,048 x 2,048 pixels, full colour resolution.

    Raises:
        RejectedPicture: the bytes cannot be opened.
    """
    return _encode(data, FULL_SIDE, "JPEG", quality=92, subsampling=0, optimize=True)


def _encode(data: bytes, side: int, kind: str, **options: int | bool) -> bytes:
    # A new picture of the pixels alone: whatever else the file carried stays behind.
    image = open_picture(data).image
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    clean = Image.frombytes(image.mode, image.size, image.tobytes())
    out = io.BytesIO()
    clean.save(out, kind, **options)
    return out.getvalue()
