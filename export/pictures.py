"""Writing the pictures of a release, in this process or in several.

The processes load nothing but what decodes a picture: no tables, no Django.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from PIL import Image

from export.pixels import Pixels, release_picture
from export.places.shelf import Shelf
from export.processes import in_order, processes, workers
from export.strip import KINDS, Cleaned
from ingest.decode import RejectedPicture
from ingest.storage import Store

AHEAD = 16
"""Batches handed out before the first of them is asked for."""


class UnreadablePicture(RuntimeError):
    """An original that cannot be released: missing, damaged or no picture. One line for the user."""


class Wanted(NamedTuple):
    """A picture to write: its original's SHA-256, and the folder of the release where it goes, with `/`."""

    image: str
    folder: str


class Written(NamedTuple):
    """A picture that is written, as the manifest tells of it."""

    path: str
    file_sha256: str
    width: int
    height: int


class Originals(Protocol):
    """Gives a picture as it is released; it can be sent to another process."""

    def __call__(self, wanted: Wanted) -> Cleaned:
        """Raises UnreadablePicture where there is none."""


@dataclass(frozen=True)
class FromStore:
    """Pictures made from the originals in `store`; `pixels`: what becomes of their pixels."""

    store: Store
    pixels: Pixels

    def __call__(self, wanted: Wanted) -> Cleaned:
        """See `Originals`."""
        try:
            return release_picture(self.store.get(wanted.image), self.pixels)
        except LookupError as error:
            raise UnreadablePicture(f"{error}: bring the original back, or take the picture down") from None
        except RejectedPicture as error:
            raise UnreadablePicture(f"the original {wanted.image} cannot be released: {error}") from None


@dataclass(frozen=True)
class FromRelease:
    """Pictures as another release of the same dataset has them, byte for byte."""

    shelf: Shelf
    location: str

    def __call__(self, wanted: Wanted) -> Cleaned:
        """See `Originals`."""
        found = _picture_on(self.shelf, wanted)
        if found is None:
            raise UnreadablePicture(f"{self.location} lacks the picture {wanted.image}; run verify_release")
        return found


@dataclass(frozen=True)
class Writer:
    """Puts pictures on a shelf.

    `resumed`: what is there already was written by an earlier, killed run, whole, and is kept.
    """

    shelf: Shelf
    originals: Originals
    resumed: bool

    def __call__(self, batch: list[Wanted]) -> list[Written]:
        """Write a batch; raises UnreadablePicture."""
        with warnings.catch_warnings(action="ignore"):  # damaged EXIF only warns; it is left out anyway
            return [self._write(wanted) for wanted in batch]

    def _write(self, wanted: Wanted) -> Written:
        clean = _picture_on(self.shelf, wanted) if self.resumed else None
        if clean is None:
            clean = self.originals(wanted)
            self.shelf.put(_path(wanted, clean.extension), clean.data)
        digest = hashlib.sha256(clean.data).hexdigest()
        return Written(_path(wanted, clean.extension), digest, clean.width, clean.height)


def write_all(writer: Writer, batches: Iterable[list[Wanted]], *, many: bool) -> Iterator[list[Written]]:
    """What `writer` makes of each batch, in order; only a few batches are taken before they are asked for.

    Args:
        many: whether there is enough to do for several processes.

    Raises:
        UnreadablePicture: an original is missing or cannot be decoded.
    """
    with _pool(writer.shelf, many) as pool:
        yield from in_order(pool, writer, batches, AHEAD)


def _pool(shelf: Shelf, many: bool) -> Executor:
    """Processes where there is much to do: decoding small pictures is mostly Python, one thread at a time."""
    if many and shelf.processes and workers() > 1:
        return processes()
    return ThreadPoolExecutor(shelf.threads)


def _path(wanted: Wanted, extension: str) -> str:
    return f"{wanted.folder}{wanted.image}.{extension}"


def _picture_on(shelf: Shelf, wanted: Wanted) -> Cleaned | None:
    """The picture where it is kept; None where there is none that opens."""
    for extension in KINDS:
        data = shelf.get(_path(wanted, extension))
        if data is None:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:
                return Cleaned(data, extension, *image.size)
        except OSError:
            continue
    return None
