"""What a source is, by the way it is written on the command line."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ingest.addresses import BadUrl, clean_url
from ingest.categories import KEY
from ingest.sources.archive import is_archive
from ingest.sources.found import BadSource
from ingest.sources.url_list import is_url_list

REMOTE = frozenset({"list", "page"})
"""Kinds whose candidates are URLs; the others' are paths."""


@dataclass(frozen=True)
class Place:
    """A source as the user wrote it.

    Attributes:
        kind: `folder`, `archive`, `list` or `page`.
        location: a clean URL, or an absolute path.
        category: the category it is searched for, or an empty text.
    """

    kind: str
    location: str
    category: str


def parse_place(text: str, categories: Collection[str], category: str = "") -> Place:
    """Read `SOURCE` or `CATEGORY=SOURCE`.

    Args:
        categories: the dataset's category ids.
        category: for a source that names none.

    Raises:
        BadSource: neither a folder, an archive, a list nor an http(s) address; or an unknown category.
    """
    left, equals, right = text.partition("=")
    if equals and KEY.fullmatch(left) and not Path(text).exists():
        category, text = left, right
    if category and category not in categories:
        known = ", ".join(sorted(categories)[:12])
        raise BadSource(f"no category has the id {category!r}; there are: {known}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        try:
            return Place("page", clean_url(text), category)
        except BadUrl as error:
            raise BadSource(f"{text}: {error}") from None
    path = Path(text)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # no name that a file could have
        is_folder = is_file = False
    if is_folder:
        return Place("folder", str(path.resolve()), category)
    if not is_file:
        raise BadSource(f"{text[:200]}: no such folder or file, and no http(s) address")
    if is_archive(path):
        return Place("archive", str(path.resolve()), category)
    if is_url_list(path):
        return Place("list", str(path.resolve()), category)
    raise BadSource(
        f"{text}: what is this? A folder, an archive (.zip, .tar, .tar.gz), a list of URLs "
        "(.txt, .csv, .parquet) or an http(s) address is wanted"
    )
