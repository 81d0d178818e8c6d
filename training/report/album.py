"""Which pictures a release or a folder holds, what they are called, and which label goes with which.

Labels name a picture by what their tool knew of it: the task's name, its path, its file's name with or
without the ending, or the SHA-256 of its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ingest.dedup import list_files
from ingest.tables import BadTable, read_table
from quality.aggregation import aggregate

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TASK_NAMES = {"item": "task", "image": "task"}
FILE_NAMES = {"path": "file"}


@dataclass(frozen=True)
class Album:
    """`images`: names, sorted. `files`: where each is. `groups`: pictures of one group are copies of each
    other ("" where nothing is known). `other`: files in the folder that are no pictures by their names."""

    images: list[str]
    files: list[Path]
    groups: list[str]
    other: int = 0


def open_album(place: Path, names: Path | None = None, groups: Path | None = None) -> Album:
    """List a release's pictures (`image` is their SHA-256) or a folder's (`image` is the path inside it).

    Args:
        names: table `task,file`: only these pictures, under these names; files are relative to the folder, or
            to its folder `images`.
        groups: table `path,group`, as `python -m ingest.dedup` writes it.

    Raises:
        BadTable: no such folder, no pictures in it, or a table that does not fit.
    """
    if not place.is_dir():
        raise BadTable(f"{place}: no such folder; give a release or a folder of pictures")
    if (place / "manifest.parquet").is_file() and (place / "SHA256SUMS").is_file():
        manifest = read_table(place / "manifest.parquet", need=("image", "path"))
        copies = list(manifest.get("duplicate_group", [""] * len(manifest)))
        rows = list(zip(manifest["image"], manifest["path"], copies, strict=True))
        other = 0
    elif names:
        table = read_table(names, need=("task", "file"), rename=TASK_NAMES | FILE_NAMES)
        rows = [
            (task, _inside(place, file), "") for task, file in zip(table["task"], table["file"], strict=True)
        ]
        other = 0
    else:
        found = list_files(place)
        rows = [(path, path, "") for path in found if path.lower().endswith(ENDINGS)]
        other = len(found) - len(rows)
    if not rows:
        raise BadTable(f"{place}: no pictures there ({', '.join(ENDINGS)})")
    if len({image for image, _, _ in rows}) < len(rows):
        raise BadTable(f"{names or place}: a picture stands there twice")
    if groups:
        table = read_table(groups, need=("path", "group"))
        group_of = dict(zip(table["path"], table["group"], strict=True))
        rows = [(image, path, group_of.get(path, "")) for image, path, _ in rows]
    rows.sort()
    return Album([r[0] for r in rows], [place / r[1] for r in rows], [r[2] for r in rows], other)


def _inside(place: Path, file: str) -> str:
    return file if (place / file).is_file() or not (place / "images" / file).is_file() else f"images/{file}"


def rows_of(tasks: Sequence[str], images: Sequence[str], digests: Sequence[str]) -> np.ndarray:
    """int64[len(tasks)]: the picture that each task means, or -1 where none or several go by that name."""
    known: dict[str, int] = {}
    for spelled in (
        digests,
        [PurePosixPath(image).stem for image in images],
        [PurePosixPath(image).name for image in images],
        images,
    ):
        known |= _unique(spelled)
    return np.array([known.get(task, -1) for task in tasks], dtype=np.int64)


def _unique(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, name in enumerate(names):
        found[name] = -1 if name in found else row
    return found


def soft_labels(path: Path) -> pd.DataFrame:
    """`task,label,probability` from a table of votes, of probabilities, or of labels.

    Votes (`task,worker,label`) are settled by `quality.aggregation` first and their posterior is taken; a
    consensus (`task,label,confidence`) has its confidence on its label and the rest spread over the others.

    Raises:
        BadTable: a table that is none of these.
    """
    frame = read_table(
        path,
        need=("task", "label"),
        rename=TASK_NAMES | {"category": "label"},
        numbers=("probability", "confidence"),
    )
    if "worker" in frame:
        return aggregate(frame).posteriors
    frame = frame[(frame["task"] != "") & (frame["label"] != "")].reset_index(drop=True)
    if "probability" in frame:
        return _positive(frame, "probability", path)
    frame = frame.drop_duplicates("task", keep="last")
    if "confidence" not in frame:
        return frame[["task", "label"]].assign(probability=1.0)
    return _positive(frame, "confidence", path).rename(columns={"confidence": "probability"})


def _positive(frame: pd.DataFrame, column: str, path: Path) -> pd.DataFrame:
    bad = ~frame[column].between(0, 1)
    if bad.any():
        raise BadTable(f"{path}: column {column}: {frame[column][bad].iloc[0]} is no probability")
    return frame[["task", "label", column]]


def as_targets(
    soft: pd.DataFrame, rows: np.ndarray, pictures: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A row of probabilities for each picture.

    Args:
        soft: `task,label,probability`; what a task's row lacks to 1 is spread over its other labels.
        rows: int64[len(soft)], the picture of each row, or -1.

    Returns:
        targets float64[pictures, labels] (rows of zeros where nothing is known), the task's name for each
        picture (object[pictures]; where several tasks mean one picture, the first), the labels, sorted.
    """
    here = rows >= 0
    labels = sorted(set(soft["label"][here]))
    position = {label: i for i, label in enumerate(labels)}
    targets = np.zeros((pictures, len(labels)))
    names = np.full(pictures, "", dtype=object)
    column = soft["label"][here].map(position).to_numpy()
    task, at = soft["task"][here].to_numpy(), rows[here]
    names[at[::-1]] = task[::-1]
    first = names[at] == task
    targets[at[first], column[first]] = soft["probability"][here].to_numpy()[first]
    total = targets.sum(axis=1)
    free = (targets == 0).sum(axis=1)
    lacking = np.where((total > 0) & (free > 0), np.maximum(1 - total, 0) / np.maximum(free, 1), 0.0)
    targets += np.where(targets == 0, lacking[:, None], 0.0)
    total = targets.sum(axis=1, keepdims=True)
    return np.divide(targets, total, out=np.zeros_like(targets), where=total > 0), names, labels
