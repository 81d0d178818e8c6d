"""Training runs: recorded here, computed by `python -m training.retrain` in a process of its own.

This process never loads torch. A run that was killed is performed again under the same id: the trainer goes
on with the (arm, seed) pairs that are missing. A lock that the trainer's process inherits keeps two from
working on one run, even when the process that started it is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from export.models import Release
from ingest.progress import wanted
from training.models import TrainingRun

PATIENCE = 2.0
"""Seconds to wait for a run's lock before it counts as busy."""
TAIL = 4096
"""Bytes of the trainer's last words that are kept to find its error in."""
SUMMARY = (
    "release",
    "model",
    "preset",
    "device",
    "test_images",
    "primary",
    "smallest_difference",
    "label_error_cost",
    "next_votes",
    "warnings",
    "seconds",
)
"""What of metrics.json the database keeps, beside the arms without their single seeds."""


class RunBusy(RuntimeError):
    """Another process performs this run now."""


class NoReleaseFolder(LookupError):
    """The release's folder is gone; one line for the user."""


@dataclass(frozen=True)
class Outcome:
    """How the trainer ended: its exit code, what it printed, and its last words where it failed."""

    code: int
    output: str
    error: str


def start_run(release: Release, preset: str = "", arms: str = "", seeds: int | None = None) -> TrainingRun:
    """A run to perform: the unfinished one with the same settings, or a new one.

    Args:
        preset, arms, seeds: as the trainer's options; left empty, the trainer's defaults.
    """
    same = TrainingRun.objects.filter(release=release, preset=preset, arms=arms, seeds=seeds)
    unfinished = same.exclude(state=TrainingRun.State.DONE).order_by("-id").first()
    if unfinished:
        return unfinished
    run = TrainingRun.objects.create(release=release, preset=preset, arms=arms, seeds=seeds)
    run.folder = str(settings.RUNS_DIR / f"{release}-run{run.pk}")
    run.save(update_fields=["folder"])
    return run


def perform_run(
    run_id: int, *, show: Callable[[bytes], object] | None = None, extra: tuple[str, ...] = ()
) -> Outcome:
    """Train, and record how it went. Safe to call again for a run that failed or was killed.

    Args:
        show: gets what the trainer writes on stderr, as it comes; progress bars too, where they are wanted.
        extra: further options of the trainer (a device, threads).

    Raises:
        RunBusy: another process performs this run.
        NoReleaseFolder: there is nothing to train on.
    """
    run = TrainingRun.objects.select_related("release__dataset").get(pk=run_id)
    folder = Path(run.release.location)
    if not folder.is_dir():
        raise NoReleaseFolder(f"the folder of {run.release} is gone: {folder}; export it again")
    with _locked(run) as lock:
        run.state, run.error = TrainingRun.State.RUNNING, ""
        run.save(update_fields=["state", "error"])
        try:
            outcome = train(folder, Path(run.folder), [*_options(run), *extra], show=show, keep_open=(lock,))
        except KeyboardInterrupt:
            _end(run, TrainingRun.State.FAILED, "stopped by hand; the same command goes on")
            raise
        except OSError as error:
            outcome = Outcome(1, "", f"the trainer could not be started: {error.strerror}")
        if outcome.code == 0:
            run.metrics = summary_of(Path(run.folder))
            _end(run, TrainingRun.State.DONE, "")
        elif outcome.code == 2 and not Path(run.folder).exists():
            run.delete()  # its arguments made no run; nothing was begun
        else:
            _end(run, TrainingRun.State.FAILED, outcome.error)
    return outcome


def train(
    release: Path,
    folder: Path,
    options: list[str],
    *,
    show: Callable[[bytes], object] | None = None,
    keep_open: tuple[int, ...] = (),
) -> Outcome:
    """Run the trainer as a process and wait for it.

    Args:
        keep_open: file descriptors that the trainer inherits.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training.retrain", str(release), "-o", str(folder), *options]
    environment = {**os.environ, "ASSAY_PROGRESS": "1" if show and wanted() else "0"}
    last: deque[int] = deque(maxlen=TAIL)
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=printed,
            stderr=subprocess.PIPE,
            pass_fds=keep_open,
        )
        assert process.stderr
        try:
            while words := os.read(process.stderr.fileno(), 65_536):
                last.extend(words)
                if show:
                    show(words)
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            process.stderr.close()
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    return Outcome(code, output, "" if code == 0 else _last_words(bytes(last), code))


def summary_of(folder: Path) -> dict[str, Any]:
    """The part of metrics.json that pages and lists show."""
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    arms = {
        arm: {key: value for key, value in row.items() if key != "seeds"} | {"runs": len(row["seeds"])}
        for arm, row in metrics["arms"].items()
    }
    return {key: metrics.get(key) for key in SUMMARY} | {"arms": arms}


def pairs_done(run: TrainingRun) -> int:
    """How many (arm, seed) pairs the run has finished."""
    return sum(1 for _ in (Path(run.folder) / "results").glob("*.npz")) if run.folder else 0


def pairs_planned(run: TrainingRun) -> int | None:
    """How many pairs the run consists of, as its trainer noted; None before it has."""
    try:
        return int((Path(run.folder) / "planned").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _options(run: TrainingRun) -> list[str]:
    options = []
    for flag, value in (("--preset", run.preset), ("--arms", run.arms), ("--seeds", run.seeds)):
        if value:
            options += [flag, str(value)]
    return options


def _end(run: TrainingRun, state: TrainingRun.State, error: str) -> None:
    run.state, run.error, run.finished = state, error, timezone.now()
    run.save(update_fields=["state", "error", "finished", "metrics"])


def _last_words(words: bytes, code: int) -> str:
    """The trainer's last line, which is its error; progress bars write over theirs with a return."""
    lines = [line.strip() for line in words.decode(errors="replace").replace("\r", "\n").splitlines()]
    spoken = [line for line in lines if line]
    if code < 0:
        return f"the trainer was killed by signal {-code}"
    return spoken[-1][:500] if spoken else f"the trainer ended with exit code {code}"


@contextmanager
def _locked(run: TrainingRun) -> Iterator[int]:
    """Hold the run's lock. The trainer inherits the descriptor, and so keeps the lock while it lives."""
    folder = Path(run.folder).parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / f".run-{run.pk}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _taken(lock):
            raise RunBusy(f"run {run.pk} is being performed by another process")
        yield lock
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    """Take a file's lock, with a moment's patience: a trainer that was just stopped may still be dying."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
