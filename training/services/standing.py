"""How far a run is, from what its trainer has written so far."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from training.models import TrainingRun
from training.presets import PRESETS
from training.services.runs import is_abandoned


@dataclass(frozen=True)
class Standing:
    """`done` of `planned` trainings; `seconds_left`: an estimate, None where nothing tells yet; `abandoned`:
    it is said to be under way, but nobody works on it."""

    done: int
    planned: int
    seconds_left: float | None
    abandoned: bool

    @property
    def share(self) -> float:
        """Of the trainings, those that are done."""
        return self.done / self.planned if self.planned else 0.0


def standing_of(run: TrainingRun, now: float | None = None) -> Standing:
    """Where the run stands now (seconds since the epoch)."""
    ends = sorted(_ends(run))
    planned = max(trainings_planned(run), len(ends))
    abandoned = is_abandoned(run)
    left = None
    if run.state == TrainingRun.State.RUNNING and run.begun and not abandoned:
        left = _seconds_left(run.begun.timestamp(), ends, planned, time.time() if now is None else now)
    return Standing(len(ends), planned, left, abandoned)


def pairs_done(run: TrainingRun) -> int:
    """How many (arm, seed) pairs the run has finished."""
    return len(_ends(run))


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


def _seconds_left(begun: float, ends: list[float], planned: int, now: float) -> float | None:
    """At the pace of the pairs that this trainer finished; those of an earlier one tell nothing of it."""
    fresh = [end for end in ends if end >= begun]
    if not fresh:
        return None
    pace = (fresh[-1] - begun) / len(fresh)
    return max(0.0, pace * (planned - len(ends)) - (now - fresh[-1]))
