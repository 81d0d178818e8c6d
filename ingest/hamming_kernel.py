"""The compiled inner loops of `ingest.hamming`. Compiled once, then read from numba's cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray


class Sorted(NamedTuple):
    """Hashes in the order of one chunk's key.

    `values` uint64[n], `rows` int32[n] (where each stood), `starts` int32[2^width + 1] (bucket k is
    `values[starts[k]:starts[k + 1]]`).
    """

    values: NDArray[np.uint64]
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]


def _count_bits(typingctx, value):
    """The processor's own count of set bits, as numba wants it described."""

    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), build


_popcount: Any = intrinsic(_count_bits)


@nb.njit(cache=True)
def _counting_sort(values, shift, width):
    mask = np.uint64((1 << width) - 1)
    shift = np.uint64(shift)
    starts = np.zeros((1 << width) + 1, np.int32)
    for i in range(len(values)):
        starts[np.int64((values[i] >> shift) & mask) + 1] += 1
    for k in range(1 << width):
        starts[k + 1] += starts[k]
    place = starts[:-1].copy()
    ordered = np.empty_like(values)
    rows = np.empty(len(values), np.int32)
    for i in range(len(values)):
        key = np.int64((values[i] >> shift) & mask)
        ordered[place[key]] = values[i]
        rows[place[key]] = i
        place[key] += 1
    return ordered, rows, starts


@nb.njit(cache=True)
def _found_before(difference, shifts, masks, most):
    """Whether an earlier chunk has reported this pair: it has at most `most` differing bits there."""
    found = False
    for c in range(len(shifts)):
        found |= _popcount((difference >> shifts[c]) & masks[c]) <= most
    return found


@nb.njit(cache=True)
def _scan(va, ra, sa, vb, rb, sb, flips, radius, most, shifts, masks, same):
    out = np.empty((1024, 2), np.int64)
    count = 0
    for f in range(len(flips)):
        flip = np.int64(flips[f])
        for key in range(len(sa) - 1):
            begin, end = sa[key], sa[key + 1]
            if begin == end:
                continue
            other = key ^ flip
            # A self-join would meet each pair of buckets from both sides.
            if same and other < key:
                continue
            first, last = sb[other], sb[other + 1]
            for i in range(begin, end):
                value = va[i]
                for j in range(i + 1 if same and flip == 0 else first, last):
                    difference = value ^ vb[j]
                    if _popcount(difference) > radius or _found_before(difference, shifts, masks, most):
                        continue
                    if count == len(out):
                        bigger = np.empty((2 * count, 2), np.int64)
                        bigger[:count] = out
                        out = bigger
                    x, y = np.int64(ra[i]), np.int64(rb[j])
                    if same and x > y:
                        x, y = y, x
                    out[count, 0] = x
                    out[count, 1] = y
                    count += 1
    return out[:count].copy()


def sort_by_chunk(values: NDArray[np.uint64], shift: int, width: int) -> Sorted:
    """Counting sort of uint64[n] (n < 2^31) by `width` bits from bit `shift` up."""
    return Sorted(*_counting_sort(values, shift, width))


def scan(
    left: Sorted,
    right: Sorted,
    flips: NDArray[np.uint32],
    radius: int,
    most: int,
    shifts: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    *,
    same: bool,
) -> NDArray[np.int64]:
    """Pairs within the radius whose chunk keys differ by one of `flips`, less those of earlier chunks.

    Returns int64[m, 2], original row numbers, unsorted; with `same` the smaller number first.
    """
    pairs: NDArray[np.int64] = _scan(*left, *right, flips, radius, most, shifts, masks, same)
    return pairs
