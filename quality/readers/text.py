"""Text from files whose encoding nobody told: UTF-8, UTF-16 or 32 with its mark, else Western European."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from ingest.tables import BadTable

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
INNER = ("annotations.xml", "annotations.json")
MOST_BYTES = 4 << 30
"""The largest file inside an archive that is unpacked."""


def read_text(path: str) -> tuple[str, list[str]]:
    """The file's text, unpacked where it is gzipped or CVAT's zip, and what to tell the user.

    Raises:
        BadTable: no such file, or no text.
    """
    try:
        data = _unpacked(path, Path(path).read_bytes())
    except FileNotFoundError:
        raise BadTable(f"{path}: no such file") from None
    except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise BadTable(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data.strip():
        raise BadTable(f"{path}: the file is empty, not even a header")
    try:
        for mark, encoding in MARKS:
            if data.startswith(mark):
                return data.decode(encoding), []
        if b"\0" in data[:65_536]:
            raise BadTable(f"{path}: not a text file (UTF-16 needs its byte order mark)")
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        if data.startswith(tuple(mark for mark, _ in MARKS)):
            raise BadTable(f"{path}: its byte order mark says {error.encoding}, but it is not") from None
    try:
        return data.decode("cp1252"), [f"{path}: not UTF-8; read as Windows-1252 (Western European)"]
    except UnicodeDecodeError:
        return data.decode("latin-1"), [f"{path}: not UTF-8; read as Latin-1 (Western European)"]


def _unpacked(path: str, data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] != b"PK\x03\x04":
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.rsplit("/", 1)[-1] in INNER:
                if archive.getinfo(name).file_size > MOST_BYTES:
                    raise ValueError(f"{name} in it is too large")
                return archive.read(name)
    raise ValueError(f"an archive without {' or '.join(INNER)}; unpack it first")


def parse_json(path: str, text: str) -> Any:
    """Raises BadTable with the place of the fault."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadTable(f"{path}: begins like JSON but is none: {error}") from None


def parse_table(path: str, text: str) -> tuple[pd.DataFrame, list[str]]:
    """A CSV with every cell as text; parted by commas, or by the semicolons or tabs of its header.

    Raises:
        BadTable: rows with more cells than the header, or quotes that never close.
    """
    header = text.lstrip().split("\n", 1)[0]
    separator = "," if "," in header else next((mark for mark in ";\t" if mark in header), ",")
    try:
        with warnings.catch_warnings():
            # pandas would cut what is beyond the header's cells, and only warn.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            ).fillna("")
    except pd.errors.ParserWarning:
        raise BadTable(f"{path}: not a readable table: its rows have more cells than its header") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
        raise BadTable(f"{path}: not a readable table: {' '.join(str(error).split())[:200]}") from None
    frame.columns = [str(column).strip() for column in frame.columns]
    _refuse_twins(path, header, separator)
    names = {",": "", ";": "semicolons", "\t": "tabs"}
    told = [f"{path}: cells are parted by {names[separator]}"] if separator != "," else []
    return frame.astype(object), told


def _refuse_twins(path: str, header: str, separator: str) -> None:
    """pandas would rename the second of two columns that share a name, and say nothing.

    Raises:
        BadTable: a name stands twice in the header.
    """
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BadTable(f"{path}: a column stands twice: {', '.join(twice)}")
