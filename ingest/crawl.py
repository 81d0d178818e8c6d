"""A crawl as a plain queue: jobs in, outcomes out. What to crawl, and what becomes of it, the caller decides.

The event loop lives in a thread of its own, so that the caller may talk to its database in between. Nothing
is reported as taken before its bytes are in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ingest.decode import RejectedPicture
from ingest.examiners import DecoderDied, Examiners
from ingest.facts import Facts
from ingest.fetch import Fetched, Fetcher, NotFetched
from ingest.storage import Store


@dataclass(frozen=True)
class Job:
    """One thing to get. Exactly one of the last four is set.

    Attributes:
        key: the caller's; it comes back with the outcome.
        url: of a picture.
        page: URL of a web page.
        path: of a picture's file.
        data: a picture's bytes.
    """

    key: object
    url: str | None = None
    page: str | None = None
    path: Path | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        verdict: `taken`, `rejected`, `forbidden`, `gone` or `failed`.
        reason: a slug, empty where taken.
        detail: one line for people.
        facts: of a picture that was taken; its bytes are in the store.
        page: a web page that was taken.
    """

    key: object
    verdict: str
    reason: str = ""
    detail: str = ""
    attempts: int = 1
    facts: Facts | None = None
    page: Fetched | None = None


class Crawler:
    """Works on jobs in the background; use as a context manager.

    Leaving the context gives up what is still under way: unreported jobs have changed nothing but, at most,
    bytes in the store, which the next run finds there.
    """

    def __init__(self, fetcher: Fetcher, examiners: Examiners, store: Store) -> None:
        self._fetcher = fetcher
        self._examiners = examiners
        self._store = store
        self._outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="crawler", daemon=True)
        self.under_way = 0
        self.refused: frozenset[str] = frozenset()
        """SHA-256s of pictures that are not to come back: their bytes are not kept."""

    def __enter__(self) -> Crawler:
        self._examiners.__enter__()
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._examiners.__exit__(kind, error, trace)
        self._thread.join(timeout=10)

    @property
    def requests(self) -> Counter[str]:
        """How many requests each host got so far."""
        return self._fetcher.requests

    @property
    def picture_bytes(self) -> int:
        """The limit on one picture's bytes."""
        return self._fetcher.limits.picture_bytes

    def submit(self, job: Job) -> None:
        """Start on a job."""
        self.under_way += 1
        self._loop.call_soon_threadsafe(self._start, job)

    def outcome(self, timeout: float | None = None) -> Outcome | None:
        """The next outcome, in no particular order; None when `timeout` seconds pass without one.

        Raises:
            OSError: the store cannot be written.
        """
        try:
            found = self._outcomes.get(timeout=timeout)
        except queue.Empty:
            return None
        self.under_way -= 1
        if isinstance(found, BaseException):
            raise found
        return found

    # --- in the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._fetcher:
            self._ready.set()
            await self._stop.wait()
            left = set(self._tasks)
            while left:  # a cancellation may meet a step that swallows it, such as one that just timed out
                for task in left:
                    task.cancel()
                _, left = await asyncio.wait(left, timeout=1.0)

    def _start(self, job: Job) -> None:
        task = self._loop.create_task(self._report(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, job: Job) -> None:
        found: Outcome | BaseException
        try:
            found = await self._work(job)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            found = error
        self._outcomes.put(found)

    async def _work(self, job: Job) -> Outcome:
        attempts = 1
        try:
            if job.page is not None:
                page = await self._fetcher.page(job.page)
                return Outcome(job.key, "taken", attempts=page.attempts, page=page)
            if job.url is not None:
                fetched = await self._fetcher.picture(job.url)
                data, attempts = fetched.body, fetched.attempts
            elif job.path is not None:
                data = await asyncio.to_thread(read_file, job.path, self._fetcher.limits.picture_bytes)
            else:
                data = job.data or b""
            facts = await self._examiners.examine(data)
        except NotFetched as error:
            return Outcome(job.key, error.verdict, error.reason, error.detail, error.attempts)
        except RejectedPicture as error:
            return Outcome(job.key, "rejected", error.reason, error.detail, attempts)
        except DecoderDied as error:
            return Outcome(job.key, "rejected", error.reason, "its decoder was ended", attempts)
        except Exception as error:  # one strange picture must not stop the others
            return Outcome(job.key, "failed", "fault", f"{type(error).__name__}: {error}"[:200], attempts)
        if facts.sha256 in self.refused:
            return Outcome(job.key, "forbidden", "taken_down", "its bytes were taken down", attempts)
        await asyncio.to_thread(self._store.put, data)
        return Outcome(job.key, "taken", attempts=attempts, facts=facts)


def read_file(path: Path, most: int) -> bytes:
    """A file's bytes.

    Raises:
        NotFetched: no regular file, too large, or not readable.
    """
    try:
        if not path.is_file():
            raise NotFetched("gone", "no_such_file", f"{path.name} is no file any more")
        if path.stat().st_size > most:
            raise NotFetched("rejected", "too_large", f"{path.stat().st_size} bytes, at most {most} are read")
        return path.read_bytes()
    except OSError as error:
        raise NotFetched("failed", "unreadable", error.strerror or str(error)) from None
