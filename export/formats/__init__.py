"""What other tools read: one module a format, each a `Writer` that is given picture after picture."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from export.reader import Picture, ReleaseFolder

MEGABYTE = 1_000_000


class Writer(Protocol):
    """Writes a release into an empty folder. Equal releases give equal bytes; memory stays flat."""

    def __init__(self, release: ReleaseFolder, out: Path, *, shard_bytes: int, pictures: bool) -> None:
        """Args:
        shard_bytes: about so many bytes a shard, where the format has shards.
        pictures: whether picture files are copied, where the format only points at them.
        """

    def add(self, picture: Picture) -> None:
        """Write one more picture."""

    def close(self) -> None:
        """Write what can only be known at the end."""

    def note(self) -> str:
        """How to open it: Markdown for the README that goes with it."""
