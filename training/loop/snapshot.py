"""Where a training stands, on disk: after kill -9 it goes on to the very same weights."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import torch

SECONDS = 60.0
FORMAT = 1
"""Of what stands in a snapshot: one that another version of this program wrote is not read."""


def save_tensors(file: Path, content: Any) -> None:
    """Write what `torch.load(weights_only=True)` reads, beside its final name, flush, then rename."""
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


class Snapshots:
    """The snapshot of one training: written every `epochs` epochs (0: never so) and after `seconds`."""

    def __init__(self, file: Path, seconds: float = SECONDS, epochs: int = 0, writes: bool = True) -> None:
        self.file, self.seconds, self.epochs, self.writes = file, seconds, epochs, writes
        self._last = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved last, or None. A file that cannot be read counts as none."""
        if not self.file.is_file():
            return None
        try:
            state: Any = torch.load(self.file, weights_only=True, map_location=device)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("format") == FORMAT else None

    def due(self, ended: int | None = None) -> bool:
        """Whether to save now; `ended`: how many epochs have ended, where one just has."""
        by_epoch = bool(self.epochs and ended and ended % self.epochs == 0)
        return self.writes and (by_epoch or time.monotonic() - self._last >= self.seconds)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the snapshot."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(self.file, {"format": FORMAT, **state})
        self._last = time.monotonic()

    def keep(self, weights: dict[str, Any]) -> Path:
        """Store weights that a failed training had reached, beside the snapshot; where they are."""
        file = self.file.with_suffix(".good.pt")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(file, weights)
        return file

    def drop(self) -> None:
        """The training is done."""
        self.file.unlink(missing_ok=True)
        self.file.with_suffix(".good.pt").unlink(missing_ok=True)
