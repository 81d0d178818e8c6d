"""Is a release sound? The rules of `export.checks` in one pass, in memory that hardly grows with it.

Files are walked in order of their paths beside SHA256SUMS, tables are read in batches; what stays in memory
is about 40 bytes a picture. Where anything is not exactly as it must be the answer is no, and `export.checks`
looks again to name what is wrong. The manifest is in order of images, the files are in order of paths: a sum
of hashes, which no order changes (128 bits of BLAKE2), shows that both tell of the same pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.checks import picture_checks, table_checks
from export.sealed import is_sealed, leaks, names_of
from export.tables import GROUP_ROWS, give_back_memory

Tick = Callable[[int], object]
Seen = tuple[str, str | None, tuple[int, ...]]
"""A file that is there: path, SHA-256 (None: trusted to be the one listed), a picture's size if opened."""
_MODULUS = 1 << 128
_TEXT_LIMIT = 64 << 20
"""A description larger than this is not read at once; `export.checks` decides."""


@dataclass
class _Sum:
    """What stands for a set of pictures, in whatever order they come."""

    total: int = 0

    def add(self, path: str, digest: str, size: object) -> None:
        line = f"{path}\n{digest}\n{size}".encode()
        self.total += int.from_bytes(hashlib.blake2b(line, digest_size=16).digest(), "big")
        self.total %= _MODULUS


@dataclass
class _Images:
    """The manifest's rows as numbers: 64 bits of each image's hash, its votes and whether it is in test."""

    keys: list[np.ndarray] = field(default_factory=list)
    votes: list[np.ndarray] = field(default_factory=list)
    test: list[np.ndarray] = field(default_factory=list)
    groups: list[np.ndarray] = field(default_factory=list)
    splits: list[np.ndarray] = field(default_factory=list)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    last: str = ""


def is_sound(
    folder: Path,
    *,
    decode: bool = True,
    tick: Tick = lambda n: None,
    walk: Iterator[Seen] | None = None,
) -> bool:
    """Whether a release folder keeps every rule.

    Args:
        folder: holds everything but the pictures, which may be elsewhere: see `walk`.
        decode: whether every picture is opened; without it, pictures with the manifest's checksums are
            trusted to be what they were when they were written.
        tick: told how many files were checked.
        walk: every file in order of the paths, where they are not all in the folder.
    """
    try:
        documents = {
            name: json.loads((folder / name).read_text("utf-8"))
            for name in (layout.CATEGORIES, layout.RELEASE, layout.CROISSANT)
        }
        found = _Sum()
        seen = walk_folder(folder, decode) if walk is None else walk
        actual = _compare(folder / layout.SUMS, seen, found, tick)
        return actual is not None and _tables_are_sound(folder, documents, actual, found, decode)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
        return False


def files_in_order(folder: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(path, entry) of everything that is no folder, in order of the paths as text."""
    with os.scandir(folder / below if below else folder) as entries:
        named = sorted(
            (entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name, entry)
            for entry in entries
        )  # fmt: skip
    for name, entry in named:
        if name.endswith("/"):
            yield from files_in_order(folder, below + name)
        else:
            yield below + name, entry


def walk_folder(folder: Path, decode: bool) -> Iterator[Seen]:
    """Every file of a folder but SHA256SUMS, in order of the paths."""
    for path, entry in files_in_order(folder):
        if path == layout.SUMS:
            continue
        if not entry.is_file(follow_symlinks=False):
            yield path, "", ()
        elif path.split("/", 1)[0] in layout.SPLITS:
            yield see_picture(path, _bytes_of(entry.path), decode)
        else:
            yield path, _digest(Path(entry.path)), ()


def _bytes_of(path: str) -> bytes:
    """As `Path.read_bytes`, in half of its time: of a small picture's check that is most of it."""
    with Path(path).open("rb", buffering=0) as file:
        return file.read()


def see_picture(path: str, data: bytes, decode: bool) -> Seen:
    """A picture's checksum, and its size where it is opened; a checksum that none has where it is faulty."""
    digest = hashlib.sha256(data).hexdigest()
    if not decode:
        return path, digest, ()
    faults, size = picture_checks.examine_picture(data, path)
    return (path, "", ()) if faults or size is None else (path, digest, size)


def listed(sums: Path) -> Iterator[tuple[str, str]]:
    """(path, checksum) of every line of SHA256SUMS."""
    with sums.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            digest, _, path = line.removesuffix("\n").partition("  ")
            yield path, digest


def _compare(sums: Path, seen: Iterator[Seen], found: _Sum, tick: Tick) -> dict[str, str] | None:
    """Every file beside its line of SHA256SUMS; checksums of what is no picture, None where one differs."""
    actual: dict[str, str] = {}
    due = listed(sums)
    for path, digest, size in seen:
        line = next(due, None)
        if line is None or line[0] != path or digest not in (None, line[1]):
            return None
        if path.split("/", 1)[0] in layout.SPLITS:
            found.add(path, line[1], size)
        else:
            actual[path] = line[1]
        tick(1)
    return actual if next(due, None) is None else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(path: Path) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(path, pre_buffer=False) as table:
        for batch in table.iter_batches(batch_size=2 * GROUP_ROWS):
            yield batch.to_pandas()
    give_back_memory()


def _tables_are_sound(
    folder: Path, documents: dict[str, Any], actual: dict[str, str], found: _Sum, decode: bool
) -> bool:
    release, categories = documents[layout.RELEASE], documents[layout.CATEGORIES]
    if not set(layout.FILES) - {layout.SUMS} <= actual.keys():
        return False
    sealed = is_sealed(release)
    images, said = _Images(), _Sum()
    for batch in _batches(folder / layout.MANIFEST):
        if not _manifest_is_sound(batch, images, said, sealed, decode):
            return False
    if said.total != found.total or not images.keys or not _groups_are_sound(images):
        return False
    index, votes = _indexed(images, sealed)
    if not _votes_are_sound(folder, index, votes):
        return False
    if not _posteriors_are_sound(folder, index):
        return False
    pairs = pd.DataFrame(sorted(images.pairs), columns=["split", "category"], dtype=object)
    pairs = pairs[pairs["split"] != "test"] if sealed else pairs
    faults = [
        *table_checks.class_faults(pairs, categories, release),
        *table_checks.release_faults(images.counts, release),
        *table_checks.croissant_faults(documents[layout.CROISSANT], release, actual),
    ]
    if faults or not images.counts.get("test"):
        return False
    return not sealed or _seal_holds(folder, release, actual, images.counts["test"], index)


def _manifest_is_sound(batch: pd.DataFrame, images: _Images, said: _Sum, sealed: bool, decode: bool) -> bool:
    """The rules of single rows, and that images come in order, once each."""
    if set(layout.MANIFEST_SCHEMA.names) - set(batch.columns):
        return False
    shas = list(batch["image"])
    if sorted({*shas}) != shas or (images.last and shas[0] <= images.last):
        return False
    images.last = shas[-1]
    if any(True for _ in table_checks.row_faults(batch, sealed)):
        return False
    if sealed and any(True for _ in leaks(batch, None, None, {})):
        return False
    sizes = zip(batch["width"].tolist(), batch["height"].tolist(), strict=True) if decode else None
    for path, digest in zip(batch["path"], batch["file_sha256"], strict=True):
        said.add(path, digest, next(sizes) if sizes is not None else ())
    images.keys.append(_hashes(batch["image"]))
    images.votes.append(batch["votes"].to_numpy(np.int32))
    images.test.append((batch["split"] == "test").to_numpy(bool))
    grouped = batch[batch["duplicate_group"].notna()]
    images.groups.append(_hashes(grouped["duplicate_group"]))
    images.splits.append(grouped["split"].map(layout.SPLITS.index).to_numpy(np.int8))
    images.pairs.update(zip(batch["split"], batch["category"], strict=True))
    for split, number in batch["split"].value_counts().items():
        images.counts[str(split)] = images.counts.get(str(split), 0) + int(number)
    return True


def _hashes(column: pd.Series) -> np.ndarray:
    return pd.util.hash_array(column.to_numpy(object), categorize=False)


def _groups_are_sound(images: _Images) -> bool:
    """No group in two splits; twice only in test."""
    groups, splits = _taken(images.groups), _taken(images.splits)
    outside = groups[splits != layout.SPLITS.index("test")]
    # One number for each pair: 64 bits of hash, moved by an odd constant for each split.
    pairs = len(np.unique(groups + splits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)))
    return pairs == len(np.unique(groups)) and len(outside) == len(np.unique(outside))


def _taken(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array, in whose place they are freed."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


@dataclass
class _Index:
    """Images by hash, in order; `test` tells which of them a sealed release must not speak of."""

    keys: np.ndarray
    test: np.ndarray
    sealed: bool

    def places(self, column: pd.Series) -> np.ndarray | None:
        """Where the images of a table's rows stand; None where one is no released image, or is sealed."""
        wanted = _hashes(column)
        places = np.searchsorted(self.keys, wanted)
        if len(wanted) and (places.max() >= len(self.keys) or (self.keys[places] != wanted).any()):
            return None
        return None if self.sealed and self.test[places].any() else places


def _indexed(images: _Images, sealed: bool) -> tuple[_Index, np.ndarray]:
    """The images by hash, and how many votes each has in that order."""
    keys, votes, test = _taken(images.keys), _taken(images.votes), _taken(images.test)
    order = np.argsort(keys, kind="stable")
    return _Index(keys[order], test[order], sealed), votes[order]


def _votes_are_sound(folder: Path, index: _Index, votes: np.ndarray) -> bool:
    cast = np.zeros(len(votes), np.int64)
    for batch in _batches(folder / layout.VOTES):
        if set(layout.VOTES_SCHEMA.names) - set(batch.columns) - {"proposed"}:
            return False
        places = index.places(batch["image"])
        if places is None or batch[["image", "worker", "label"]].isna().any(axis=None):
            return False
        cast += np.bincount(places, minlength=len(cast))
    return bool((cast == votes).all())


def _posteriors_are_sound(folder: Path, index: _Index) -> bool:
    """In order of image and category, once each; probabilities that sum to at most 1."""
    sums, last = np.zeros(len(index.keys)), ("", "")
    for batch in _batches(folder / layout.POSTERIORS):
        if set(layout.POSTERIORS_SCHEMA.names) - set(batch.columns):
            return False
        places, chance = index.places(batch["image"]), batch["probability"].to_numpy(float)
        rows = list(zip(batch["image"], batch["category"], strict=True))
        if places is None or not ((chance >= 0) & (chance <= 1)).all():
            return False
        if rows and (rows[0] <= last or any(a >= b for a, b in pairwise(rows))):
            return False
        last = rows[-1] if rows else last
        sums += np.bincount(places, chance, minlength=len(sums))
    return bool((sums <= 1 + table_checks.SLACK).all())


def _seal_holds(folder: Path, release: Any, actual: dict[str, str], test: int, index: _Index) -> bool:
    if not table_checks.tells_answers(release, test):
        return False
    for path in actual.keys() - set(layout.TABLES):
        if (folder / path).stat().st_size > _TEXT_LIMIT:
            return False
        named = names_of((folder / path).read_bytes().decode("utf-8", "replace"))
        # A name that is no test picture's has no place among the keys, or one that is not in test.
        for name in named:
            place = np.searchsorted(index.keys, key := _hashes(pd.Series([name], dtype=object))[0])
            if place < len(index.keys) and index.keys[place] == key and index.test[place]:
                return False
    return True
