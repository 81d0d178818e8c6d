"""A process that can be named for certain: its number is reused once it is gone, its name here is not.

The name is what the kernel says of it: this boot, the process-number namespace, the number, and when it
began. Where the kernel does not say (no /proc), a process has no name, and nobody is signalled by one.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def name_of(pid: int) -> str:
    """The name of a process that runs on this machine; empty where it has none."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        room = (PROC / "self/ns/pid").readlink()
        # The second field may hold spaces and brackets; the 22nd of all is when the process began, in ticks.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        # A zombie is gone already: it only waits for its parent to hear of it.
        return "" if fields[0] in "ZX" else f"{boot} {room} {pid} {fields[19]}"
    except (OSError, IndexError):
        return ""


def is_alive(name: str) -> bool:
    """Whether the very process runs here; one of another machine counts as gone."""
    pid = _number(name)
    return pid is not None and name_of(pid) == name


def ask_to_stop(name: str) -> bool:
    """Send SIGTERM to the very process of that name, never to a later one of its number.

    The handle is opened before the name is looked at: from then on it means one process, whatever becomes of
    the number. False where the process is gone, or may not be signalled.
    """
    pid = _number(name)
    if pid is None or not hasattr(os, "pidfd_open"):
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if name_of(pid) != name:
            return False
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _number(name: str) -> int | None:
    parts = name.split(" ")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdigit() else None
