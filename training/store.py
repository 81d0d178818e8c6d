"""The run's folder: finished (arm, seed) pairs, each written whole, so that a killed run goes on where it
was.

`results/ARM-SEED.npz` holds what a pair found, `checkpoints/ARM-SEED.pt` its last weights,
`snapshots/ARM-SEED.pt` where one stands that is being trained, `out-of-fold.npz` what nets say of train
pictures that they were not taught, `run.json` what the run computes, `planned` how many pairs it consists of,
`at-once` how many are trained side by side, `progress` how many epochs are done. Results of other settings,
another release or another number of threads are never mixed in.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


class StoreError(ValueError):
    """A run folder that holds something else; the message is one line for the user."""


@dataclass(frozen=True)
class PairResult:
    """`probabilities`: float32[test images, classes]. `losses`: float64[epochs]. `seconds`: training time.
    `val`: float64[epochs, 2], loss and accuracy where they were measured. `notes`: what the user should know.
    """

    probabilities: np.ndarray
    losses: np.ndarray
    seconds: float
    val: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    notes: tuple[str, ...] = ()


def write_atomically(file: Path, content: bytes) -> None:
    """Write beside the final name, flush to disk, then rename: readers see the old file or the new one."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with part.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def save_arrays(file: Path, **arrays: Any) -> None:
    """Write an .npz beside its final name, flush it to disk, then rename."""
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


class RunFolder:
    """One run's folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results"
        self.checkpoints = path / "checkpoints"
        self.snapshots = path / "snapshots"
        self.out_of_fold = path / "out-of-fold.npz"

    def begin(self, identity: dict[str, Any], restart: bool = False) -> None:
        """Take the folder for the run that `identity` describes, or go on with that very run.

        Raises `StoreError` if it holds another run, unless `restart`, which drops that run's results.
        """
        description = self.path / "run.json"
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path} is a file; give a folder for the run")
        if restart:
            for folder in (self.results, self.checkpoints, self.snapshots):
                shutil.rmtree(folder, ignore_errors=True)
            self.out_of_fold.unlink(missing_ok=True)
            for name in ("at-once", "progress"):
                (self.path / name).unlink(missing_ok=True)
        elif description.is_file():
            self._compare(json.loads(description.read_text(encoding="utf-8")), identity)
        elif self.path.is_dir() and any(item.name != "cache" for item in self.path.iterdir()):
            raise StoreError(f"{self.path} holds something that is no run; give an empty or new folder")
        try:
            for folder in (self.results, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from None
        write_atomically(description, (json.dumps(identity, indent=1, sort_keys=True) + "\n").encode())

    def _compare(self, stored: dict[str, Any], identity: dict[str, Any]) -> None:
        plain = json.loads(json.dumps(identity))
        keys = sorted(set(stored) | set(plain))
        differing = [key for key in keys if stored.get(key) != plain.get(key)]
        if differing:
            raise StoreError(
                f"{self.path} holds a run with another {', '.join(differing)}; "
                "choose another folder, or --restart to replace it"
            )

    def plan(self, pairs: int) -> None:
        """Note for those who watch how many pairs the run has: the release decides which arms it can give."""
        write_atomically(self.path / "planned", str(pairs).encode())

    def note_progress(self, epochs: int, of: int, fresh: int) -> None:
        """Note for those who watch how many epochs are done, and how many of these by this invocation."""
        write_atomically(self.path / "progress", json.dumps([epochs, of, fresh]).encode())

    def at_once(self, wanted: int) -> int:
        """How many trainings go on side by side: what the run began with, as their bits depend on it."""
        file = self.path / "at-once"
        if not file.is_file():
            write_atomically(file, str(wanted).encode())
        return int(file.read_text())

    def has(self, arm: str, seed: int) -> bool:
        """Whether the pair is finished."""
        return (self.results / f"{arm}-{seed}.npz").is_file()

    def load(self, arm: str, seed: int) -> PairResult | None:
        """A finished pair's result, or None."""
        file = self.results / f"{arm}-{seed}.npz"
        if not file.is_file():
            return None
        with np.load(file) as stored:
            return PairResult(
                stored["probabilities"],
                stored["losses"],
                float(stored["seconds"]),
                stored["val"],
                tuple(stored["notes"].tolist()),
            )

    def save(self, arm: str, seed: int, result: PairResult) -> None:
        """Store a finished pair; it counts as finished from the moment of the rename."""
        save_arrays(
            self.results / f"{arm}-{seed}.npz",
            probabilities=result.probabilities,
            losses=result.losses,
            seconds=np.float64(result.seconds),
            val=result.val,
            notes=np.array(result.notes, dtype=np.str_),
        )


def digest_of(names: tuple[str, ...]) -> str:
    """A short digest of a list of image ids, to tell one set of train pictures from another."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
