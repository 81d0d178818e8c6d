"""One machine at a time makes a release in a bucket: a small object says which, and that it still lives.

Order of steps to take it:

1. Put it, only if none is there. Servers that know conditions (Amazon, MinIO, Ceph, …) let one of two win.
2. Read it back. Servers that ignore the condition keep what came last: the other one sees a stranger's name.
3. While the release grows, put it again every `BEAT` seconds; where a stranger's name stands, give up.

Where a lock is there already: ours (the same machine, the process that wrote it is dead) is taken up at once,
a stranger's once it has been silent for `SILENT` seconds by the server's own clock. On a server that ignores
conditions two machines that start in the same moment may both send pictures for up to `BEAT` seconds; one of
them gives up then, and both have sent the same bytes under the same names.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.places.bucket import BucketError, BucketFolder, ObjectExists

BEAT = 30.0
SILENT = 300.0


class LockedElsewhere(BucketError):
    """Another machine makes this very release; one line for the user."""


@dataclass(frozen=True)
class _Owner:
    """Who holds a lock. `machine` differs wherever a process number means another process."""

    token: str
    machine: str
    host: str
    process: int

    def as_bytes(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True).encode()

    @classmethod
    def read(cls, data: bytes) -> _Owner:
        """The owner that a lock names; one that names nobody (an older program's) is a stranger's."""
        try:
            told: Any = json.loads(data)
            return cls(str(told["token"]), str(told["machine"]), str(told["host"]), int(told["process"]))
        except (ValueError, KeyError, TypeError):
            return cls("", "", "another machine", 0)

    def is_dead_here(self) -> bool:
        """Whether a process of this machine wrote it that is no more (or is this one, which begins anew)."""
        if self.machine != _machine():
            return False
        return self.process == os.getpid() or not Path(f"/proc/{self.process}").exists()


class BucketLock:
    """The lock `folder/name`: `take` it, `check` it before a step that others notice, `give` it back."""

    def __init__(self, folder: BucketFolder, name: str) -> None:
        self.folder, self.name = folder, name
        self.held = False
        self._owner = _Owner(secrets.token_hex(8), _machine(), socket.gethostname(), os.getpid())
        self._lost = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Steps 1 and 2 above, and begin step 3.

        Raises:
            LockedElsewhere: another machine has it.
            BucketError: nobody can tell.
        """
        try:
            self.folder.put(self.name, self._owner.as_bytes(), only_new=True)
        except ObjectExists:
            self._take_over()
        self._read_back()
        self.held = True
        self._thread = threading.Thread(target=self._beat, name=f"lock {self.name}", daemon=True)
        self._thread.start()

    def _take_over(self) -> None:
        found = self.folder.get_with_age(self.name)
        if found is not None:
            data, age = found
            other = _Owner.read(data)
            if not other.is_dead_here() and age < SILENT:
                raise LockedElsewhere(
                    f"{other.host} is exporting {self.folder}/{self._release} (its last sign was {age:.0f} s "
                    f"ago); if it was stopped there, run this again in {SILENT - age:.0f} s"
                )
        self.folder.put(self.name, self._owner.as_bytes())

    @property
    def _release(self) -> str:
        return self.name.removeprefix(".").removesuffix(".partial")

    def _read_back(self) -> None:
        data = self.folder.get(self.name)
        other = _Owner.read(data or b"")
        if other.token != self._owner.token:
            self.held = False
            self._lost = (
                f"{other.host} has begun to export {self.folder}/{self._release} too, and goes on; nothing "
                "of it was removed"
            )
            raise LockedElsewhere(self._lost)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self._read_back()
                self.folder.put(self.name, self._owner.as_bytes())
            except LockedElsewhere:
                return
            except BucketError:
                continue  # a server that is away for a moment; `check` asks again

    def check(self) -> None:
        """Whether it is still ours.

        Raises:
            LockedElsewhere: it is not.
            BucketError: nobody can tell.
        """
        if self._lost:
            raise LockedElsewhere(self._lost)
        if self.held:
            self._read_back()

    def still_held(self) -> bool:
        """Whether it was taken and nobody has taken it over since."""
        try:
            self.check()
        except LockedElsewhere:
            return False
        return self.held

    def rest(self) -> None:
        """No more signs of life; the lock stays, as after a kill."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def sweep(self) -> None:
        """Remove what a process of this machine left that was killed after its work was done."""
        left = self.folder.get(self.name)
        if left is not None and _Owner.read(left).is_dead_here():
            self.folder.delete(self.name)

    def give(self) -> None:
        """Give it back, if it is ours."""
        self.rest()
        if self.held:
            self.held = False
            self.folder.delete(self.name)


def _machine() -> str:
    """A name for what process numbers belong to: this boot of this kernel, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{socket.gethostname()} {secrets.token_hex(8)}"
