"""A finished release folder as a stream: its classes, and its pictures with all that is known of each.

What `convert`, `diff` and the figures read a release through; the trainer has its own, stricter eyes. Rows
flow through a few thousand at a time, so that a release of any size needs the same memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from export import layout
from export.checks import fingerprint
from export.tables import read_rows

UNLABELLED = "test/unlabelled"
"""Where a sealed release keeps its test pictures (DESIGN.md, "Release folder")."""
_IMAGE = re.compile(r"[0-9a-f]{64}")


class UnreadableRelease(ValueError):
    """A folder that is no release, or not one that can be read. One line for the user."""


@dataclass(frozen=True)
class Picture:
    """One picture of a release.

    `category` and `index` are None where the release does not tell the label (the test split of a sealed
    one). `known`: its row of the manifest. `soft`: category -> probability, where there are votes.
    """

    image: str
    path: str
    split: str
    category: str | None
    index: int | None
    known: dict[str, Any]
    soft: dict[str, float]

    @property
    def extension(self) -> str:
        """`jpg`, `png` or `webp`."""
        return self.path.rsplit(".", 1)[-1]


class ReleaseFolder:
    """A release folder, opened: `about` is release.json, `tree` is categories.json."""

    def __init__(self, path: Path) -> None:
        """Read the small files.

        Raises:
            UnreadableRelease: the folder is none, or lacks what every release has.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            raise UnreadableRelease(f"{path}: no such folder")
        for name in (layout.SUMS, layout.MANIFEST, layout.RELEASE, layout.CATEGORIES):
            if not (self.path / name).is_file():
                raise UnreadableRelease(f"{path}: no release: {name} is missing")
        self.about: dict[str, Any] = self._json(layout.RELEASE, dict)
        self.tree: list[dict[str, Any]] = self._json(layout.CATEGORIES, list)
        self.fingerprint = fingerprint(self.path)
        try:
            self.name = layout.folder_name(self.about["name"], self.about["version"])
            held = [node for node in self.tree if node.get("index") is not None]
            self.classes = sorted(held, key=lambda node: int(node["index"]))
            self._index = {str(node["id"]): int(node["index"]) for node in self.classes}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UnreadableRelease(
                f"{path}: {layout.RELEASE} or {layout.CATEGORIES} is not as a release has it"
            ) from None

    def _json(self, name: str, kind: type) -> Any:
        try:
            found = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UnreadableRelease(f"{self.path / name}: cannot be read: {_line(error)}") from None
        if not isinstance(found, kind):
            raise UnreadableRelease(f"{self.path / name}: is not what a release has there")
        return found

    @cached_property
    def unlabelled(self) -> dict[str, str]:
        """Image -> path of the test pictures whose labels a sealed release keeps back, sorted."""
        folder = self.path / UNLABELLED
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        return {n.split(".")[0]: f"{UNLABELLED}/{n}" for n in names if _IMAGE.match(n)}

    def __len__(self) -> int:
        """How many pictures there are."""
        try:
            listed = pq.read_metadata(self.path / layout.MANIFEST).num_rows
        except (OSError, pa.ArrowException) as error:
            raise UnreadableRelease(f"{self.path / layout.MANIFEST}: {_line(error)}") from None
        return listed + len(self._unlisted)

    @cached_property
    def _unlisted(self) -> dict[str, str]:
        """The sealed pictures that the manifest does not name."""
        if not self.unlabelled:
            return {}
        rows = self.rows(layout.MANIFEST, ["image", "split"])
        listed = {row["image"] for row in rows if row["split"] == "test"}
        return {image: path for image, path in self.unlabelled.items() if image not in listed}

    def rows(self, table: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of one of its tables.

        Raises:
            UnreadableRelease: it is no readable Parquet, or has no such columns.
        """
        try:
            yield from read_rows(self.path / table, columns)
        except (OSError, pa.ArrowException) as error:
            raise UnreadableRelease(f"{self.path / table}: {_line(error)}") from None

    def pictures(self) -> Iterator[Picture]:
        """Every picture, by image: SHA-256 order, which mixes the classes and never changes.

        Raises:
            UnreadableRelease: a table cannot be read or is not sorted by image.
        """
        unlisted = (self._unlisted_row(image, path) for image, path in self._unlisted.items())
        listed = sorted_rows(self.rows(layout.MANIFEST), str(self.path / layout.MANIFEST))
        known = _merged(listed, unlisted)
        soft = _Follower(sorted_rows(self.rows(layout.POSTERIORS), str(self.path / layout.POSTERIORS)))
        for row in known:
            category = row.get("category") or None
            if category is not None and category not in self._index:
                raise UnreadableRelease(f"{self.path}: {layout.CATEGORIES} gives no index to {category}")
            labels = {r["category"]: r["probability"] for r in soft.of(row["image"])}
            index = None if category is None else self._index[category]
            yield Picture(row["image"], row["path"], row["split"], category, index, row, labels)

    def _unlisted_row(self, image: str, path: str) -> dict[str, Any]:
        """What the file itself says of a picture that the manifest does not name."""
        try:
            with Image.open(self.path / path) as opened:
                width, height = opened.size
        except OSError as error:
            raise UnreadableRelease(f"{self.path / path}: {_line(error)}") from None
        return {"image": image, "path": path, "split": "test", "width": width, "height": height}

    def read(self, picture: Picture) -> bytes:
        """A picture's bytes.

        Raises:
            UnreadableRelease: the file is gone.
        """
        try:
            return (self.path / picture.path).read_bytes()
        except OSError as error:
            raise UnreadableRelease(f"{self.path / picture.path}: {error.strerror or error}") from None


def sorted_rows(rows: Iterable[dict[str, Any]], what: str) -> Iterator[dict[str, Any]]:
    """The rows, as long as they are sorted by image.

    Raises:
        UnreadableRelease: they are not; `what` names the table.
    """
    last = ""
    for row in rows:
        if row["image"] < last:
            raise UnreadableRelease(f"{what}: is not sorted by image")
        last = row["image"]
        yield row


def _merged(a: Iterator[dict[str, Any]], b: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Two tables sorted by image as one."""
    left, right = next(a, None), next(b, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left["image"] <= right["image"]):
            assert left is not None
            yield left
            left = next(a, None)
        else:
            yield right
            right = next(b, None)


class _Follower:
    """Gives the rows of one image after another, out of a table sorted by image."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._groups = ((image, list(held)) for image, held in groupby(rows, key=itemgetter("image")))
        self._next = next(self._groups, None)

    def of(self, image: str) -> list[dict[str, Any]]:
        """The rows of this image; ask in sorted order."""
        while self._next is not None and self._next[0] < image:
            self._next = next(self._groups, None)
        return self._next[1] if self._next is not None and self._next[0] == image else []


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
