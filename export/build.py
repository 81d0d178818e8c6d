"""From a selection (which pictures, under which labels) to the files of a release; no database.

Memory stays flat: rows and pictures flow through, a few hundred at a time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.checks import fingerprint, sha256_of
from export.pictures import Originals, Wanted, Writer, write_all
from export.places.workplace import Workplace
from export.sealed import answers, sealed_row
from export.tables import GROUP_ROWS, TableWriter, read_rows

BATCH = 128
_MADE_HERE = ("path", "file_sha256", "width", "height")
SELECTION_SCHEMA = pa.schema(
    [field for field in layout.MANIFEST_SCHEMA if field.name not in _MADE_HERE]
    + [pa.field("image_id", pa.int64()), pa.field("category_id", pa.int64())]
)
"""The manifest's columns as far as they are known before a picture is read, and the rows they come from."""


def write_pictures(
    place: Workplace,
    originals: Originals,
    rows: Iterable[dict[str, Any]],
    tick: Callable[[int], object] = lambda n: None,
    *,
    many: bool = False,
    sealed: bool = False,
) -> None:
    """Write every selected picture and the manifest.

    Args:
        rows: of the selection, in its order; they are asked for while pictures are written.
        tick: told how many pictures are done.
        many: whether there is enough to do for several processes.
        sealed: whether the labels of test pictures stay out.

    Raises:
        UnreadablePicture: an original is missing or cannot be decoded.
    """
    rows = iter(rows)
    waiting: deque[list[dict[str, Any]]] = deque()

    def batches() -> Iterator[list[Wanted]]:
        while batch := list(islice(rows, BATCH)):
            waiting.append([_shown(row, sealed) for row in batch])
            yield [Wanted(r["image"], layout.picture_folder(r["split"], r["category"])) for r in waiting[-1]]

    writer = Writer(place.shelf, originals, place.resumed)
    with TableWriter(place.spare / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest:
        for written in write_all(writer, batches(), many=many):
            told = zip(waiting.popleft(), written, strict=True)
            manifest.add(row | picture._asdict() for row, picture in told)
            tick(len(written))
    (place.spare / layout.MANIFEST).replace(place.release / layout.MANIFEST)


def _shown(row: dict[str, Any], sealed: bool) -> dict[str, Any]:
    """A row of the selection as far as the manifest shows it."""
    shown = {key: value for key, value in row.items() if key not in ("image_id", "category_id")}
    return sealed_row(shown) if sealed and row["split"] == "test" else shown


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
