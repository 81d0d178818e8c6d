"""Pictures decoded once into one memory-mapped uint8 array that all arms and seeds share.

The file's name carries the release's fingerprint and the size, so that a cache never serves another release.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from training.release import Release

Wrap = Callable[[Iterable[bool], int, str], Iterable[bool]]


@dataclass(frozen=True)
class Pictures:
    """`pixels`: uint8[n, size, size, 3], RGB, in the manifest's order; `readable`: bool[n], else black."""

    pixels: np.ndarray
    readable: np.ndarray


def decode(file: Path, size: int) -> np.ndarray | None:
    """A picture as uint8[size, size, 3]: shorter side scaled to `size`, cropped at the centre, or None."""
    try:
        with Image.open(file) as opened:
            opened.draft("RGB", (size * 2, size * 2))  # JPEG decodes straight to a half or a quarter
            picture = ImageOps.exif_transpose(opened).convert("RGB")
            fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
        return np.asarray(fitted, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def open_pictures(release: Release, size: int, folder: Path, workers: int, progress: Wrap) -> Pictures:
    """The release's pictures at `size` pixels, from the cache in `folder` or decoded into it.

    A decoder killed half way leaves only a `.part` file, which the next call overwrites.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{release.fingerprint[:24]}-{size}"
    file, marks = folder / f"{name}.npy", folder / f"{name}-readable.npy"
    paths = [release.path / path for path in release.manifest["path"]]
    shape = (len(paths), size, size, 3)
    if file.is_file() and marks.is_file():
        pixels = np.load(file, mmap_mode="r")
        if pixels.shape == shape:
            return Pictures(pixels, np.load(marks))
    part = folder / f"{name}.npy.{os.getpid()}.part"
    readable = _fill(part, shape, paths, workers, progress)
    np.save(marks, readable)
    part.replace(file)
    return Pictures(np.load(file, mmap_mode="r"), readable)


def _fill(part: Path, shape: tuple[int, ...], paths: list[Path], workers: int, progress: Wrap) -> np.ndarray:
    """Decode all `paths` into a new .npy file at `part`; returns bool[n], which of them could be read."""
    pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)

    def one(row: int) -> bool:
        picture = decode(paths[row], shape[1])
        if picture is not None:
            pixels[row] = picture
        return picture is not None

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        readable = np.fromiter(
            progress(pool.map(one, range(len(paths))), len(paths), "decode"), dtype=bool, count=len(paths)
        )
    pixels.flush()
    return readable
