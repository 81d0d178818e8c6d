"""The categories file: `id,name,gloss,parent,synonyms`, a WordNet-like tree or a flat list.

Columns such as `name:zh-hans`, `gloss:zh-hans`, `synonyms:zh-hans` hold the same in another language.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ingest.tables import BadTable, read_table

_COLUMNS = ("id", "name", "gloss", "parent", "synonyms")
TRANSLATED = ("name", "gloss", "synonyms")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")
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
        translations: language -> what there is of name, gloss and synonyms (parted by |) in it.
    """

    key: str
    name: str
    gloss: str = ""
    parent: str = ""
    synonyms: tuple[str, ...] = ()
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_categories(path: str | os.PathLike[str]) -> list[CategoryRow]:
    """The rows of a categories file (.csv, .csv.gz or .parquet), checked.

    Raises:
        BadTable: no such file, not a table, no column `id`, or what `check_categories` says.
    """
    frame = read_table(path, ["id"])
    for column in _COLUMNS:
        if column not in frame:
            frame[column] = ""
    columns = [[str(cell).strip() for cell in frame[name]] for name in _COLUMNS]
    rows = [
        CategoryRow(
            key, name or key, gloss, parent, tuple(s.strip() for s in synonyms.split("|") if s.strip()), words
        )
        for key, name, gloss, parent, synonyms, words in zip(*columns, _translations(frame), strict=True)
    ]
    try:
        check_categories(rows)
    except BadCategories as error:
        raise BadTable(f"{path}: {error}") from None
    return rows


def read_translations(path: str | os.PathLike[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Category id -> language -> name, gloss, synonyms, of a table with `id` and columns like `name:zh-hans`.

    Raises:
        BadTable: no such file, not a table, no column `id`, none of another language, or an id twice.
    """
    frame = read_table(path, ["id"])
    found = _translations(frame)
    if not any(str(column).startswith(tuple(f"{part}:" for part in TRANSLATED)) for column in frame):
        raise BadTable(f"{path}: no column of another language, such as name:zh-hans")
    keys = [str(key).strip() for key in frame["id"]]
    if twice := next((key for key in keys if keys.count(key) > 1), ""):
        raise BadTable(f"{path}: the id {twice!r} stands there twice")
    return dict(zip(keys, found, strict=True))


def _translations(frame: pd.DataFrame) -> list[dict[str, dict[str, str]]]:
    """For each row what its columns of other languages hold; empty cells say nothing."""
    found: list[dict[str, dict[str, str]]] = [{} for _ in range(len(frame))]
    for column in frame:
        part, colon, language = str(column).partition(":")
        if not colon or part not in TRANSLATED:
            continue
        if not LANGUAGE.fullmatch(language):
            raise BadTable(f"column {column!r}: {language!r} is no language code such as zh-hans")
        for row, cell in zip(found, frame[column], strict=True):
            if text := str(cell).strip():
                row.setdefault(language, {})[part] = text[:200] if part == "name" else text
    return found


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


@dataclass(frozen=True)
class Standing:
    """A category that is there: its parent's key (or an empty text), and whether it was merged or split."""

    parent: str
    retired: bool = False


def check_merge(tree: Mapping[str, Standing], merged: Sequence[str], into: str) -> None:
    """Whether `into` may take over from the merged categories without any id changing its meaning.

    It is a new id, or one whose category holds all of them already because it stands above them.

    Raises:
        BadCategories: it may not, or there is nothing to merge.
    """
    _check_current(tree, merged)
    if into in merged:
        raise BadCategories(
            f"{into} would mean more than it did, and an id keeps its meaning: give the merged class a new id"
        )
    if into not in tree:
        _check_new(into)
        if len(merged) < 2:
            raise BadCategories(f"only {merged[0]} would be merged; another name for it is a rename")
        return
    _check_current(tree, [into])
    outside = [key for key in merged if into not in _above(tree, key)]
    if outside:
        raise BadCategories(
            f"{outside[0]} is no part of {into}, which would mean more than it did, and an id keeps its "
            "meaning: give the merged class a new id"
        )


def check_split(tree: Mapping[str, Standing], whole: str, parts: Sequence[str]) -> None:
    """Whether a category can be split into these: new ids, or categories that stand below it already.

    Raises:
        BadCategories: it cannot.
    """
    _check_current(tree, [whole])
    if len(set(parts)) < 2 or len(set(parts)) != len(parts):
        raise BadCategories(f"{whole} must be split into two categories or more, each named once")
    for key in parts:
        if key == whole:
            raise BadCategories(
                f"{key} would mean less than it did, and an id keeps its meaning: give each part a new id"
            )
        if key not in tree:
            _check_new(key)
            continue
        _check_current(tree, [key])
        if whole not in _above(tree, key):
            raise BadCategories(
                f"{key} is no part of {whole} and would mean more than it did: give each part a new id"
            )


def _check_current(tree: Mapping[str, Standing], keys: Sequence[str]) -> None:
    if not keys or len(set(keys)) != len(keys):
        raise BadCategories("name each category once")
    for key in keys:
        if key not in tree:
            raise BadCategories(f"there is no category {key}")
        if tree[key].retired:
            raise BadCategories(f"{key} was merged or split before, and no longer stands")


def _check_new(key: str) -> None:
    if not KEY.fullmatch(key):
        raise BadCategories(f"{key!r} is no category id (letters, digits and _ . -, up to 100)")


def _above(tree: Mapping[str, Standing], key: str) -> set[str]:
    """Every category that a category is a part of."""
    above: set[str] = set()
    while (parent := tree[key].parent) and parent not in above:
        above.add(parent)
        key = parent
    return above
