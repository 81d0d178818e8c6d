"""What a run leaves behind: metrics.json, report.html and predictions.parquet, written whole."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from annotation_site.figures import number_of
from training.release import Release
from training.settings import Settings
from training.store import RunFolder, write_atomically

if TYPE_CHECKING:
    from training.experiment import Machine

SCHEMA = 1  # of metrics.json


def metrics(
    release: Release, settings: Settings, machine: Machine, measured: dict[str, Any], images: Sequence[str]
) -> dict[str, Any]:
    """metrics.json so far: what was asked, and what was measured on these test `images`."""
    return {
        "schema": SCHEMA,
        "release": {"name": release.name, "version": release.version, "fingerprint": release.fingerprint},
        "model": settings.model,
        "preset": settings.preset,
        "device": machine.device.type,
        **measured,
        "release_facts": release.facts(),
        "test_copies": release.copies(images),
        "settings": dataclasses.asdict(settings),
        "classes": list(release.classes),
        "environment": environment(machine, settings),
    }


def write(folder: RunFolder, metrics: dict[str, Any], predictions: Any, page: str) -> None:
    """The run's three files, metrics.json last: where it stands, the others do."""
    buffer = io.BytesIO()
    predictions.to_parquet(buffer, index=False)
    write_atomically(folder.path / "predictions.parquet", buffer.getvalue())
    write_atomically(folder.path / "report.html", page.encode())
    write_atomically(folder.path / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())


def notes(found: dict[str, list[Any]], settings: Settings) -> list[str]:
    """What the trainings have to say, each line once with how often it was said."""
    said = Counter(note for results in found.values() for result in results for note in result.notes)
    trainings = sum(map(len, found.values()))
    lines = [
        f"{note} ({times} of {number_of(trainings, 'training')})" for note, times in sorted(said.items())
    ]
    if settings.patience:
        best = [int(result.val[:, 0].argmin()) + 1 for results in found.values() for result in results]
        span = f"{min(best)} to {max(best)}" if min(best) < max(best) else str(best[0])
        lines.append(f"early stopping took epoch {span} of at most {settings.epochs}")
    return lines


def environment(machine: Machine, settings: Settings) -> dict[str, Any]:
    """What else decides the figures. The same seeds and thread count give the same bits on the same CPU."""
    import torch

    from training.experiment import pick_precision

    cuda = machine.device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": machine.threads,
        "processes": machine.ranks.world,
        "sharing": "batch" if machine.sharing.world > 1 else "pairs",
        "precision": pick_precision(settings.precision, machine.device),
        "seeds": f"0 to {settings.seeds - 1}",
        "deterministic": not cuda or torch.are_deterministic_algorithms_enabled(),
        "gpu": torch.cuda.get_device_name(machine.device) if cuda else None,
        "cudnn_benchmark": torch.backends.cudnn.benchmark if cuda else None,
    }
