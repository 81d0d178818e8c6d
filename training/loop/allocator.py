"""Memory that a step frees is kept for the next one, instead of going back to the system."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc's malloc keep large blocks; whether it could be told (elsewhere nothing changes).

    By default every tensor above 32 MB is a new mapping whose pages the system clears one by one: a step of
    ResNet-18 at 224 px took 10% more, reading a batch up to twice as long. One arena, as threads with an
    arena of their own would map their large blocks all the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, _MOST), (_ARENA_MAX, 1))
    told = [mallopt(option, value) for option, value in options]  # each, whatever the others say
    return all(told)
