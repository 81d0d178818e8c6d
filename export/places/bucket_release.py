"""A finished release in a bucket, read as `export.reader` reads a folder: its pictures pass by once.

Tables and descriptions are fetched to a folder of this machine. Pictures come a few ahead of their turn, each
is compared with its checksum and forgotten when the next one is asked for, so that memory stays flat.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from export import layout
from export.checks import Problem
from export.places.bucket import THREADS, BucketFolder
from export.places.bucket_place import check_bucket, fetch_descriptions, lists_are_sound
from export.reader import Picture, ReleaseFolder, UnreadableRelease

AHEAD = 2 * THREADS


class BucketRelease(ReleaseFolder):
    """See `ReleaseFolder`. `read` and `copy` give the picture that `pictures` came to last."""

    def __init__(self, target: BucketFolder, here: Path, *, pictures: bool = True) -> None:
        """Fetch the small files.

        Args:
            here: an empty folder, with the release's name, for as long as this is used.
            pictures: whether the pictures themselves are wanted.

        Raises:
            UnreadableRelease: there is no release.
            BucketError: it cannot be read.
        """
        self.target = target
        if not target.has(layout.SUMS):
            raise UnreadableRelease(f"{target}: no release: {layout.SUMS} is missing")
        fetch_descriptions(target, here)
        missing = [name for name in layout.FILES if not (here / name).is_file()]
        if missing:
            raise UnreadableRelease(f"{target}: no release: {missing[0]} is missing")
        super().__init__(here)
        self._wanted = pictures
        self._last: tuple[str, bytes] = ("", b"")

    def problems(self) -> list[Problem]:
        """What is wrong with it; wanted pictures are compared with their checksums as they pass by."""
        if self._wanted and lists_are_sound(self.target, self.path):
            return []
        return check_bucket(self.target)

    def pictures(self) -> Iterator[Picture]:
        """See `ReleaseFolder.pictures`.

        Raises:
            UnreadableRelease: also a picture that is not what was published.
            BucketError: it cannot be read.
        """
        listed = super().pictures()
        if not self._wanted:
            yield from listed
            return
        waiting: deque[tuple[Picture, Future[bytes]]] = deque()
        pool = ThreadPoolExecutor(THREADS)
        try:
            for picture in listed:
                waiting.append((picture, pool.submit(self._fetch, picture)))
                if len(waiting) > AHEAD:
                    yield self._take(*waiting.popleft())
            while waiting:
                yield self._take(*waiting.popleft())
        finally:  # the reader may stop in the middle
            pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, picture: Picture, coming: Future[bytes]) -> Picture:
        self._last = picture.path, coming.result()
        return picture

    def _fetch(self, picture: Picture) -> bytes:
        data = self.target.get(picture.path)
        if data is None:
            raise UnreadableRelease(f"{self.target}/{picture.path}: is gone")
        if hashlib.sha256(data).hexdigest() != picture.known["file_sha256"]:
            raise UnreadableRelease(f"{self.target}/{picture.path}: has another checksum than was published")
        return data

    def read(self, picture: Picture) -> bytes:
        """See `ReleaseFolder.read`."""
        path, data = self._last
        if path != picture.path:
            raise UnreadableRelease(f"{self.target}/{picture.path}: was not fetched")
        return data

    def copy(self, picture: Picture, target: Path) -> None:
        """See `ReleaseFolder.copy`."""
        target.write_bytes(self.read(picture))
