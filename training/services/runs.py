"""Training runs: recorded here, computed by `python -m training.retrain` in a process of its own.

A run that was killed is performed again under the same id: the trainer goes on with the (arm, seed) pairs
that are missing. A lock that the trainer's process inherits keeps two from working on one run, even when the
process that started it is gone. To stop a run is to write it into its row; whoever performs it sees it there,
on whatever machine, and where the trainer's process is known here it is asked directly.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from export.models import Release
from training.models import TrainingRun
from training.process import ask_to_stop, name_of
from training.services.trainer import Outcome, train

PATIENCE = 2.0
"""Seconds to wait for a run's lock before it counts as busy."""
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
State = TrainingRun.State


class RunBusy(RuntimeError):
    """Another process performs this run now."""


class NoReleaseFolder(LookupError):
    """The release's folder is gone, or on no disk of this machine; one line for the user."""


class NotDue(RuntimeError):
    """The run was stopped, or ended, before it could be performed."""


def start_run(
    release: Release,
    preset: str = "",
    arms: str = "",
    seeds: int | None = None,
    config: str = "",
    suspects: bool = False,
) -> TrainingRun:
    """A run to perform: the unfinished one with the same settings, or a new one.

    Args:
        preset, arms, seeds: as the trainer's options; left empty, the trainer's defaults.
        config: further settings as TOML.
        suspects: have train pictures judged by nets that were not taught them, too.
    """
    wanted = {"preset": preset, "arms": arms, "seeds": seeds, "config": config, "suspects": suspects}
    same = TrainingRun.objects.filter(release=release, **wanted)
    unfinished = same.unfinished().order_by("-id").first()
    if unfinished:
        return unfinished
    run = TrainingRun.objects.create(release=release, **wanted)
    run.folder = str(settings.RUNS_DIR / f"{release}-run{run.pk}")
    run.save(update_fields=["folder"])
    return run


def perform_run(
    run_id: int,
    *,
    show: Callable[[bytes], object] | None = None,
    extra: tuple[str, ...] = (),
    only_due: bool = False,
) -> Outcome:
    """Train, and record how it went. Safe to call again for a run that failed, was stopped or was killed.

    Args:
        show: gets what the trainer writes on stderr, as it comes; progress bars too, where they are wanted.
        extra: further options of the trainer (a device, threads).
        only_due: leave a run alone that has ended or was stopped since it was queued.

    Raises:
        RunBusy: another process performs this run.
        NoReleaseFolder: there is nothing to train on.
        NotDue: see `only_due`.
    """
    run = TrainingRun.objects.select_related("release__dataset").get(pk=run_id)
    folder = release_folder(run.release)
    with _locked(run) as lock:
        _begin(run, only_due)
        try:
            outcome = train(
                folder,
                Path(run.folder),
                [*_options(run), *extra],
                show=show,
                keep_open=(lock,),
                began=lambda pid: _keep_process(run, pid),
                stop=lambda: _is_stopped(run),
            )
        except KeyboardInterrupt:
            _end(run, State.STOPPED, "stopped by hand; the same command goes on")
            raise
        except OSError as error:
            outcome = Outcome(1, "", f"the trainer could not be started: {error.strerror}")
        if outcome.code == 0:
            run.metrics = summary_of(Path(run.folder))
            _end(run, State.DONE, "")
        elif _is_stopped(run):
            _end(run, State.STOPPED, "")
        else:
            _end(run, State.FAILED, outcome.error)
    return outcome


def stop_run(run: TrainingRun) -> bool:
    """Stop a run that waits or is under way; what it has finished is kept. False where it had ended."""
    due = TrainingRun.objects.filter(pk=run.pk).begun_or_due()
    if not due.update(state=State.STOPPED, error="", finished=timezone.now()):
        return False
    run.refresh_from_db()
    ask_to_stop(run.process)
    return True


def want_suspects(run: TrainingRun) -> bool:
    """Have the run judge its train pictures too; True where it did not want that before.

    A finished run then has something left to do: it keeps its trainings and adds the judgements.
    """
    if run.suspects:
        return False
    run.suspects = True
    run.save(update_fields=["suspects"])
    return True


def mark_queued(run: TrainingRun) -> None:
    """Let the run wait for somebody to perform it."""
    run.state, run.error, run.finished = State.QUEUED, "", None
    run.save(update_fields=["state", "error", "finished"])


def fail_run(run: TrainingRun, why: str) -> None:
    """The run cannot be performed; it can be started again."""
    _end(run, State.FAILED, why)


def forget_unbegun(run: TrainingRun) -> None:
    """Delete a run whose settings the trainer refused before it began anything."""
    if not Path(run.folder).exists():
        for file in (Path(f"{run.folder}.log"), _config_of(run)):
            file.unlink(missing_ok=True)
        run.delete()


def release_folder(release: Release) -> Path:
    """The folder to train on.

    Raises:
        NoReleaseFolder: there is none on this machine.
    """
    if "://" in release.location:
        raise NoReleaseFolder(
            f"{release} is at {release.location}: download it, then python -m training.retrain FOLDER"
        )
    folder = Path(release.location)
    if not folder.is_dir():
        raise NoReleaseFolder(f"the folder of {release} is gone: {folder}; export it again")
    return folder


def is_abandoned(run: TrainingRun) -> bool:
    """Whether a run that is said to be under way has nobody who works on it.

    Told by its lock, which lives and dies with the trainer; where there is none here, nothing can be told.
    """
    if run.state != State.RUNNING:
        return False
    try:
        lock = os.open(_lock_of(run), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(lock)


def take(lock: int, patience: float) -> bool:
    """Take a file's lock, with a moment's patience (seconds): who holds it may be dying, or only looking."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def summary_of(folder: Path) -> dict[str, Any]:
    """The part of metrics.json that pages and lists show."""
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    arms = {
        arm: {key: value for key, value in row.items() if key != "seeds"} | {"runs": len(row["seeds"])}
        for arm, row in metrics["arms"].items()
    }
    return {key: metrics.get(key) for key in SUMMARY} | {"arms": arms}


def _options(run: TrainingRun) -> list[str]:
    """The trainer's options; settings beside the preset stand in a file, which is written on the way."""
    options = []
    for flag, value in (("--preset", run.preset), ("--arms", run.arms), ("--seeds", run.seeds)):
        if value:
            options += [flag, str(value)]
    options += ["--suspects"] if run.suspects else []
    options += _machine_of(Path(run.folder))
    if run.config:
        _config_of(run).write_text(run.config, encoding="utf-8")
        options += ["--config", str(_config_of(run))]
    return options


def _machine_of(folder: Path) -> list[str]:
    """The device and the threads that a run began with: its trainer goes on with no others."""
    try:
        held = json.loads((folder / "run.json").read_text("utf-8"))
        return ["--device", str(held["device"]), "--threads", str(held["threads"])]
    except (OSError, ValueError, KeyError):
        return []


def _config_of(run: TrainingRun) -> Path:
    return Path(f"{run.folder}.toml")


def _begin(run: TrainingRun, only_due: bool) -> None:
    rows = TrainingRun.objects.filter(pk=run.pk)
    rows = rows.begun_or_due() if only_due else rows
    begun = timezone.now()
    if not rows.update(state=State.RUNNING, error="", begun=begun, finished=None, process=""):
        raise NotDue(f"run {run.pk} has ended or was stopped")
    run.state, run.begun = State.RUNNING, begun


def _keep_process(run: TrainingRun, pid: int) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(process=name_of(pid))


def _is_stopped(run: TrainingRun) -> bool:
    """Whether somebody stopped it. A database that is away for a while ends no training."""
    try:
        _refresh_connection()
        return TrainingRun.objects.filter(pk=run.pk, state=State.STOPPED).exists()
    except DatabaseError:
        return False


def _end(run: TrainingRun, state: TrainingRun.State, error: str) -> None:
    _refresh_connection()
    run.state, run.error, run.finished, run.process = state, error, timezone.now(), ""
    run.save(update_fields=["state", "error", "finished", "process", "metrics"])


def _refresh_connection() -> None:
    """A training of hours may have outlived the connection at hand; within a transaction it is kept."""
    if not connection.in_atomic_block:
        close_old_connections()


def _lock_of(run: TrainingRun) -> Path:
    return Path(run.folder).parent / f".run-{run.pk}.lock"


@contextmanager
def _locked(run: TrainingRun) -> Iterator[int]:
    """Hold the run's lock. The trainer inherits the descriptor, and so keeps the lock while it lives."""
    _lock_of(run).parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(_lock_of(run), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not take(lock, PATIENCE):
            raise RunBusy(f"run {run.pk} is being performed by another process")
        yield lock
    finally:
        os.close(lock)
