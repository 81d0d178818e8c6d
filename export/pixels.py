"""What becomes of a picture's pixels in a release: as found, or no longer than so many pixels.

As found (the default): JPEG, PNG and WebP keep their pixels bit for bit, see `export.strip`. With a longest
side, a picture that is longer is made smaller with a Lanczos filter, upright, and encoded again in its own
format, so that its file name stays the same: JPEG and lossy WebP at the quality asked for, PNG and lossless
WebP without loss. Smaller pictures keep their pixels: nothing is ever enlarged.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from export.strip import Cleaned, clean_picture, encoded, webp_chunks
from ingest.decode import open_picture

SMALLEST, LONGEST = 16, 65_500
BEST = 95
"""Highest JPEG quality that makes sense: above it files grow and pictures do not improve (libjpeg)."""
FULL_COLOUR = 90
"""From this JPEG quality on, colour is kept at full resolution."""
_PLAIN = {"L", "RGB", "LA", "RGBA"}


@dataclass(frozen=True)
class Pixels:
    """The policy: `longest_side` in pixels, None for as found; `quality` 1 … 95 for what is encoded again.

    Raises:
        ValueError: numbers that no picture can have.
    """

    longest_side: int | None = None
    quality: int = 90

    def __post_init__(self) -> None:
        if self.longest_side is not None and not SMALLEST <= self.longest_side <= LONGEST:
            raise ValueError(f"the longest side is {SMALLEST} to {LONGEST:,} pixels; got {self.longest_side}")
        if not 1 <= self.quality <= BEST:
            raise ValueError(f"the quality is 1 to {BEST}; got {self.quality}")

    def as_parameters(self) -> dict[str, int]:
        """As release.json records it; nothing where pixels stay as found."""
        if self.longest_side is None:
            return {}
        return {"longest_side": self.longest_side, "quality": self.quality}


def release_picture(data: bytes, pixels: Pixels) -> Cleaned:
    """An original as it is released; the same bytes and policy always give the same bytes.

    Raises:
        RejectedPicture: the bytes cannot be decoded.
    """
    clean = clean_picture(data)
    side = pixels.longest_side
    if side is None or max(clean.width, clean.height) <= side:
        return clean
    return _shrunk(clean, side, pixels.quality)


def _shrunk(clean: Cleaned, side: int, quality: int) -> Cleaned:
    """A stripped, upright picture made smaller."""
    with Image.open(io.BytesIO(clean.data)) as image:
        profile = image.info.get("icc_profile")
        plain, profile = _plain(image, clean.data, profile)
    share = side / max(plain.size)
    width, height = (max(1, round(length * share)) for length in plain.size)
    small = plain.resize((width, height), Image.Resampling.LANCZOS)
    data = _encode(small, clean, quality, profile)
    return Cleaned(data, clean.extension, small.width, small.height)


def _plain(image: Image.Image, data: bytes, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """8-bit grey or RGB, with transparency where there is some, and the colour profile that still fits."""
    if image.mode in _PLAIN and "transparency" not in image.info:
        return image.copy(), profile
    if image.mode in ("P", "PA", "L", "RGB"):
        transparent = "transparency" in image.info or image.mode == "PA"
        return image.convert("RGBA" if transparent else "RGB"), profile
    return open_picture(data).image, None  # CMYK, 16 bits, floats: 8-bit RGB, its profile applied


def _encode(image: Image.Image, clean: Cleaned, quality: int, profile: bytes | None) -> bytes:
    if clean.extension == "jpg":
        subsampling = 0 if quality >= FULL_COLOUR else 2
        return encoded(image, "JPEG", profile, quality=quality, subsampling=subsampling, optimize=True)
    if clean.extension == "webp":
        lossless = any(name == b"VP8L" for name, _ in webp_chunks(clean.data))
        return encoded(image, "WEBP", profile, quality=quality, lossless=lossless, method=4)
    return encoded(image, "PNG", profile, optimize=False, compress_level=6)
