"""Test accuracy from release to release: did the labels get better?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ingest.models import Dataset
from training.models import TrainingRun

ARMS = ("consensus", "majority", "reference")
"""What people ask of a release: its own labels, what plain voting would have given, and what experts give."""
LISTED = 500
"""Finished runs that are looked through, the newest."""


@dataclass(frozen=True)
class Entry:
    """The newest finished run of one release. `arms`: name -> `value, lo, hi` of its test accuracy."""

    run: TrainingRun
    version: str
    test_images: int
    arms: dict[str, dict[str, float]]


@dataclass(frozen=True)
class History:
    """Runs of the same settings, the oldest release first. `settings`: every choice there is, as `chosen`."""

    chosen: str
    settings: list[str]
    entries: list[Entry]

    @property
    def arms(self) -> list[str]:
        """Those of ARMS that any of the runs has."""
        return [arm for arm in ARMS if any(arm in entry.arms for entry in self.entries)]


def settings_of(run: TrainingRun) -> str:
    """What runs must share to be compared: the preset, and what was set beside it by a short digest."""
    preset = (run.metrics or {}).get("preset") or run.preset or "quick"
    return f"{preset}+{hashlib.sha256(run.config.encode()).hexdigest()[:6]}" if run.config else preset


def accuracy_history(dataset: Dataset, wanted: str = "") -> History:
    """The newest finished run of each release under `wanted` settings.

    Where nobody has run those: under the settings that most releases share, of equals the newest.
    """
    # Whatever its state: a finished run that judges its train pictures later on has found what it found.
    runs = TrainingRun.objects.filter(release__dataset=dataset, metrics__isnull=False)
    by_settings: dict[str, dict[int, TrainingRun]] = {}
    for run in runs.select_related("release__dataset").order_by("-id")[:LISTED]:
        if (run.metrics or {}).get("arms"):
            by_settings.setdefault(settings_of(run), {}).setdefault(run.release_id, run)
    usual = max(by_settings, key=lambda name: len(by_settings[name]), default="")
    chosen = wanted if wanted in by_settings else usual
    kept = sorted(by_settings.get(chosen, {}).values(), key=lambda run: _age(run.release.version))
    return History(chosen, sorted(by_settings), [_entry(run) for run in kept])


def _entry(run: TrainingRun) -> Entry:
    metrics: dict[str, Any] = run.metrics
    arms = {arm: row["top1"] for arm, row in metrics["arms"].items()}
    return Entry(run, run.release.version, metrics.get("test_images") or 0, arms)


def _age(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
