"""Pictures decoded once into one memory-mapped uint8 array that all arms, seeds and runs share.

A cache is a folder, named by the release's fingerprint and the size:

- `pixels.npy`: uint8[n, size, size, 3], in the manifest's order.
- `about.json`: what it was made of, which pictures cannot be decoded (they are black), and a checksum of each
  block of pictures that is finished.

A block counts from the moment its checksum is written, so that a decoder that was killed goes on there.
Opening a cache checks every block; one that is torn is decoded again. Pictures are decoded in threads:
Pillow works outside of Python's lock, and two threads were as fast as two processes (at 32 px 6,500 pictures
a second against 7,600 by one thread and 11,400 by processes, at 224 px 990 against 870; 2 busy cores).
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
from PIL import Image, ImageOps

from training.release import Release
from training.store import write_atomically

Wrap = Callable[[Iterable[Any], int, str], Iterable[Any]]
BLOCK_BYTES = 8 << 20
MOST_PIXELS = 178_956_970
"""Pillow's own limit, which other modules may have lifted: more would fill the memory."""
BROKEN = (
    *(OSError, EOFError, ValueError, SyntaxError, TypeError, ArithmeticError, LookupError, struct.error),
    Image.DecompressionBombError,
)
"""What Pillow raises over broken files."""
RECIPE = "draft 2x, EXIF turned, RGB, shorter side bicubic, central square"
"""How `decode` comes to its pixels. Change both together: a cache made by another recipe is made again."""


@dataclass(frozen=True)
class Pictures:
    """`pixels`: uint8[n, size, size, 3], RGB, in the manifest's order; `readable`: bool[n], else black.

    `note`: a line for the user where a cache was found that could not be used as it was, else empty.
    """

    pixels: np.ndarray
    readable: np.ndarray
    note: str = ""


def decode(file: Path, size: int) -> np.ndarray | None:
    """A picture as uint8[size, size, 3]: shorter side scaled to `size`, cropped at the centre, or None."""
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None
            opened.draft("RGB", (size * 2, size * 2))  # JPEG decodes straight to a half or a quarter
            picture = ImageOps.exif_transpose(opened).convert("RGB")
            fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
        return np.asarray(fitted, dtype=np.uint8)
    except BROKEN:
        return None


def open_pictures(release: Release, size: int, folder: Path, workers: int, progress: Wrap) -> Pictures:
    """The release's pictures at `size` pixels, from the cache in `folder` or decoded into it.

    Of several processes one decodes, and the others wait for it. Raises OSError where there is no room.
    """
    paths = [release.path / path for path in release.manifest["path"]]
    place = folder / f"{release.fingerprint[:24]}-{size}"
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place), ThreadPoolExecutor(max(1, workers)) as pool:
        cache = _Cache.open(place, release.fingerprint, (len(paths), size, size, 3))
        torn = cache.drop_torn(pool, progress)
        missing = [block for block, check in enumerate(cache.checks) if check is None]
        rows = sum(len(cache.rows(block)) for block in missing)
        steps = cache.fill(missing, paths, pool)
        for _ in progress(steps, rows, "decode"):
            pass
        note = f"the cache in {place} was damaged: {torn} pictures were decoded again" if torn else cache.note
        return Pictures(cache.pixels("r"), cache.readable(), note)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the cache's lock, which a killed process leaves behind unlocked."""
    with (place / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@dataclass
class _Cache:
    """A cache's folder, under its lock. `checks`: CRC-32 of each block, None where it has to be decoded."""

    place: Path
    identity: dict[str, Any]
    checks: list[int | None]
    unreadable: set[int] = field(default_factory=set)
    note: str = ""

    @classmethod
    def open(cls, place: Path, fingerprint: str, shape: tuple[int, ...]) -> _Cache:
        """What is there, if it was made of the same by the same; else an empty cache in its place."""
        block = max(1, BLOCK_BYTES // int(np.prod(shape[1:])))
        identity = {
            "fingerprint": fingerprint,
            "shape": list(shape),
            "block": block,
            "recipe": RECIPE,
            "pillow": PIL.__version__,
        }
        cache = cls(place, identity, [None] * -(-shape[0] // block))
        try:
            about = json.loads((place / "about.json").read_text(encoding="utf-8"))
            same = about["identity"] == identity and len(about["checks"]) == len(cache.checks)
            if same and cache.pixels("r").shape == shape:
                cache.checks, cache.unreadable = about["checks"], set(about["unreadable"])
                return cache
            cache.note = f"the cache in {place} was made of something else and is made again"
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError):
            cache.note = f"the cache in {place} was damaged and is made again"
        cache.reserve()
        return cache

    def reserve(self) -> None:
        """A new file for the pixels, with room on the disk, so that writing into memory cannot fail later."""
        (self.place / "about.json").unlink(missing_ok=True)
        file = self.place / "pixels.npy"
        file.unlink(missing_ok=True)
        shape = tuple(self.identity["shape"])
        try:
            np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape).flush()
            if hasattr(os, "posix_fallocate"):
                with file.open("r+b") as stream:
                    os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
        except OSError as error:
            file.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(file)) from None

    def pixels(self, mode: Literal["r", "r+"]) -> np.memmap:
        """uint8[n, size, size, 3]."""
        return np.lib.format.open_memmap(self.place / "pixels.npy", mode=mode)

    def rows(self, block: int) -> range:
        """The pictures of a block."""
        length = self.identity["block"]
        return range(block * length, min((block + 1) * length, self.identity["shape"][0]))

    def readable(self) -> np.ndarray:
        """bool[n]."""
        marks = np.ones(self.identity["shape"][0], dtype=bool)
        marks[sorted(self.unreadable)] = False
        return marks

    def drop_torn(self, pool: ThreadPoolExecutor, progress: Wrap) -> int:
        """Forget the blocks whose pixels are not what was written; returns how many pictures they hold."""
        pixels, torn = self.pixels("r"), 0
        done = [block for block, check in enumerate(self.checks) if check is not None]
        found = pool.map(lambda block: _checksum(pixels, self.rows(block)), done)
        for block, check in zip(done, progress(found, len(done), "check"), strict=True):
            if check != self.checks[block]:
                self.checks[block] = None
                self.unreadable -= set(self.rows(block))
                torn += len(self.rows(block))
        return torn

    def fill(self, blocks: list[int], paths: list[Path], pool: ThreadPoolExecutor) -> Iterator[int]:
        """Decode `blocks`, and give each picture's row as it is done."""
        if not blocks:
            return
        pixels = self.pixels("r+")

        def one(row: int) -> tuple[int, bool]:
            picture = decode(paths[row], pixels.shape[1])
            pixels[row] = 0 if picture is None else picture
            return row, picture is not None

        for block in blocks:
            for row, fine in pool.map(one, self.rows(block)):
                if not fine:
                    self.unreadable.add(row)
                yield row
            pixels.flush()
            self.checks[block] = _checksum(pixels, self.rows(block))
            self.note_down()

    def note_down(self) -> None:
        """What is finished by now, written whole."""
        about = {"identity": self.identity, "checks": self.checks, "unreadable": sorted(self.unreadable)}
        write_atomically(self.place / "about.json", json.dumps(about).encode())


def _checksum(pixels: np.ndarray, rows: range) -> int:
    return zlib.crc32(pixels[rows.start : rows.stop].data)
