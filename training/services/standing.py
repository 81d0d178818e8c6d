"""How far a run is, from what its trainer has written so far."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from training.models import TrainingRun
from training.presets import PRESETS
from training.services.runs import is_abandoned


@dataclass(frozen=True)
class Standing:
    """`done` of `planned` trainings; `epochs` done of all theirs, None before the trainer noted it;
    `seconds_left`: an estimate, None where nothing tells yet; `abandoned`: it is said to be under way, but
    nobody works on it."""

    done: int
    planned: int
    epochs: tuple[int, int] | None
    seconds_left: float | None
    abandoned: bool


@dataclass(frozen=True)
class _Epochs:
    """What the trainer noted: `done` of `of` epochs, `fresh` of them by itself, `when` (since the epoch)."""

    done: int
    of: int
    fresh: int
    when: float


def standing_of(run: TrainingRun, now: float | None = None) -> Standing:
    """Where the run stands now (seconds since the epoch)."""
    ends = sorted(_ends(run))
    planned = max(trainings_planned(run), len(ends))
    abandoned, epochs = is_abandoned(run), _epochs(run)
    left = None
    if run.state == TrainingRun.State.RUNNING and run.begun and not abandoned:
        left = _seconds_left(run.begun.timestamp(), epochs, time.time() if now is None else now)
    shown = (epochs.done, epochs.of) if epochs else None
    return Standing(len(ends), planned, shown, left, abandoned)


def pairs_planned(run: TrainingRun) -> int | None:
    """How many pairs the run consists of, as its trainer noted; None before it has."""
    try:
        return int((Path(run.folder) / "planned").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def trainings_planned(run: TrainingRun) -> int:
    """Trainings that the run consists of; before the trainer noted it, those asked for or the preset's."""
    if noted := pairs_planned(run):
        return noted
    preset = PRESETS.get(run.preset or "quick", PRESETS["quick"])
    arms = [arm for arm in run.arms.split(",") if arm.strip()] or preset.arms
    if run.metrics:
        return sum(arm["runs"] for arm in run.metrics["arms"].values())
    return len(arms) * (run.seeds or preset.seeds)


def _ends(run: TrainingRun) -> list[float]:
    """When each finished pair was written, in seconds since the epoch."""
    found = []
    for file in (Path(run.folder) / "results").glob("*.npz") if run.folder else ():
        try:
            found.append(file.stat().st_mtime)
        except FileNotFoundError:  # the trainer is replacing the run
            continue
    return found


def _epochs(run: TrainingRun) -> _Epochs | None:
    file = Path(run.folder) / "progress"
    try:
        done, of, fresh = (int(number) for number in json.loads(file.read_text("utf-8")))
        return _Epochs(done, of, fresh, file.stat().st_mtime) if of > 0 else None
    except (OSError, ValueError, TypeError):  # not yet, or the trainer is replacing the run
        return None


def _seconds_left(begun: float, epochs: _Epochs | None, now: float) -> float | None:
    """At the pace of the epochs that this trainer did; those of an earlier one tell nothing of it."""
    if epochs is None or epochs.when < begun or epochs.fresh < 1:
        return None
    pace = (epochs.when - begun) / epochs.fresh
    return max(0.0, pace * (epochs.of - epochs.done) - (now - epochs.when))
