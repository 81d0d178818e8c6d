"""Columns of any values as integer codes, by sorting and counting rather than by Python objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

Ints = np.ndarray


def text_codes(column: pd.Series) -> tuple[Ints, np.ndarray]:
    """Codes into the sorted distinct texts; -1 where the cell is missing or blank."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind not in ("string", "integer", "floating"):
        # Mixed values: to a hash table 1, 1.0 and True are one value, and which text it has would be a
        # matter of the order of rows.
        missing = pd.isna(column).to_numpy()
        written = [None if gap else as_text(value) for value, gap in zip(column, missing, strict=True)]
        column = pd.Series(written, dtype=object)
    codes, values = _distinct(column)
    if values.dtype.kind in "iu":
        order = _as_text_order(values)
        ordered = pa.array(values[order]).cast(pa.string()).to_numpy(zero_copy_only=False)
    else:
        texts = [as_text(value) for value in values.tolist()]
        order = _sorted_texts(texts)
        ordered = np.array([texts[i] for i in order.tolist()], dtype=object)
    recode = np.full(len(values) + 1, -1, np.int64)
    recode[order] = np.arange(len(order))
    return recode[codes], ordered


def _distinct(column: pd.Series) -> tuple[Ints, np.ndarray]:
    """Codes into the distinct values (whole numbers or objects), -1 where there is none."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu" and len(column):
        whole = column.to_numpy()
        low, high = whole.min(), whole.max()
        if int(high) - int(low) < 4 * len(whole):
            # Numbers close together need no hash table.
            place = (whole - low if whole.itemsize == 8 else whole.astype(np.int64) - low).astype(np.int64)
            used = np.zeros(int(high) - int(low) + 1, bool)
            used[place] = True
            return (np.cumsum(used) - 1)[place], np.flatnonzero(used).astype(whole.dtype) + low
    codes, values = pd.factorize(column, use_na_sentinel=True)
    if pd.api.types.is_integer_dtype(values.dtype):
        unsigned = pd.api.types.is_unsigned_integer_dtype(values.dtype)
        return codes, np.asarray(values, dtype=np.uint64 if unsigned else np.int64)
    return codes, np.asarray(values, dtype=object)


def _sorted_texts(texts: list[str]) -> Ints:
    """Where the texts that are not blank stand, in the order of the texts."""
    try:
        # By bytes of UTF-8, which is the order of characters.
        order = pc.sort_indices(pa.array(texts, pa.large_string())).to_numpy().astype(np.int64)
    except UnicodeEncodeError:
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
    return order[texts.count("") :]


def _as_text_order(values: Ints) -> Ints:
    """The order in which whole numbers stand when written out and sorted as text: 1, 10, 100, 11, 2.

    Numbers padded with zeros to the same length sort as their texts do; of equal ones the shorter is first;
    a minus stands before every digit.
    """
    size = np.where(values < 0, np.negative(values), values).astype(np.uint64)
    powers = np.array([10**i for i in range(20)], dtype=np.uint64)
    digits = np.maximum(np.searchsorted(powers, size, side="right"), 1)
    longest = int(digits.max(initial=1))
    if longest > 19:
        return np.array(sorted(range(len(values)), key=lambda i: str(values[i])), dtype=np.int64)
    padded = size * powers[longest - digits]
    return np.lexsort((digits, padded, values >= 0))


def as_text(value: object) -> str:
    """How an id or a label is written; nothing where it is blank."""
    if type(value) is str:
        return value if value.strip() else ""
    # A column of whole numbers with a gap is read as floats by pandas: 7.0 is still the id 7.
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    text = str(value)
    return text if text.strip() else ""


def stable_order(codes: Ints, number: int) -> Ints:
    """What `argsort(codes, kind="stable")` gives, by counting: O(n + number) for codes 0 … number - 1.

    Turning a matrix with one entry a row from rows to columns is a counting sort, which scipy has compiled.
    """
    n = len(codes)
    matrix = sparse.csr_matrix((np.ones(n, np.int8), codes, np.arange(n + 1)), shape=(n, max(number, 1)))
    return matrix.tocsc().indices


def distinct_pairs(major: Ints, minor: Ints, majors: int, minors: int) -> tuple[Ints, Ints, Ints]:
    """The distinct pairs of two code columns, sorted, as two columns; and which of them each row is."""
    minors = max(minors, 1)
    if majors * minors <= 4 * len(major):
        key = major.astype(np.int64) * minors + minor
        used = np.zeros(majors * minors, bool)
        used[key] = True
        pairs = np.flatnonzero(used)
        return pairs // minors, pairs % minors, (np.cumsum(used) - 1)[key]
    order = stable_order(minor, minors)
    order = order[stable_order(major[order], majors)]
    first, second = major[order], minor[order]
    new = np.ones(len(order), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    first, second = first[new], second[new]
    of_each = np.empty(len(order), np.int64)
    of_each[order] = np.cumsum(new) - 1
    return first, second, of_each
