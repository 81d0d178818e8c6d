"""The categories file: `id,name,gloss,parent,synonyms`, a WordNet-like tree or a flat list."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.tables import BadTable, read_table

_COLUMNS = ("id", "name", "gloss", "parent", "synonyms")
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class BadCategories(ValueError):
    """Categories that make no tree; the message is one line for the user."""


@dataclass(frozen=True)
class CategoryRow:
    """One class.

    Attributes:
        key: its stable id in every file (a wnid, a slug).
        parent: the key of its parent, or an empty text.
        synonyms: further names.
    """

    key: str
    name: str
    gloss: str = ""
    parent: str = ""
    synonyms: tuple[str, ...] = ()


def read_categories(path: str | os.PathLike[str]) -> list[CategoryRow]:
    """The rows of a categories file (.csv, .csv.gz or .parquet), checked.

    Raises:
        BadTable: no such file, not a table, or no column `id`.
        BadCategories: see `check_categories`.
    """
    frame = read_table(path, ["id"])
    for column in _COLUMNS:
        if column not in frame:
            frame[column] = ""
    columns = [[str(cell).strip() for cell in frame[name]] for name in _COLUMNS]
    rows = [
        CategoryRow(
            key, name or key, gloss, parent, tuple(s.strip() for s in synonyms.split("|") if s.strip())
        )
        for key, name, gloss, parent, synonyms in zip(*columns, strict=True)
    ]
    try:
        check_categories(rows)
    except BadCategories as error:
        raise BadTable(f"{path}: {error}") from None
    return rows


def check_categories(rows: Iterable[CategoryRow]) -> None:
    """Whether these rows make a forest.

    Raises:
        BadCategories: none at all, an id that is no id or stands twice, an unknown parent, or a cycle.
    """
    parents: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        if not KEY.fullmatch(row.key):
            raise BadCategories(
                f"row {number}: {row.key!r} is no category id (letters, digits and _ . -, up to 100)"
            )
        if row.key in parents:
            raise BadCategories(f"row {number}: the id {row.key!r} stands there twice")
        if len(row.name) > 200:
            raise BadCategories(f"row {number}: the name of {row.key!r} is longer than 200 characters")
        parents[row.key] = row.parent
    if not parents:
        raise BadCategories("there is no category in it")
    for key, parent in parents.items():
        if parent and parent not in parents:
            raise BadCategories(f"the parent {parent!r} of {key!r} is not in the list")
    _refuse_cycles(parents)


def _refuse_cycles(parents: dict[str, str]) -> None:
    sound: set[str] = set()
    for start in parents:
        path: list[str] = []
        on_path: set[str] = set()
        key = start
        while key and key not in sound:
            if key in on_path:
                cycle = " -> ".join([*path[path.index(key) :], key])
                raise BadCategories(f"the parents run in a circle: {cycle}")
            path.append(key)
            on_path.add(key)
            key = parents[key]
        sound |= on_path
