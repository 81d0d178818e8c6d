"""Votes from any crowd's file: our own table, Label Studio, CVAT or Mechanical Turk, told apart by content.

A reader never drops a row silently: what is no vote is counted by reason in `Read.dropped`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from ingest.tables import BadTable, read_table
from quality.readers.cvat import read_cvat_json, read_cvat_xml
from quality.readers.label_studio import read_label_studio
from quality.readers.mturk import is_mturk, read_mturk
from quality.readers.plain import read_plain
from quality.readers.record import Asked, Read
from quality.readers.text import parse_json, parse_table, read_text

__all__ = ["Asked", "BadTable", "Read", "read_votes"]


def read_votes(paths: Iterable[str], asked: Asked | None = None) -> Read:
    """Read and join files of votes.

    Args:
        asked: which columns or questions are meant, where the file leaves a choice.

    Returns:
        Read: `frame` with `task,worker,label` as text.

    Raises:
        BadTable: a file that holds no votes in any format we know; one line for the user.
    """
    reads = [_read(path, asked or Asked()) for path in paths]
    if len(reads) == 1:
        return reads[0]
    dropped: Counter[str] = Counter()
    for read in reads:
        dropped.update(read.dropped)
    return Read(
        pd.concat([read.frame for read in reads], ignore_index=True),
        ", ".join(sorted({read.kind for read in reads})),
        dict(dropped),
        [warning for read in reads for warning in read.warnings],
    )


def _read(path: str, asked: Asked) -> Read:
    if path.lower().endswith(".parquet"):
        return read_plain(read_table(path), path, asked)
    text, warnings = read_text(path)
    start = text.lstrip()[:1]
    if start in ("{", "["):
        read = _read_json(path, text, asked)
    elif start == "<":
        read = read_cvat_xml(path, text, asked)
    else:
        frame, more = parse_table(path, text)
        warnings += more
        read = read_mturk(frame, path, asked) if is_mturk(frame) else read_plain(frame, path, asked)
    return Read(read.frame, read.kind, read.dropped, warnings + read.warnings)


def _read_json(path: str, text: str, asked: Asked) -> Read:
    value = parse_json(path, text)
    records = value if isinstance(value, list) else [value]
    if not records or not all(isinstance(record, dict) for record in records):
        raise BadTable(f"{path}: JSON, but no list of tasks: expected an export of Label Studio or CVAT")
    if any("tags" in record or "shapes" in record for record in records):
        return read_cvat_json(path, records)
    return read_label_studio(path, records, asked)
