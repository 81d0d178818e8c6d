"""The queue of a site without a broker: rows that wait, and one process that works them off, one by one.

`start_worker` starts `manage.py retrain --queued` as a process that outlives whoever asked: a command that
ends, a web server that is restarted. However often it is started, one at a time works: the others see its
lock and leave. One that was killed has lost nothing, as the rows are still there; the next one goes on.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from training.models import TrainingRun
from training.services.runs import NoReleaseFolder, NotDue, RunBusy, fail_run, perform_run, take

LOG = "queue.log"
PATIENCE = 0.5
"""Seconds to wait for the queue's lock: a page may be looking whether it is held."""


def start_worker() -> None:
    """Let a process of its own work off the queue. Raises OSError where it cannot be started."""
    settings.RUNS_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.RUNS_DIR / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "retrain", "--queued"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "ASSAY_PROGRESS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    # A web server lives on and has to hear of its end; a command just leaves.
    threading.Thread(target=process.wait, daemon=True).start()


def perform_queued(run_id: int, show: Callable[[bytes], object] | None = None) -> int | None:
    """Perform a run if it still waits, or was left in the middle; whatever hinders it stands in its row.

    Returns:
        The trainer's exit code; None where there was nothing to do.

    Raises:
        RunBusy: another process performs it.
    """
    run = TrainingRun.objects.select_related("release__dataset").filter(pk=run_id).first()
    if run is None or run.ended:
        return None
    try:
        return perform_run(run_id, show=show, only_due=True).code
    except NotDue:
        return None
    except NoReleaseFolder as error:
        fail_run(run, str(error))
        return 2


def work_off_queue(show: Callable[[bytes], object] | None = None) -> dict[int, int]:
    """Perform what waits and what was left in the middle, the oldest first, each once.

    Returns:
        Run id -> the trainer's exit code. Nothing where another process is at it already.
    """
    codes: dict[int, int] = {}
    tried: set[int] = set()
    while (run := _due(tried).first()) is not None:
        with _turn() as mine:
            if not mine:
                return codes
            while run is not None:
                tried.add(run.pk)
                try:
                    code = perform_queued(run.pk, show)
                except RunBusy:
                    code = None  # its trainer has outlived a worker, or a person performs it
                if code is not None:
                    codes[run.pk] = code
                run = _due(tried).first()
        # Look again: who queued a run between the last look and now found us here, and left it to us.
    return codes


def is_worked_off() -> bool:
    """Whether a process of this machine is at the queue now."""
    try:
        lock = os.open(_lock_file(), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(lock)


def _due(tried: set[int]) -> QuerySet[TrainingRun]:
    return TrainingRun.objects.begun_or_due().exclude(pk__in=tried).order_by("pk")


@contextmanager
def _turn() -> Iterator[bool]:
    """Whether this process is the one that works off the queue, for as long as it does."""
    settings.RUNS_DIR.mkdir(parents=True, exist_ok=True)
    with _lock_file().open("ab") as lock:
        yield take(lock.fileno(), PATIENCE)


def _lock_file() -> Path:
    return Path(settings.RUNS_DIR) / ".queue.lock"
