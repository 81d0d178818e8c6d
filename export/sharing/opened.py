"""A published release opened for reading, in a folder of this machine or in an S3 bucket.

Both answer the same few questions, so that pages and downloads need not know where a release stands. Tables
and descriptions of a bucket are fetched once and kept; its pictures as they are read, a few ahead.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

from export import layout
from export.places.bucket import SCHEME, BadAddress, BucketError, BucketFolder

AHEAD = 8
"""Pictures of a bucket that are fetched before they are needed; a few megabytes each."""
KEPT = frozenset((*layout.FILES, *layout.FIGURES))
"""What is kept of a bucket's release: everything but the pictures."""


class DamagedRelease(RuntimeError):
    """The release is not what was published: something is gone or was changed. One line for the user."""


class Opened(Protocol):
    """What can be asked of a published release. Paths are those inside its folder."""

    def local(self, path: str) -> Path | None:
        """A table, a description or a figure as a file of this machine; None where it is not to be had."""

    def size(self, path: str) -> int:
        """Bytes of any file.

        Raises:
            DamagedRelease: there is no such file.
        """

    def open_each(self, paths: Iterable[str]) -> Iterator[BinaryIO]:
        """Each file in turn, opened at its beginning; the caller closes it.

        Raises:
            DamagedRelease: one is gone.
        """


def open_release(location: str, kept: Path) -> Opened:
    """The release at a folder or `s3://` address; `kept`: where a bucket's small files may be kept."""
    if location.startswith(SCHEME):
        try:
            return _Bucket(BucketFolder.parse(location), kept)
        except BadAddress:
            return _Folder(Path("/nonexistent"))
    return _Folder(Path(location))


def inside(path: str) -> bool:
    """Whether a path stays inside the folder that it is looked up in."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


class _Folder:
    """See `Opened`. What a link points at is no part of a release."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def local(self, path: str) -> Path | None:
        file = self.root / path
        return file if inside(path) and file.is_file() and not file.is_symlink() else None

    def size(self, path: str) -> int:
        try:
            return (self.root / path).lstat().st_size
        except OSError:
            raise _gone(path) from None

    def open_each(self, paths: Iterable[str]) -> Iterator[BinaryIO]:
        for path in paths:
            try:
                handle = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:
                raise _gone(path) from None
            yield os.fdopen(handle, "rb")


class _Bucket:
    """See `Opened`."""

    def __init__(self, folder: BucketFolder, kept: Path) -> None:
        self.folder = folder
        self.kept = kept
        self._sizes: dict[str, int] = {}

    def local(self, path: str) -> Path | None:
        if path not in KEPT:
            return None
        file = self.kept / path
        if not file.is_file():
            try:
                if not self.folder.has(path):
                    return None
                file.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=file.parent, prefix=".new-") as fresh:
                    self.folder.download(path, Path(fresh) / "file")
                    (Path(fresh) / "file").replace(file)
            except BucketError:
                return None
        return file

    def size(self, path: str) -> int:
        if not self._sizes:
            try:
                self._sizes = dict(self.folder.sizes())
            except BucketError as error:
                raise DamagedRelease(str(error)) from None
        if path not in self._sizes:
            raise _gone(path)
        return self._sizes[path]

    def open_each(self, paths: Iterable[str]) -> Iterator[BinaryIO]:
        waiting: deque[Future[BinaryIO]] = deque()
        pool = ThreadPoolExecutor(AHEAD)
        try:
            for path in paths:
                waiting.append(pool.submit(self._open, path))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # the reader may go away in the middle
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, path: str) -> BinaryIO:
        if path in KEPT:
            file = self.local(path)
            if file is None:
                raise _gone(path)
            return file.open("rb")
        try:
            data = self.folder.get(path)
        except BucketError as error:
            raise DamagedRelease(str(error)) from None
        if data is None:
            raise _gone(path)
        return io.BytesIO(data)


def _gone(path: str) -> DamagedRelease:
    return DamagedRelease(f"{path} is gone from the release")
