"""Where a release in a bucket grows, and how one is looked at: the counterpart of `export.places.workplace`.

Pictures go straight to `s3://…/<name>-<version>/`; what describes them is made in a folder on this machine
and follows at the end, SHA256SUMS last: with it the objects are a release, without it they are none. While
they grow, `s3://…/.<name>-<version>.partial` says whose they are (`export.places.bucket_lock`). A killed run
goes on from the folder on this machine; elsewhere it starts over, and writes the same objects.
"""

from __future__ import annotations

import hashlib
import heapq
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from export import layout
from export.checks import Problem, check_release
from export.checks.soundness import Seen, is_sound, listed, see_picture, walk_folder
from export.places.bucket import THREADS, BucketError, BucketFolder, NoBucket
from export.places.bucket_lock import BucketLock
from export.places.workplace import Workplace

AHEAD = 4 * THREADS
Tick = Callable[[int], object]


@dataclass
class BucketShelf:
    """Pictures of a release in a bucket; see `export.places.shelf.Shelf`."""

    target: BucketFolder
    processes: bool = False
    threads: int = THREADS
    there: set[str] | None = None
    """What is there, where that is known: spares asking for each picture."""

    def put(self, path: str, data: bytes) -> None:
        """See `Shelf.put`."""
        self.target.put(path, data)
        if self.there is not None:
            self.there.add(path)

    def get(self, path: str) -> bytes | None:
        """See `Shelf.get`."""
        if self.there is not None and path not in self.there:
            return None
        return self.target.get(path)


class BucketPlace(Workplace):
    """A release that grows in a bucket.

    Args:
        target: the release's own folder.
        scratch: a folder on this machine that survives a kill.
    """

    def __init__(self, target: BucketFolder, scratch: Path) -> None:
        mark = hashlib.sha256(str(target).encode()).hexdigest()[:12]
        super().__init__(scratch / mark / target.name)
        self.target = target
        self.shelf: BucketShelf = BucketShelf(target)
        self._lock_there = BucketLock(target.parent, f".{target.name}.partial")

    @property
    def location(self) -> str:
        """The release's address."""
        return str(self.target)

    @property
    def answers_location(self) -> str:
        """The answers' address."""
        return str(self.target.parent.below(self.final_answers.name))

    def taken(self) -> str:
        """What keeps a release from being made here; empty where nothing does."""
        exists = f"{self.target} exists already"
        if self.target.has(layout.SUMS):
            self._lock_there.sweep()
            return exists
        if next(self.target.paths(), None) and not self._begun_before():
            # Another machine may have finished it between our questions.
            return exists if self.target.has(layout.SUMS) else f"{self.target} holds something else"
        return ""

    def answers_taken(self) -> bool:
        """See `Workplace.answers_taken`."""
        parent, name = self.target.parent, self.final_answers.name
        if not parent.has(name):
            return False
        if not self.answers.exists():
            return not self._begun_before()
        return parent.get(name) != self.answers.read_bytes()

    def _begun_before(self) -> bool:
        return self.target.parent.has(self._lock_there.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock_there.rest()
        super().__exit__(kind, error, trace)

    def begin(self) -> None:
        """See `Workplace.begin`.

        Raises:
            LockedElsewhere: another machine makes this release.
        """
        self._lock_there.take()
        super().begin()

    def keep_pictures(self, policy: str = "") -> bool:
        """See `Workplace.keep_pictures`."""
        same = super().keep_pictures(policy)
        self.shelf.there = set(self.target.paths()) if same else set()
        return same

    def remove_strangers(self) -> None:
        """Done by `check`, which knows every file by then."""

    def check(self, tick: Tick) -> list[Problem]:
        """The rules over what was made here and what the bucket lists; pictures were checked when sent."""
        self._lock_there.check()
        self._purge()
        if lists_are_sound(self.target, self.release, tick):
            return []
        return [Problem("files", str(self.target), "does not hold what was sent")]

    def _purge(self) -> None:
        """Remove what an earlier run sent and this release does not hold; both lists are in order."""
        due = listed(self.release / layout.SUMS)
        wanted = next(due, None)
        for path in list(self.target.paths()) if self.resumed else self.target.paths():
            while wanted is not None and wanted[0] < path:
                wanted = next(due, None)
            if wanted is None or wanted[0] != path:
                self.target.delete(path)

    def finish(self) -> None:
        """Tables and descriptions, the answers, and last what makes it a release."""
        if self._lock_there.held:
            self._lock_there.check()
        else:
            self._lock_there.take()  # a run that was killed here had made everything else
        for file in sorted(p for p in self.release.rglob("*") if p.is_file()):
            path = file.relative_to(self.release).as_posix()
            if path != layout.SUMS:
                self.target.upload(path, file)
        if self.answers.exists():
            self.target.parent.upload(self.final_answers.name, self.answers)
        self.target.put(layout.SUMS, (self.release / layout.SUMS).read_bytes(), only_new=True)
        self._lock_there.give()
        shutil.rmtree(self.root.parent, ignore_errors=True)

    def discard(self) -> None:
        """Remove what is left here, and in the bucket what was sent and is no release.

        What another machine has taken over is left to it.
        """
        if self._lock_there.still_held():
            for path in list(self.target.paths()):
                self.target.delete(path)
            self._lock_there.give()
        shutil.rmtree(self.root.parent, ignore_errors=True)


def lists_are_sound(target: BucketFolder, here: Path, tick: Tick = lambda n: None) -> bool:
    """Whether tables and descriptions (in `here`) and the list of a bucket's pictures keep every rule.

    The pictures themselves are not fetched: whoever reads one compares it with its checksum.
    """
    pictures: Iterator[Seen] = ((path, None, ()) for path in target.paths() if _is_picture(path))
    walk = heapq.merge(walk_folder(here, decode=False), pictures, key=_path_of)
    return is_sound(here, decode=False, tick=tick, walk=walk)


def fetch_descriptions(target: BucketFolder, here: Path) -> None:
    """Everything of a release but its pictures.

    Raises:
        BucketError: it cannot be read.
    """
    for path in target.paths():
        if not _is_picture(path):
            target.download(path, here / path)


def check_bucket(target: BucketFolder, tick: Tick = lambda n: None) -> list[Problem]:
    """`check_release` of a release in a bucket: every object is fetched once, none is kept.

    Where something is wrong, all of it is fetched again to a temporary folder, to name what it is.

    Raises:
        NotADirectoryError: there is no release.
        BucketError: it cannot be read.
    """
    try:
        there = target.has(layout.SUMS)
    except NoBucket:
        raise NotADirectoryError(20, "there is no such bucket", str(target)) from None
    if not there:
        raise NotADirectoryError(20, "no such release", str(target))
    with TemporaryDirectory(prefix="assay-verify-") as folder:
        here = Path(folder) / target.name
        fetch_descriptions(target, here)
        walk = heapq.merge(walk_folder(here, decode=True), _fetched(target), key=_path_of)
        if is_sound(here, tick=tick, walk=walk):
            return []
        for path in target.paths():
            if _is_picture(path):
                target.download(path, here / path)
        return check_release(here)


def _is_picture(path: str) -> bool:
    return path.split("/", 1)[0] in layout.SPLITS


def _path_of(seen: Seen) -> str:
    return seen[0]


def _fetched(target: BucketFolder) -> Iterator[Seen]:
    """Every picture of a bucket, in order, several at a time."""
    waiting: deque[Future[Seen]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for path in target.paths():
            if _is_picture(path):
                waiting.append(pool.submit(_see, target, path))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _see(target: BucketFolder, path: str) -> Seen:
    data = target.get(path)
    if data is None:
        raise BucketError(f"{target}/{path} went while it was read")
    return see_picture(path, data, decode=True)
