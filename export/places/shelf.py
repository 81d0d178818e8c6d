"""Where the pictures of a release are put while it grows: a folder on this machine.

A shelf is small and can be sent to another process, which puts pictures on it there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Shelf(Protocol):
    """What the writer of pictures needs of the place where they go."""

    processes: bool
    """Whether several processes put pictures faster than several threads."""
    threads: int
    """How many threads put pictures, where threads do."""

    def put(self, path: str, data: bytes) -> None:
        """Keep one file under its path inside the release, whole or not at all."""

    def get(self, path: str) -> bytes | None:
        """What is kept under a path; None where nothing is."""


@dataclass
class FolderShelf:
    """`release` grows, `spare` is on the same disk and holds what is being written."""

    release: Path
    spare: Path
    processes: bool = True
    threads: int = min(4, os.cpu_count() or 1)
    _made: set[str] = field(default_factory=set)

    def put(self, path: str, data: bytes) -> None:
        """See `Shelf.put`: written beside its name, then renamed."""
        folder, _, name = path.rpartition("/")
        if folder not in self._made:
            (self.release / folder).mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        temporary = f"{self.spare}/{name}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)
        Path(temporary).replace(self.release / path)

    def get(self, path: str) -> bytes | None:
        """See `Shelf.get`."""
        try:
            return (self.release / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def read_in(folder: Path, path: str) -> bytes:
    """A file of a folder, by its path inside it."""
    return (folder / path).read_bytes()
