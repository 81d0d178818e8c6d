"""Tables in files: CSV, gzipped CSV or Parquet, told apart by the file's name.

Ids and labels are text: `007` stays `007`, an empty cell is an empty text, never NaN. A table is written
beside its name and then renamed, and holds no clock, so that a killed run leaves no half table and equal rows
give equal bytes.
"""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".csv", ".csv.gz", ".parquet")


class BadTable(ValueError):
    """A table that cannot be read or written as asked; the message is one line for the user."""


def table_kind(path: str | os.PathLike[str]) -> str:
    """`.csv`, `.csv.gz` or `.parquet`, by the file's name.

    Raises:
        BadTable: another ending.
    """
    name = Path(path).name.lower()
    for suffix in (".csv.gz", ".parquet", ".csv"):
        if name.endswith(suffix):
            return suffix
    raise BadTable(f"{path}: a table's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def read_table(
    path: str | os.PathLike[str],
    need: Iterable[str] = (),
    *,
    numbers: Iterable[str] = (),
    rename: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Read a table with every column as text (Python `str`), but for those named in `numbers` (float64).

    Args:
        path: `.csv` (UTF-8, a byte order mark is allowed), `.csv.gz` or `.parquet`.
        need: columns that must be there, after renaming.
        numbers: columns to read as numbers where they are there; an empty cell becomes NaN.
        rename: other accepted spellings of columns, `{found: wanted}`; used only where `wanted` is missing.

    Raises:
        BadTable: no such file, not a table, a column that is missing, or text where a number should be.
    """
    try:
        frame = _read_parquet(path) if table_kind(path) == ".parquet" else _read_csv(path)
    except FileNotFoundError:
        raise BadTable(f"{path}: no such file") from None
    except pd.errors.EmptyDataError:
        raise BadTable(f"{path}: the file is empty, not even a header") from None
    except (OSError, EOFError, UnicodeError, pd.errors.ParserError, pa.ArrowException, csv.Error) as error:
        raise BadTable(f"{path}: not a readable table: {_one_line(error)}") from None
    for found, wanted in (rename or {}).items():
        if wanted not in frame.columns and found in frame.columns:
            frame = frame.rename(columns={found: wanted})
    missing = [column for column in need if column not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns)) or "none"
        raise BadTable(f"{path}: no column {', '.join(missing)} (columns there: {there})")
    for column in numbers:
        if column in frame.columns:
            frame[column] = _as_numbers(frame[column], path)
    return frame


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame (without its index) in the kind that the name asks for; whole or not at all.

    Raises:
        BadTable: the name's ending is unknown, or the folder cannot be written.
    """
    kind = table_kind(path)
    target = Path(path)
    # The temporary name keeps the ending out, so that nobody picks up a half-written table by pattern.
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise BadTable(f"{path}: cannot write here: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as out:
            if kind == ".parquet":
                pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), out, compression="zstd")
            else:
                data = frame.to_csv(index=False, lineterminator="\n").encode("utf-8")
                # No time and no name inside the gzip header: equal rows give equal bytes.
                out.write(gzip.compress(data, 6, mtime=0) if kind == ".csv.gz" else data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except OSError as error:
        raise BadTable(f"{path}: cannot write: {error.strerror}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first cells for names of rows
        raise BadTable(f"{path}: its rows have more cells than its header has columns")
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame.astype(object)


def _read_parquet(path: str | os.PathLike[str]) -> pd.DataFrame:
    table = pq.read_table(path)
    columns = {name: table.column(name).cast(pa.string()).to_pylist() for name in table.column_names}
    texts = {name: ["" if value is None else value for value in values] for name, values in columns.items()}
    return pd.DataFrame(texts, columns=table.column_names, dtype=object)


def _as_numbers(column: pd.Series, path: str | os.PathLike[str]) -> pd.Series:
    filled = column.where(column != "", None)
    numbers = pd.to_numeric(filled, errors="coerce").astype("float64")
    bad = column[numbers.isna() & (column != "") & (column.str.lower() != "nan")]
    if len(bad):
        raise BadTable(
            f"{path}: column {column.name}, row {bad.index[0] + 2}: {bad.iloc[0]!r} is not a number"
        )
    return numbers


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
