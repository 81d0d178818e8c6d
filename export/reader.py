"""A finished release folder as a stream: its classes, and its pictures with all that is known of each.

What `convert`, `diff` and the figures read a release through; the trainer has its own, stricter eyes. Rows
flow through a few thousand at a time, so that a release of any size needs the same memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.checks import fingerprint
from export.tables import read_rows


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
    """A release folder, opened: `about` is release.json, `tree` is categories.json.

    `classes`: the categories that have pictures, by class index. `sealed`: whether test labels are kept back.
    """

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
            self.sealed = bool(self.about.get("parameters", {}).get("sealed"))
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

    def __len__(self) -> int:
        """How many pictures there are."""
        return count_rows(self.path / layout.MANIFEST)

    def pictures(self) -> Iterator[Picture]:
        """Every picture, by image: SHA-256 order, which mixes the classes and never changes.

        Raises:
            UnreadableRelease: a table cannot be read or is not sorted by image.
        """
        listed = sorted_rows(rows_in(self.path, layout.MANIFEST), str(self.path / layout.MANIFEST))
        soft = _Follower(
            sorted_rows(rows_in(self.path, layout.POSTERIORS), str(self.path / layout.POSTERIORS))
        )
        for row in listed:
            category = row.get("category") or None
            if category is not None and category not in self._index:
                raise UnreadableRelease(f"{self.path}: {layout.CATEGORIES} gives no index to {category}")
            labels = {r["category"]: r["probability"] for r in soft.of(row["image"])}
            index = None if category is None else self._index[category]
            yield Picture(row["image"], row["path"], row["split"], category, index, row, labels)

    def read(self, picture: Picture) -> bytes:
        """A picture's bytes.

        Raises:
            UnreadableRelease: the file is gone.
        """
        try:
            return (self.path / picture.path).read_bytes()
        except OSError as error:
            raise UnreadableRelease(f"{self.path / picture.path}: {error.strerror or error}") from None

    def copy(self, picture: Picture, target: Path) -> None:
        """A copy of a picture's file.

        Raises:
            UnreadableRelease: the file is gone.
        """
        try:
            shutil.copyfile(self.path / picture.path, target)
        except FileNotFoundError:
            raise UnreadableRelease(f"{self.path / picture.path}: is gone") from None


def count_rows(table: Path) -> int:
    """How many rows a table has.

    Raises:
        UnreadableRelease: it is no readable Parquet.
    """
    try:
        return int(pq.read_metadata(table).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableRelease(f"{table}: {_line(error)}") from None


def rows_in(folder: Path, table: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one of a release's tables.

    Raises:
        UnreadableRelease: it is no readable Parquet, or has no such columns.
    """
    try:
        yield from read_rows(folder / table, columns)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableRelease(f"{folder / table}: {_line(error)}") from None


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
