"""The trainer as a process of its own: started, listened to, stopped. This process never loads torch.

What it writes on stderr goes into a log beside the run's folder, never into a pipe: so it goes on to its end
when whoever started it is killed, and its last words can be read afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from ingest.progress import wanted

TICK = 0.1
"""Seconds between two looks at what the trainer wrote."""
ASK_EVERY = 2.0
"""Seconds between two questions whether it shall stop."""
PATIENCE = 10.0
"""Seconds that a trainer has to end when it is asked to."""
TAIL = 16_384
"""Bytes of the log's end in which its last words are looked for."""


@dataclass(frozen=True)
class Outcome:
    """How the trainer ended: its exit code, what it printed, and its last words where it failed."""

    code: int
    output: str
    error: str


def log_of(folder: Path) -> Path:
    """Where what the trainer of this run says is kept: beside the folder, which is the trainer's own."""
    return folder.with_name(f"{folder.name}.log")


def train(
    release: Path,
    folder: Path,
    options: list[str],
    *,
    show: Callable[[bytes], object] | None = None,
    keep_open: tuple[int, ...] = (),
    began: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Run the trainer and wait for it.

    Args:
        show: gets what it writes on stderr, as it comes; progress bars too, where they are wanted.
        keep_open: file descriptors that it inherits.
        began: told its process number.
        stop: asked now and then; True ends the trainer.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training.retrain", str(release), "-o", str(folder), *options]
    environment = {**os.environ, "ASSAY_PROGRESS": "1" if show and wanted() else "0"}
    with tempfile.TemporaryFile() as printed, log_of(folder).open("w+b") as log:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=printed,
            stderr=log,
            pass_fds=keep_open,
        )
        try:
            if began:
                began(process.pid)
            code = _listen(process, log_of(folder), show, stop)
        except BaseException:
            _end(process)
            raise
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    return Outcome(code, output, "" if code == 0 else last_words(folder, code))


def said_last(folder: Path, lines: int = 40) -> list[str]:
    """The last lines of a run's log; of a progress bar, which writes over itself, what it showed last."""
    try:
        with log_of(folder).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    drawn = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in drawn if line][-lines:]


def last_words(folder: Path, code: int) -> str:
    """Why the trainer failed: its last line."""
    if code < 0:
        return f"the trainer was killed by signal {-code}"
    spoken = said_last(folder, 1)
    return spoken[-1].strip()[:500] if spoken else f"the trainer ended with exit code {code}"


def _listen(
    process: subprocess.Popen[bytes],
    log: Path,
    show: Callable[[bytes], object] | None,
    stop: Callable[[], bool] | None,
) -> int:
    """Pass on what the trainer says until it has ended; returns its exit code."""
    asked = time.monotonic()
    with log.open("rb") as said:
        while True:
            ended = process.poll()
            words = said.read()  # after the poll: what an ended process wrote is all there
            if words and show:
                show(words)
            if ended is not None:
                return ended
            if stop and time.monotonic() - asked > ASK_EVERY:
                asked = time.monotonic()
                if stop():
                    return _end(process)
            time.sleep(TICK)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ask the trainer to end, and see that it does; what it has finished is kept either way."""
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
