"""A list of URLs: a .txt with one a line, or a .csv or .parquet with a column `url`, read row by row."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.sources.found import BadSource, Found

SUFFIXES = (".txt", ".csv", ".csv.gz", ".parquet")
COLUMNS = {
    "url": "url",
    "image_url": "url",
    "page_url": "page_url",
    "category": "category",
    "caption": "caption",
    "licence": "licence",
    "license": "licence",
    "author": "author",
}
"""Accepted columns and the field of `Found` that each fills; others are passed over."""
LONGEST_LINE = 100_000


def is_url_list(path: Path) -> bool:
    """Whether the file's name is a list's."""
    return path.name.lower().endswith(SUFFIXES)


def find_in_list(path: Path) -> Iterator[Found]:
    """One record a row, in the file's order; rows without a URL are passed over.

    Raises:
        BadSource: it cannot be read, is no such table, or has no column `url`.
    """
    name = path.name.lower()
    try:
        if name.endswith(".txt"):
            yield from _lines(path)
        elif name.endswith(".parquet"):
            yield from _parquet_rows(path)
        else:
            yield from _csv_rows(path)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise BadSource(f"{path}: cannot be read: {' '.join(str(error).split())[:150]}") from None


def _lines(path: Path) -> Iterator[Found]:
    with path.open(encoding="utf-8-sig") as lines:
        while line := lines.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise BadSource(f"{path}: a line is longer than {LONGEST_LINE} characters: no list of URLs")
            url = line.strip()
            if url and not url.startswith("#"):
                yield Found(url)


def _csv_rows(path: Path) -> Iterator[Found]:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        fields = _fields(path, next(rows, []))
        for row in rows:
            found = _found({field: row[i] for i, field in fields.items() if i < len(row)})
            if found:
                yield found


def _parquet_rows(path: Path) -> Iterator[Found]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        fields = _fields(path, names)
        columns = [names[i] for i in fields]
        for batch in file.iter_batches(batch_size=5000, columns=columns):
            texts = [batch.column(name).cast(pa.string()).to_pylist() for name in columns]
            for row in zip(*texts, strict=True):
                found = _found({field: text or "" for field, text in zip(fields.values(), row, strict=True)})
                if found:
                    yield found


def _fields(path: Path, header: list[str]) -> dict[int, str]:
    """Which column fills which field; the first of two spellings counts."""
    fields: dict[int, str] = {}
    for i, name in enumerate(header):
        field = COLUMNS.get(name.strip().lower())
        if field and field not in fields.values():
            fields[i] = field
    if "url" not in fields.values():
        seen = ", ".join(name[:30] for name in header[:8]) or "nothing"
        raise BadSource(f"{path}: no column called url (there are: {seen})")
    return fields


def _found(row: dict[str, str]) -> Found | None:
    row = {field: text.strip() for field, text in row.items()}
    return Found(**row) if row.get("url") else None
