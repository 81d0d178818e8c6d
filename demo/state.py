"""How far the demo has come, in `demo.json` of its data folder, so that a killed demo goes on."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.processes import DemoError

FILE = "demo.json"
# What a finished demo leaves, and what moves aside when it is run again.
OURS = ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm", "store", "releases", "runs", "demo", FILE)


class State:
    """Finished steps with their results. Every change is on disk before the next step begins."""

    def __init__(self, data: Path, options: dict[str, Any]) -> None:
        self.path = data / FILE
        self.options = options
        self.done: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.finished = False

    @classmethod
    def load(cls, data: Path) -> "State | None":
        """The state in this folder; None where no demo was begun. Raises DemoError where it is unreadable."""
        try:
            saved = json.loads((data / FILE).read_text())
            state = cls(data, saved["options"])
            state.done, state.seconds = saved["done"], saved["seconds"]
            state.finished = saved["finished"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise DemoError(f"{data / FILE} cannot be read: start clean with --fresh", 2) from None
        return state

    def save(self) -> None:
        """Write, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".part")
        kept = {
            "options": self.options,
            "done": self.done,
            "seconds": self.seconds,
            "finished": self.finished,
        }
        beside.write_text(json.dumps(kept, indent=1))
        beside.replace(self.path)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of `work`, which is done now unless it was done before. It must be plain data."""
        if name not in self.done:
            begun = time.monotonic()
            result = work()
            self.done[name] = result
            self.seconds[name] = round(time.monotonic() - begun, 2)
            self.save()
        return self.done[name]

    @property
    def last(self) -> str:
        """The step that was finished last; empty where none was. The port is kept here and is no step."""
        steps = [name for name in self.done if name != "port"]
        return steps[-1] if steps else ""


def take_lock(data: Path, patience: float = 30) -> int:
    """An open file whose lock says that one demo uses this folder. Raises DemoError while another one does.

    The processes of the demo inherit it, so a demo that follows a killed one waits until they have ended.
    """
    data.mkdir(parents=True, exist_ok=True)
    handle = os.open(data / "demo.lock", os.O_RDWR | os.O_CREAT, 0o644)
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                raise DemoError(f"another demo is running in {data}: wait for it, or choose --data") from None
            time.sleep(0.2)
        else:
            return handle


def move_aside(data: Path) -> Path:
    """Move what an earlier demo made to `earlier/N` of the data folder; nothing is deleted."""
    number = 1
    while (data / "earlier" / str(number)).exists():
        number += 1
    target = data / "earlier" / str(number)
    target.mkdir(parents=True)
    for name in OURS:
        if (data / name).exists():
            (data / name).rename(target / name)
    return target
