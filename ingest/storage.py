"""Content-addressed storage of picture bytes behind one small interface: the SHA-256 is the name."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol


class MissingBytes(LookupError):
    """The store holds nothing under this SHA-256, or what it holds no longer matches it."""


class Store(Protocol):
    """What every store can do; the local folder below is one, an S3 bucket another."""

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256 (64 hex digits). The same bytes again change nothing."""

    def get(self, sha256: str) -> bytes:
        """The bytes, checked against their name.

        Raises:
            MissingBytes: nothing there, or damaged.
        """

    def has(self, sha256: str) -> bool:
        """Whether something is kept under this name."""

    def remove(self, sha256: str) -> None:
        """Forget what is kept under this name, if anything is."""


class FolderStore:
    """A store in a local folder, as `ab/cd/<sha256>`: 65,536 folders keep each small at 14 million files."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, sha256: str) -> Path:
        """Where the bytes of this SHA-256 stand (whether or not they do)."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise MissingBytes(f"not a SHA-256: {sha256!r}")
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def put(self, data: bytes) -> str:
        """See `Store.put`. Written beside its name, flushed, then renamed: a kill leaves no half file."""
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.path(sha256)
        if target.exists() and target.stat().st_size == len(data):
            return sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return sha256

    def get(self, sha256: str) -> bytes:
        """See `Store.get`."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise MissingBytes(f"the store lacks {sha256}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise MissingBytes(f"the bytes of {sha256} are damaged in the store")
        return data

    def has(self, sha256: str) -> bool:
        """See `Store.has`."""
        return self.path(sha256).exists()

    def remove(self, sha256: str) -> None:
        """See `Store.remove`."""
        self.path(sha256).unlink(missing_ok=True)


def open_store(url: str) -> Store:
    """The store at a folder path or `file://` URL.

    Raises:
        ValueError: a kind of address that this version cannot open.
    """
    if "://" in url and not url.startswith("file://"):
        raise ValueError(f"STORAGE_URL {url!r}: only folders and file:// can be opened")
    return FolderStore(Path(url.removeprefix("file://")))
