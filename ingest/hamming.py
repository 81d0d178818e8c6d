"""Exact search for 64-bit hashes within a Hamming radius.

The hashes are cut into c chunks of about 64/c bits. Two hashes within the radius r differ by at most
floor(r / c) bits in at least one chunk (pigeonhole; Norouzi et al., Fast Exact Search in Hamming Space with
Multi-Index Hashing, PAMI 2014). For each chunk the hashes are sorted by it, and for every mask of that few
bits the bucket of key k is compared with the bucket of key k XOR mask, keys in rising order, so that memory
is read nearly in sequence. A pair that several chunks would find is reported by the first of them alone,
which gives every pair once without a table of pairs seen.

Small inputs go through plain numpy: a job of a few thousand pictures compiles nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]

SMALL = 60_000_000
"""Up to this many comparisons brute force in numpy is faster than loading the compiled search."""
LIGHT_RADIUS = 11
"""Above this the search without compiled code would try thousands of masks."""
BLOCK = 1 << 18
"""About how many pairs that search looks at together."""


def self_join(hashes: ArrayLike, radius: int) -> Pairs:
    """Every unordered pair within the radius, exactly once.

    Args:
        hashes: uint64[n]. Collapse equal hashes first: k equal ones are k(k-1)/2 pairs.
        radius: largest Hamming distance, in bits, 0 to 64.

    Returns:
        int64[m, 2]: rows (i, j) with i < j, sorted.

    Raises:
        ValueError: not a flat array of unsigned numbers, or a radius outside 0 … 64.
    """
    values = _checked(hashes, radius)
    if len(values) * (len(values) - 1) // 2 <= SMALL or radius > 20:
        return _brute(values, values, radius, same=True)
    return _ordered(_search(values, values, radius, same=True))


def join(new: ArrayLike, old: ArrayLike, radius: int, *, light: bool = False) -> Pairs:
    """Every pair of a new and an old hash within the radius, exactly once.

    Args:
        new, old: uint64[n] and uint64[k].
        radius: largest Hamming distance, in bits, 0 to 64.
        light: search in plain numpy, which takes 110 MB less and up to five times as long (14 s for 10^5 new
            and 900,000 old ones at radius 10), where the radius is at most `LIGHT_RADIUS`.

    Returns:
        int64[m, 2]: rows (i in new, j in old), sorted.

    Raises:
        ValueError: as for `self_join`.
    """
    a, b = _checked(new, radius), _checked(old, radius)
    # Sorting the old ones for each chunk is what costs; few new ones are compared faster one by one.
    if len(a) * len(b) <= max(SMALL, 60 * len(b)) or radius > 20:
        return _brute(a, b, radius, same=False)
    if light and radius <= LIGHT_RADIUS:
        return _ordered(_search_light(a, b, radius))
    return _ordered(_search(a, b, radius, same=False))


def _checked(hashes: ArrayLike, radius: int) -> Hashes:
    if not 0 <= radius <= 64:
        raise ValueError(f"the radius is 0 to 64 bits, not {radius}")
    values = np.asarray(hashes)
    if values.ndim != 1 or (len(values) and values.dtype.kind not in "u"):
        raise ValueError(
            f"hashes are a flat array of unsigned 64-bit numbers, not {values.dtype}{values.shape}"
        )
    return np.ascontiguousarray(values, dtype=np.uint64)


def _brute(a: Hashes, b: Hashes, radius: int, *, same: bool) -> Pairs:
    """All against all, a block of rows at a time (at most about 2 million distances in memory)."""
    found = [np.empty((0, 2), np.int64)]
    rows = max(1, 2_000_000 // max(1, len(b)))
    for start in range(0, len(a), rows):
        # In a self-join only the columns right of the block's first row can hold new pairs.
        first = start if same else 0
        near = np.bitwise_count(a[start : start + rows, None] ^ b[None, first:]) <= radius
        i, j = np.nonzero(near)
        i, j = i + start, j + first
        if same:
            keep = i < j
            i, j = i[keep], j[keep]
        found.append(np.column_stack([i, j]).astype(np.int64))
    return np.concatenate(found)


def _ordered(pairs: Pairs) -> Pairs:
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def chunk_widths(count: int, radius: int) -> list[int]:
    """Bits of each chunk, low chunk first, for `count` hashes.

    A chunk's key should have about as many values as there are hashes, so that buckets hold few; fewer chunks
    mean fewer passes, and more flip masks in each.
    """
    best: tuple[float, int] | None = None
    for chunks in range(1, 9):
        width = 64 / chunks
        if width > 24:
            continue
        flips = _masks(int(width), radius // chunks)
        # In units of one comparison (about 1 ns): visits to buckets, comparisons, the sort. Measured.
        cost = chunks * (
            len(flips) * (8 * min(2.0**width, count) + count * count / 2**width / 2) + 60 * count
        )
        if best is None or cost < best[0]:
            best = (cost, chunks)
    assert best is not None
    chunks = best[1]
    return [64 // chunks + (k >= chunks - 64 % chunks) for k in range(chunks)]


def _masks(width: int, bits: int) -> NDArray[np.uint32]:
    """Every mask of `width` bits with at most `bits` set, fewest first."""
    masks = [sum(1 << b for b in chosen) for n in range(bits + 1) for chosen in combinations(range(width), n)]
    return np.array(masks, dtype=np.uint32)


def _search(a: Hashes, b: Hashes, radius: int, *, same: bool) -> Pairs:
    from ingest import hamming_kernel  # numba takes a third of a second to load: only large jobs pay it

    widths = chunk_widths(max(len(a), len(b)), radius)
    most = radius // len(widths)
    shifts = np.cumsum([0, *widths[:-1]]).astype(np.uint64)
    found = [np.empty((0, 2), np.int64)]
    for chunk, width in enumerate(widths):
        left = hamming_kernel.sort_by_chunk(a, int(shifts[chunk]), width)
        right = left if same else hamming_kernel.sort_by_chunk(b, int(shifts[chunk]), width)
        earlier = np.array([(1 << w) - 1 for w in widths[:chunk]], dtype=np.uint64)
        found.append(
            hamming_kernel.scan(
                left, right, _masks(width, most), radius, most, shifts[:chunk], earlier, same=same
            )
        )
    return np.concatenate(found)


def _search_light(a: Hashes, b: Hashes, radius: int) -> Pairs:
    """As `_search` of two sets, in plain numpy, by four chunks of 16 bits; unsorted."""
    most = radius // 4
    # One buffer that grows: small results among large passing arrays would keep those from being given back.
    found = array("q")
    for chunk in range(4):
        shift = np.uint64(16 * chunk)
        rows, columns = (np.argsort((values >> shift).astype(np.uint16), kind="stable") for values in (a, b))
        left, right = a[rows], b[columns]
        keys = (left >> shift).astype(np.uint16).astype(np.int64)
        starts = np.searchsorted((right >> shift).astype(np.uint16), np.arange(1 << 16))
        ends = np.append(starts[1:], len(right))
        for mask in _masks(16, most).astype(np.int64):
            first, last = starts[keys ^ mask], ends[keys ^ mask]
            for i, j in _ranges(first, last):
                difference = left[i] ^ right[j]
                near = np.bitwise_count(difference) <= radius
                for earlier in range(chunk):
                    part = (difference >> np.uint64(16 * earlier)).astype(np.uint16)
                    near &= np.bitwise_count(part) > most
                found.frombytes(np.column_stack([rows[i[near]], columns[j[near]]]).tobytes())
    return np.frombuffer(found, np.int64).reshape(-1, 2)


def _ranges(first: NDArray[np.int64], last: NDArray[np.int64]) -> Iterator[tuple[NDArray, NDArray]]:
    """Row i beside every place from `first[i]` up to `last[i]`, about `BLOCK` pairs at a time."""
    totals = np.cumsum(last - first)
    start, before = 0, 0
    while start < len(first):
        stop = max(start + 1, int(np.searchsorted(totals, before + BLOCK, side="right")))
        sizes = last[start:stop] - first[start:stop]
        ends = totals[start:stop] - before
        places = np.arange(ends[-1]) + np.repeat(first[start:stop] - ends + sizes, sizes)
        yield np.repeat(np.arange(start, stop), sizes), places
        start, before = stop, int(totals[stop - 1])
