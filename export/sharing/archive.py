"""A release as one tar archive, streamed from its folder: never made on disk, never held in memory.

The bytes follow from the release alone (POSIX pax, no clock, no owner), so that their length is known before
the first is sent, a broken download goes on where it stopped, and two mirrors give the same file. Members
are SHA256SUMS and exactly what it lists: nothing else that lies in the folder can get into an archive.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from export import layout
from export.sharing.opened import DamagedRelease, Opened, inside

CHUNK = 1 << 18


class Archive:
    """The bytes of `<top>.tar`. Made once for a release: an index says where each member begins."""

    def __init__(self, files: Opened, top: str, fingerprint: str, indexes: Path) -> None:
        """Open the archive; the first time its index is made (one look at each file's size).

        Args:
            top: the folder that unpacking makes, `<name>-<version>`.
            indexes: a folder for the index files, which are named by fingerprint.

        Raises:
            DamagedRelease: the release or a file of it is gone, or it is not this release any more.
        """
        self.files, self.top = files, top
        sums = files.local(layout.SUMS)
        if sums is None:
            raise DamagedRelease(f"{layout.SUMS} is gone from the release")
        self._sums = sums
        path = Path(indexes) / f"{fingerprint}.tar-index"
        if not path.is_file():
            _write_index(files, sums, top, fingerprint, path)
        # (begin in the archive, begin of the line in SHA256SUMS) of every member, then both ends.
        self._index: npt.NDArray[np.uint64] = np.memmap(path, dtype=np.uint64, mode="r").reshape(-1, 2)
        if sums.stat().st_size != self._index[-1, 1]:
            raise DamagedRelease(f"{layout.SUMS} is not what was published")

    @property
    def members(self) -> int:
        """Files in it."""
        return len(self._index) - 1

    @property
    def size(self) -> int:
        """Bytes of the whole archive."""
        used = int(self._index[-1, 0]) + 2 * tarfile.BLOCKSIZE
        return -(-used // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, in pieces of at most `CHUNK`.

        Raises:
            DamagedRelease: a file was changed or lost; what came so far must not be taken for the whole.
        """
        left = (self.size if stop is None else min(stop, self.size)) - start
        waiting: list[bytes] = []  # small files are sent many at a time
        held = 0
        for piece in self._from(start):
            if held + len(piece) > CHUNK or held >= left:
                yield b"".join(waiting)[:left]
                left -= held
                waiting, held = [], 0
                if left <= 0:
                    return
            waiting.append(piece)
            held += len(piece)
        if left > 0 and held:
            yield b"".join(waiting)[:left]

    def _from(self, start: int) -> Iterator[bytes]:
        """Everything from `start` to the end."""
        first = int(np.searchsorted(self._index[:-1, 0], np.uint64(start), side="right")) - 1
        if start < self._index[-1, 0]:
            opened = self.files.open_each(self._paths(first))
            for at, path, source in zip(range(first, self.members), self._paths(first), opened, strict=True):
                begin, end = int(self._index[at, 0]), int(self._index[at + 1, 0])
                yield from self._member(path, source, max(0, start - begin), end - begin)
        padding = self.size - max(start, int(self._index[-1, 0]))
        while padding > 0:
            yield bytes(min(padding, CHUNK))
            padding -= CHUNK

    def _paths(self, first: int) -> Iterator[str]:
        """The members from number `first` on: SHA256SUMS, then what it lists."""
        if first == 0:
            yield layout.SUMS
        with self._sums.open("rb") as lines:
            lines.seek(int(self._index[max(first, 1), 1]))
            yield from map(_path_of, islice(lines, self.members - max(first, 1)))

    def _member(self, path: str, source: BinaryIO, skip: int, length: int) -> Iterator[bytes]:
        """One member from byte `skip` of its `length`: header, content, padding."""
        with source:
            size = source.seek(0, os.SEEK_END)
            head = _header(self.top, path, size)
            if len(head) + _blocks(size) != length:
                raise DamagedRelease(f"{path} has not the size that it was published with")
            if skip < len(head):
                yield head[skip:]
            place = max(0, skip - len(head))
            source.seek(min(place, size))
            while place < size:
                piece = source.read(min(CHUNK, size - place))
                if not piece:
                    raise DamagedRelease(f"{path} became shorter while it was read")
                place += len(piece)
                yield piece
        yield bytes(length - len(head) - place)


def _write_index(files: Opened, sums: Path, top: str, fingerprint: str, path: Path) -> None:
    digest = hashlib.sha256()
    rows = array("Q", [0, 0])
    place, line_at = _length(top, layout.SUMS, sums.stat().st_size), 0
    with sums.open("rb") as lines:
        for line in lines:
            digest.update(line)
            rows.extend((place, line_at))
            member = _path_of(line)
            place += _length(top, member, files.size(member))
            line_at += len(line)
    if digest.hexdigest() != fingerprint:
        raise DamagedRelease(f"{layout.SUMS} is not what was published")
    rows.extend((place, line_at))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as out:
            rows.tofile(out)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _length(top: str, path: str, size: int) -> int:
    """Bytes that a file takes in the archive."""
    return len(_header(top, path, size)) + _blocks(size)


def _header(top: str, path: str, size: int) -> bytes:
    """A member's header, as `tarfile` writes it; the usual case, a short name, without its detours."""
    name = f"{top}/{path}"
    if len(name) > tarfile.LENGTH_NAME or not name.isascii() or size >= 8**11:
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT)
    head = name.encode().ljust(tarfile.LENGTH_NAME, b"\0") + _MODE_AND_OWNER + b"%011o" % size + _TIME
    checksum = sum(head) + _TAIL_SUM
    return head + b"%06o\0" % checksum + _TAIL


_PLAIN = tarfile.TarInfo("").tobuf(tarfile.PAX_FORMAT)
_MODE_AND_OWNER, _TIME, _TAIL = _PLAIN[100:124], _PLAIN[135:148], _PLAIN[155:]
_TAIL_SUM = sum(_TAIL[1:]) + 8 * ord(" ")
"""What a checksum counts after the size: itself as eight spaces."""


def _path_of(line: bytes) -> str:
    """The path of a line of SHA256SUMS; one that leads out of the folder is no path of a release."""
    path = line.decode().rstrip("\n")[66:]
    if not inside(path):
        raise DamagedRelease(f"{layout.SUMS} names a path that no release has: {path!r}")
    return path


def _blocks(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
