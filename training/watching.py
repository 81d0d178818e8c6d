"""What one sees of a run while it trains: one bar over all its epochs, and TensorBoard's files if asked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ingest.progress import progress
from training.settings import SettingsError


class RunWatch:
    """The bar of a run of `pairs` trainings of `epochs` each, `finished` of which are done already."""

    def __init__(
        self,
        pairs: int,
        epochs: int,
        finished: int = 0,
        tensorboard: Path | None = None,
        silent: bool = False,
    ) -> None:
        self.epochs, self.tensorboard = epochs, tensorboard
        self._lock = threading.Lock()
        self._bar: Any = None
        if not silent:
            self._bar = progress(total=pairs * epochs, what="train", unit="epoch")
            # Epochs of an earlier invocation tell nothing about the time that is left.
            self._bar.initial = self._bar.n = finished * epochs
            self._bar.refresh()

    def pair(self, arm: str, seed: int) -> PairWatch:
        """Whom a training of that labelling tells how it goes."""
        return PairWatch(self, f"{arm}-{seed}")

    def forward(self, epochs: int, words: str = "") -> None:
        """So many epochs are done; threads may say so at once."""
        if self._bar is not None:
            with self._lock:
                if words:
                    self._bar.set_postfix_str(words, refresh=False)
                self._bar.update(epochs)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


class PairWatch:
    """One training's part of the bar, and its curves."""

    def __init__(self, run: RunWatch, name: str) -> None:
        self.run, self.name, self.seen = run, name, 0
        self._writer: Any = None

    def epoch(self, number: int, loss: float, val: tuple[float, float] | None) -> None:
        """See `training.loop.Watch`."""
        self.run.forward(number - self.seen, f"{self.name} loss {loss:.3f}")
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
