"""Every rule that a release folder keeps, checked over the folder alone (no database).

`check_release` is what `export_release` asks before a release gets its name, what `verify_release` and
`python -m export.verify` print, and what a trainer can ask before it spends hours on a damaged folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.checks import picture_checks, table_checks
from export.checks.soundness import is_sound
from export.sealed import is_sealed

CHUNK = 1 << 20

RULES: dict[str, str] = {
    "files": "all files of a release are there and can be read",
    "sums": "SHA256SUMS lists every other file, and every checksum is right",
    "columns": "the tables have the columns of the contract",
    "manifest": "one row per picture, one picture per row, in the folder of its split and category",
    "picture": "every picture opens, has the size and the format that the manifest says",
    "metadata": "no picture carries camera data, location or comments",
    "split": "no duplicate group stands in two splits; no train or val group stands twice",
    "classes": "every class stands in every split, and has its index by sorted order",
    "reference": "every test picture has a reference, and it is its category",
    "label": "labels are categories of this release; confidences are probabilities",
    "sealed": "nothing in a sealed release tells the label of a test picture",
    "provenance": "every picture has a source and a licence",
    "votes": "votes belong to released pictures, and are as many as the manifest says",
    "posteriors": "soft labels belong to released pictures and sum to at most 1",
    "release": "release.json says what the folder holds",
    "croissant": "croissant.json names this dataset and its tables by their checksums",
}
"""Every rule by its name in the JSON report."""


@dataclass(frozen=True)
class Problem:
    """A broken rule: its name in `RULES`, the file inside the folder, and what is wrong."""

    rule: str
    path: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """As the JSON report has it."""
        return asdict(self)


Tick = Callable[[int], object]


def check_release(folder: Path, *, tick: Tick = lambda n: None, decode: bool = True) -> list[Problem]:
    """All broken rules of a release folder, in the order of the rules; empty when it is sound.

    A sound release needs little memory (`soundness`); naming what is wrong with another takes about 3 kB a
    picture.

    Args:
        folder: the release folder.
        decode: whether pictures with the right checksums are opened all the same.
        tick: told how many files were checked, for a progress bar (`files_to_check` is the whole).

    Raises:
        NotADirectoryError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(20, "no such folder", str(folder))
    if is_sound(folder, decode=decode, tick=tick):
        return []
    return _problems(folder)


def _problems(folder: Path) -> list[Problem]:
    """What is wrong, by name."""
    missing = [name for name in layout.FILES if not (folder / name).is_file()]
    problems = [Problem("files", name, "is missing") for name in missing]
    listed, unreadable = read_sums(folder / layout.SUMS) if layout.SUMS not in missing else ({}, [])
    problems += unreadable
    there = set(files_in(folder))
    problems += [Problem("files", p, "is a link or no plain file") for p in sorted(there) if _odd(folder / p)]
    actual: dict[str, str] = {}
    sizes = _sizes(folder) if layout.MANIFEST not in missing else {}
    for path in sorted(there - {p.path for p in problems if p.rule == "files"}):
        actual[path], found = _check_file(folder, path, sizes)
        problems += found
    if layout.SUMS not in missing:
        problems += _check_sums(listed, actual, there)
    if not missing:
        problems += _check_contents(folder, actual)
    return sorted(set(problems), key=lambda p: (list(RULES).index(p.rule), p.path, p.detail))


def fingerprint(folder: Path) -> str:
    """The SHA-256 of SHA256SUMS: it stands for every byte of the release."""
    return sha256_of(Path(folder) / layout.SUMS)


def files_in(folder: Path) -> Iterator[str]:
    """Every file of the folder, relative, with `/`, but for SHA256SUMS itself."""
    for path in Path(folder).rglob("*"):
        if path.is_symlink() or not path.is_dir():
            name = path.relative_to(folder).as_posix()
            if name != layout.SUMS:
                yield name


def files_to_check(folder: Path) -> int:
    """How many files `check_release` will tick off."""
    return sum(1 for _ in files_in(folder))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def read_sums(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """File -> checksum as `sha256sum` writes it, and the lines that are none."""
    listed: dict[str, str] = {}
    problems = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return {}, [Problem("files", layout.SUMS, f"cannot be read: {error}")]
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or name.startswith("/") or ".." in Path(name).parts:
            problems.append(Problem("sums", layout.SUMS, f"line {number} is no checksum line"))
        elif name in listed:
            problems.append(Problem("sums", name, "is listed twice"))
        else:
            listed[name] = digest
    return listed, problems


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _odd(path: Path) -> bool:
    return path.is_symlink() or not path.is_file()


def _sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> (width, height) by the manifest; empty where it cannot be read (another rule says so)."""
    try:
        table = pq.read_table(folder / layout.MANIFEST, columns=["path", "width", "height"])
    except (OSError, pa.ArrowException):
        return {}
    columns = [table.column(name).to_pylist() for name in ("path", "width", "height")]
    return {path: (width, height) for path, width, height in zip(*columns, strict=True)}


def _check_file(folder: Path, path: str, sizes: dict[str, tuple[int, int]]) -> tuple[str, list[Problem]]:
    """A file's checksum, and for a picture what is wrong with it."""
    if path.split("/")[0] not in layout.SPLITS:
        return sha256_of(folder / path), []
    data = (folder / path).read_bytes()
    wrong = picture_checks.picture_faults(data, path, sizes.get(path))
    return hashlib.sha256(data).hexdigest(), [Problem(rule, path, detail) for rule, detail in wrong]


def _check_sums(listed: dict[str, str], actual: dict[str, str], there: set[str]) -> Iterator[Problem]:
    for path in sorted(listed.keys() - there):
        yield Problem("sums", path, "is listed and missing")
    for path in sorted(there - listed.keys()):
        yield Problem("sums", path, "is not listed")
    for path in sorted(listed.keys() & actual.keys()):
        if listed[path] != actual[path]:
            yield Problem("sums", path, "has changed: its checksum is not the one listed")


def _check_contents(folder: Path, actual: dict[str, str]) -> list[Problem]:
    """The tables and JSON files against each other and against the files that are there."""
    tables: dict[str, pd.DataFrame] = {}
    problems = []
    for name, schema in (
        (layout.MANIFEST, layout.MANIFEST_SCHEMA),
        (layout.VOTES, layout.VOTES_SCHEMA),
        (layout.POSTERIORS, layout.POSTERIORS_SCHEMA),
    ):
        try:
            tables[name] = pq.read_table(folder / name).to_pandas()
        except (OSError, pa.ArrowException) as error:
            problems.append(Problem("files", name, f"is no readable Parquet: {_line(error)}"))
            continue
        lacking = [c for c in schema.names if c not in tables[name].columns and c != "proposed"]
        if lacking:
            problems.append(Problem("columns", name, f"lacks {', '.join(lacking)}"))
    documents: dict[str, Any] = {}
    for name in (layout.CATEGORIES, layout.RELEASE, layout.CROISSANT):
        try:
            documents[name] = json.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            problems.append(Problem("files", name, f"is no readable JSON: {_line(error)}"))
    if problems:
        return problems
    pictures = {p: h for p, h in actual.items() if p.split("/")[0] in layout.SPLITS}
    texts = _texts(folder, actual) if is_sealed(documents[layout.RELEASE]) else {}
    faults = table_checks.table_faults(
        tables[layout.MANIFEST],
        tables[layout.VOTES],
        tables[layout.POSTERIORS],
        documents,
        pictures,
        actual,
        texts,
    )
    return [Problem(*fault) for fault in faults]


def _texts(folder: Path, actual: dict[str, str]) -> dict[str, str]:
    """Every file that is neither a picture of a split nor a table; bytes that are no text do no harm."""
    return {
        path: (folder / path).read_bytes().decode("utf-8", "replace")
        for path in actual
        if path.split("/")[0] not in layout.SPLITS and path not in layout.TABLES
    }
