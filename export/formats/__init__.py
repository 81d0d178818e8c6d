"""What other tools read: one module a format, each a `Writer` that is given picture after picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from export.reader import Picture, ReleaseFolder

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Options:
    """What a format may be asked.

    `shard_bytes`, `shard_pictures`: at most so many bytes of pictures (or one picture) and so many pictures a
    shard, where the format has shards. `pictures`: whether picture files are copied, where the format only
    points at them.
    """

    shard_bytes: int = 256 * MEGABYTE
    shard_pictures: int = 10_000
    pictures: bool = True

    def full(self, held: int, pictures: int, more: int) -> bool:
        """Whether a shard of `held` bytes and so many pictures has no room for `more` bytes."""
        return pictures >= self.shard_pictures or held + more > self.shard_bytes


class Writer(Protocol):
    """Writes a release into an empty folder. Equal releases give equal bytes; memory stays flat."""

    def __init__(self, release: ReleaseFolder, out: Path, options: Options) -> None:
        """Open what is needed at the beginning."""

    def add(self, picture: Picture) -> None:
        """Write one more picture."""

    def close(self) -> None:
        """Write what can only be known at the end."""

    def note(self) -> str:
        """How to open it: Markdown for the README that goes with it."""
