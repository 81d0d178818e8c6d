"""A zip or tar archive. Nothing is unpacked: members are read in memory, so no name can lead out of it."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from ingest.sources.found import BadSource, Found

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    ValueError,
)


def is_archive(path: Path) -> bool:
    """Whether the file's name is an archive's."""
    return path.name.lower().endswith(SUFFIXES)


def find_in_archive(path: Path) -> Iterator[Found]:
    """Every member that is a file, in the archive's order; unsafe and unusual ones say so in `unusable`.

    Raises:
        BadSource: it is no archive, or a damaged one.
    """
    for name, size, _ in _members(path):
        if _hidden(name):
            continue
        unusable = "unsafe_name" if _unsafe(name) else "not_a_file" if size is None else ""
        yield Found(name, unusable=unusable)


def read_members(
    path: Path, wanted: Callable[[str], bool], most: int
) -> Iterator[tuple[str, bytes | None, str]]:
    """`(name, bytes, problem)` of the wanted members, in the archive's order.

    Bytes are None where there is a problem: `too_large` (over `most` bytes) or `unreadable`.

    Raises:
        BadSource: it is no archive, or a damaged one.
    """
    for name, size, read in _members(path):
        if size is None or _unsafe(name) or not wanted(name):
            continue
        if size > most:
            yield name, None, "too_large"
            continue
        try:
            data = read(most + 1)
        except _DAMAGE:
            yield name, None, "unreadable"
            continue
        yield (name, data, "") if len(data) <= most else (name, None, "too_large")


_Member = tuple[str, int | None, Callable[[int], bytes]]


def _members(path: Path) -> Iterator[_Member]:
    """Name, size (None: no regular file) and a way to read at most so many bytes."""
    try:
        if path.name.lower().endswith(".zip"):
            yield from _zip_members(path)
        else:
            yield from _tar_members(path)
    except BadSource:
        raise
    except _DAMAGE as error:
        raise BadSource(
            f"{path}: cannot be read as an archive: {' '.join(str(error).split())[:100]}"
        ) from None


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue

            def read(most: int, info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as member:
                    return member.read(most)

            link = (info.external_attr >> 16) & 0o170000 not in (0, 0o100000)
            yield _text(info.filename), None if link else info.file_size, read


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            if info.isdir():
                continue

            def read(most: int, info: tarfile.TarInfo = info) -> bytes:
                member = archive.extractfile(info)
                return member.read(most) if member else b""

            yield _text(info.name), info.size if info.isreg() else None, read


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "")


def _unsafe(name: str) -> bool:
    """Whether a name would lead out of the place it is unpacked to."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", name))


def _hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts)
