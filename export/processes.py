"""Work that several processes (or threads) share, whose results come back in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 4
"""Processes at most, about 40 MB each: an export keeps below half a gigabyte."""


def workers() -> int:
    """How many processes are worth their start here; 1 means none beside this one."""
    return min(MOST, os.cpu_count() or 1)


def processes() -> ProcessPoolExecutor:
    """Fresh processes, which import what their work needs and nothing else; none outlives this one."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers(), context, initializer=_start, initargs=(os.getpid(),))


def in_order(pool: Executor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """What `work` makes of each item, in their order; at most `ahead` items are taken before they are due."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _start(parent: int) -> None:
    """Ctrl-C is the parent's to answer, and a process whose parent was killed leaves within a second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
