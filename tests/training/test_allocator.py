"""Freed memory stays with the process that asked for it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = """
import resource, runpy, sys, threading
if sys.argv[1] == "keep":  # the file alone: its package imports PyTorch
    assert runpy.run_path("training/loop/allocator.py")["keep_freed_memory"]()
size = 48 << 20
def work():
    for _ in range(10):
        b"x" * size
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def test_large_blocks_are_cleared_by_the_system_once_and_not_each_time() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(done.stdout)

    pages = 10 * (48 << 20) // 4096
    if platform.libc_ver()[0] == "glibc":  # others cannot be told, and lose nothing
        assert faults("plain") - faults("keep") > pages // 2
