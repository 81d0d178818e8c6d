"""Decoding in processes of their own: hostile bytes may crash or hang a decoder, and nothing else.

One thread drives each process, so that it is always known which picture a process died of.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType

from ingest.decode import RejectedPicture
from ingest.facts import MAX_PIXELS, MIN_SIDE, Facts, examine

# A fresh interpreter: a fork of a process with threads and an event loop can hang.
_CONTEXT = multiprocessing.get_context("spawn")


class DecoderDied(Exception):
    """The process that decoded this picture crashed or hung. `reason`: `decoder_crashed`, `decoder_hung`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def _serve(pipe: Connection, min_side: int, max_pixels: int) -> None:
    """Examine what comes down the pipe until its other end is closed, by whatever death of the parent."""
    # Decoders written in C complain on stderr by themselves; what is wrong comes back as a reason instead.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            data = pipe.recv_bytes()
            try:
                pipe.send(examine(data, min_side=min_side, max_pixels=max_pixels))
            except RejectedPicture as error:
                pipe.send(error)


class _Process:
    """One decoder process and our end of its pipe."""

    def __init__(self, min_side: int, max_pixels: int) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, min_side, max_pixels), daemon=True)
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        """End it, now."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Examiners:
    """`count` processes that examine pictures; use as a context manager.

    Args:
        seconds: a decoder that takes longer than this for one picture is ended.
    """

    def __init__(
        self,
        count: int = 2,
        *,
        seconds: float = 60.0,
        min_side: int = MIN_SIDE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._seconds = seconds
        self._sizes = (min_side, max_pixels)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="examiner")
        self._own = threading.local()
        self._all: list[_Process] = []

    def __enter__(self) -> Examiners:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._all:
            process.process.kill()
        self._threads.shutdown(wait=True)
        for process in self._all:
            process.stop()

    async def examine(self, data: bytes) -> Facts:
        """The facts about one picture.

        Raises:
            RejectedPicture: it is not taken.
            DecoderDied: its decoder crashed or hung; a new process stands ready for the next picture.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._examine, data)

    def _examine(self, data: bytes) -> Facts:
        process: _Process | None = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = _Process(*self._sizes)
            self._all.append(process)
        try:
            process.pipe.send_bytes(data)
            if not process.pipe.poll(self._seconds):
                raise DecoderDied("decoder_hung")
            answer = process.pipe.recv()
        except (EOFError, OSError) as error:
            self._bury(process)
            raise DecoderDied("decoder_crashed") from error
        except DecoderDied:
            self._bury(process)
            raise
        if isinstance(answer, RejectedPicture):
            raise answer
        assert isinstance(answer, Facts)
        return answer

    def _bury(self, process: _Process) -> None:
        process.stop()
        self._all.remove(process)
        self._own.process = None
