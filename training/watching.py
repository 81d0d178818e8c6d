"""What one sees of a run while it trains: one bar over all its epochs, the same for those who look at its
folder, and TensorBoard's files if asked."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from ingest.progress import progress
from training.settings import SettingsError
from training.store import RunFolder

NOTED = 1.0
"""Seconds between two notes of the progress in the run's folder, at least."""


class RunWatch:
    """The bar of a run of `pairs` trainings of `epochs` each, `finished` of which are done already.

    With a `folder` what the bar shows is noted there too.
    """

    def __init__(
        self,
        pairs: int,
        epochs: int,
        finished: int = 0,
        tensorboard: Path | None = None,
        silent: bool = False,
        folder: RunFolder | None = None,
    ) -> None:
        self.epochs, self.tensorboard = epochs, tensorboard
        self.total, self.done = pairs * epochs, finished * epochs
        # Epochs of an earlier invocation tell nothing about the time that is left.
        self.earlier = self.done
        self._lock = threading.Lock()
        self._bar: Any = None
        self._folder = None if silent else folder
        self._noted = float("-inf")
        if not silent:
            self._bar = progress(total=self.total, what="train", unit="epoch")
            self._bar.initial = self._bar.n = self.done
            self._bar.refresh()

    def pair(self, arm: str, seed: int) -> PairWatch:
        """Whom a training of that labelling tells how it goes."""
        return PairWatch(self, f"{arm}-{seed}")

    def forward(self, epochs: int, words: str = "", earlier: int = 0) -> None:
        """So many epochs are done, `earlier` of them by another invocation; threads may say so at once."""
        with self._lock:
            self.done += epochs
            self.earlier += earlier
            if self._bar is not None:
                if words:
                    self._bar.set_postfix_str(words, refresh=False)
                self._bar.initial = self.earlier
                self._bar.update(epochs)
            if time.monotonic() >= self._noted + NOTED:
                self._note()

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._note()
        if self._bar is not None:
            self._bar.close()

    def _note(self) -> None:
        if self._folder is not None and self.done > self.earlier:
            self._folder.note_progress(self.done, self.total, self.done - self.earlier)
        self._noted = time.monotonic()


class PairWatch:
    """One training's part of the bar, and its curves."""

    def __init__(self, run: RunWatch, name: str) -> None:
        self.run, self.name, self.seen = run, name, 0
        self._writer: Any = None

    def epoch(self, number: int, loss: float, val: tuple[float, float] | None) -> None:
        """See `training.loop.Watch`."""
        # A training that goes on from its last snapshot begins in the middle.
        earlier = 0 if self.seen else number - 1
        self.run.forward(number - self.seen, f"{self.name} loss {loss:.3f}", earlier)
        self.seen = number
        if self.run.tensorboard is None:
            return
        if self._writer is None:
            # What an invocation that was killed had written of these epochs and later is hidden.
            self._writer = _writers()(str(self.run.tensorboard / self.name), purge_step=number)
        self._writer.add_scalar("train/loss", loss, number)
        if val is not None:
            self._writer.add_scalar("val/loss", val[0], number)
            self._writer.add_scalar("val/accuracy", val[1], number)

    def done(self) -> None:
        """The training is over, maybe before its last epoch."""
        self.run.forward(self.run.epochs - self.seen)
        self.seen = self.run.epochs
        if self._writer is not None:
            self._writer.close()


def check_tensorboard() -> None:
    """Raise `SettingsError` if TensorBoard's files cannot be written here."""
    _writers()


def _writers() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingsError(
            "--tensorboard needs the package tensorboard: pip install tensorboard, or run without it"
        ) from None
    return SummaryWriter
