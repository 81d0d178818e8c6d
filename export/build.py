"""From a selection (which pictures, under which labels) to the files of a release; no database.

Memory stays flat: rows and pictures flow through, a few hundred at a time.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from export import layout
from export.checks import fingerprint, sha256_of
from export.pixels import Pixels, release_picture
from export.sealed import answers, sealed_row
from export.shelf import Shelf
from export.strip import Cleaned
from export.tables import GROUP_ROWS, TableWriter, read_rows
from export.workplace import Workplace
from ingest.decode import RejectedPicture
from ingest.storage import Store

BATCH = 128
AHEAD = 16
"""Batches handed out before the first of them is asked for."""
MANY = 2_000
"""From so many pictures on, several processes are worth their start."""
_Rows = list[dict[str, Any]]
_MADE_HERE = ("path", "file_sha256", "width", "height")
SELECTION_SCHEMA = pa.schema(
    [field for field in layout.MANIFEST_SCHEMA if field.name not in _MADE_HERE]
    + [pa.field("image_id", pa.int64()), pa.field("category_id", pa.int64())]
)
"""The manifest's columns as far as they are known before a picture is read, and the rows they come from."""


class UnreadablePicture(RuntimeError):
    """An original that cannot be released: missing, damaged or no picture. One line for the user."""


class Originals(Protocol):
    """Gives the picture of a selection row as it is released; it can be sent to another process."""

    def __call__(self, row: dict[str, Any]) -> Cleaned:
        """Raises UnreadablePicture where there is none."""


@dataclass(frozen=True)
class FromStore:
    """Pictures made from the originals in `store`; `pixels`: what becomes of their pixels."""

    store: Store
    pixels: Pixels

    def __call__(self, row: dict[str, Any]) -> Cleaned:
        """See `Originals`."""
        try:
            return release_picture(self.store.get(row["image"]), self.pixels)
        except LookupError as error:
            raise UnreadablePicture(f"an original is gone: {error}; run check_integrity") from None
        except RejectedPicture as error:
            raise UnreadablePicture(f"the original {row['image']} cannot be released: {error}") from None


@dataclass(frozen=True)
class FromRelease:
    """Pictures as another release of the same dataset has them, byte for byte."""

    shelf: Shelf
    location: str

    def __call__(self, row: dict[str, Any]) -> Cleaned:
        """See `Originals`."""
        found = _picture_on(self.shelf, row)
        if found is None:
            raise UnreadablePicture(f"{self.location} lacks the picture {row['image']}; run verify_release")
        return found


@dataclass(frozen=True)
class _Writer:
    """Writes a batch of selected pictures, here or in another process; gives their rows of the manifest."""

    shelf: Shelf
    originals: Originals
    sealed: bool
    resumed: bool

    def __call__(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with warnings.catch_warnings(action="ignore"):  # damaged EXIF only warns; it is left out anyway
            return [self._write(row) for row in rows]

    def _write(self, row: dict[str, Any]) -> dict[str, Any]:
        """One picture, unless an earlier, killed run wrote it: what such a run left is whole."""
        if self.sealed and row["split"] == "test":
            row = sealed_row(row)
        clean = _picture_on(self.shelf, row) if self.resumed else None
        if clean is None:
            clean = self.originals(row)
            self.shelf.put(_path(row, clean.extension), clean.data)
        made = {
            "path": _path(row, clean.extension),
            "file_sha256": hashlib.sha256(clean.data).hexdigest(),
            "width": clean.width,
            "height": clean.height,
        }
        return {key: value for key, value in row.items() if key not in ("image_id", "category_id")} | made


def write_pictures(
    place: Workplace,
    originals: Originals,
    tick: Callable[[int], object] = lambda n: None,
    *,
    sealed: bool = False,
) -> None:
    """Write every selected picture and the manifest.

    Args:
        tick: told how many pictures are done.
        sealed: whether the labels of test pictures stay out.

    Raises:
        UnreadablePicture: an original is missing or cannot be decoded.
    """
    with pq.ParquetFile(place.selection, pre_buffer=False) as selection:
        many = selection.metadata.num_rows >= MANY
    rows = read_rows(place.selection)
    batches = iter(lambda: list(islice(rows, BATCH)), [])
    writer = _Writer(place.shelf, originals, sealed, place.resumed)
    with (
        TableWriter(place.spare / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest,
        _pool(place.shelf, many) as pool,
    ):
        for written in _in_order(pool, writer, batches):
            manifest.add(written)
            tick(len(written))
    (place.spare / layout.MANIFEST).replace(place.release / layout.MANIFEST)


def _pool(shelf: Shelf, many: bool) -> Executor:
    """Processes where there is much to do: decoding small pictures is mostly Python, one thread at a time."""
    workers = os.cpu_count() or 1
    if not many or not shelf.processes or workers == 1:
        return ThreadPoolExecutor(shelf.threads)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(min(16, workers), context, initializer=_die_with, initargs=(os.getpid(),))


def _die_with(parent: int) -> None:
    """A process whose parent was killed would wait for work for ever: it leaves within a second."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_order(pool: Executor, work: Callable[[_Rows], _Rows], batches: Iterator[_Rows]) -> Iterator[_Rows]:
    """`map` that takes only a few batches more than it has given back, so that memory stays flat."""
    waiting: deque[Future[_Rows]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _path(row: dict[str, Any], extension: str) -> str:
    folder = row["category"] or layout.UNLABELLED
    return layout.picture_path(row["split"], folder, row["image"], extension)


def _picture_on(shelf: Shelf, row: dict[str, Any]) -> Cleaned | None:
    """The picture of this row where it is kept; None where there is none that opens."""
    for extension in layout.EXTENSIONS:
        data = shelf.get(_path(row, extension))
        if data is None:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:
                return Cleaned(data, extension, *image.size)
        except OSError:
            continue
    return None


def write_answers(place: Workplace) -> dict[str, Any]:
    """The labels of a sealed release's test pictures, to be put beside it; what release.json says of them."""
    data = answers(read_rows(place.selection, ["image", "split", "category"]))
    place.answers.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return {"file": place.final_answers.name, "sha256": digest, "images": data.count(b"\n") - 1}


def write_json(place: Workplace, name: str, document: Any) -> None:
    """A JSON file with sorted keys; lists keep their order."""
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    place.put(name, (text + "\n").encode())


def category_rows(tree: list[dict[str, Any]], classes: set[str]) -> list[dict[str, Any]]:
    """categories.json: the classes in order of their index, then the tree's other nodes without one.

    Args:
        tree: `{id, name, gloss, parent, synonyms}` of every category of the dataset.
        classes: ids of the categories that have pictures.
    """
    index = {key: place for place, key in enumerate(sorted(classes))}
    ordered = sorted(tree, key=lambda c: (c["id"] not in index, c["id"]))
    return [{**c, "index": index.get(c["id"])} for c in ordered]


def write_sums(place: Workplace) -> str:
    """SHA256SUMS over every other file, sorted by path; returns the release's fingerprint.

    The manifest is sorted by image, and so are the pictures of each folder in it: their lines wait in a file
    for each folder until the folders' turn comes.
    """
    lines = place.spare / "sums"
    shutil.rmtree(lines, ignore_errors=True)
    lines.mkdir()
    numbers: dict[str, int] = {}
    with pq.ParquetFile(place.release / layout.MANIFEST, pre_buffer=False) as table:
        for batch in table.iter_batches(batch_size=GROUP_ROWS, columns=["path", "file_sha256"]):
            waiting: dict[str, list[str]] = {}
            for row in batch.to_pylist():
                folder = row["path"].rpartition("/")[0] + "/"
                waiting.setdefault(folder, []).append(f"{row['file_sha256']}  {row['path']}\n")
            for folder, found in waiting.items():
                with (lines / str(numbers.setdefault(folder, len(numbers)))).open("a") as out:
                    out.writelines(found)
    others = {p: sha256_of(place.release / p) for p in files_beside_pictures(place.release)}
    target = place.spare / layout.SUMS
    with target.open("w") as out:
        for path in sorted({*numbers, *others} - {layout.SUMS}):
            if path in numbers:
                with (lines / str(numbers[path])).open() as part:
                    shutil.copyfileobj(part, out)
            else:
                out.write(f"{others[path]}  {path}\n")
    target.replace(place.release / layout.SUMS)
    return fingerprint(place.release)


def files_beside_pictures(folder: Path) -> list[str]:
    """Files that stand in the folder itself, and the card's figures."""
    figures = [path for path in layout.FIGURES if (folder / path).is_file()]
    return [*(path.name for path in folder.iterdir() if path.is_file()), *figures]
