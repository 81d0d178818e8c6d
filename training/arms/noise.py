"""Errors put into labels by chance: spread evenly, or as the crowd makes them.

Under one seed all noise hits the same pictures, and those of a lower rate are among those of a higher one:
the difference between two such arms then holds less chance.
"""

from __future__ import annotations

import numpy as np

Ints = np.ndarray
Floats = np.ndarray


def symmetric_noise(base: Ints, rate: float, classes: int, seed: int) -> Ints:
    """Replace each label with chance `rate` by one of the other classes, never by itself."""
    rng = np.random.default_rng([seed, 3])
    hit = rng.random(len(base)) < rate
    shift = rng.integers(1, classes, len(base))
    return np.where(hit, (base + shift) % classes, base)


def crowd_noise(base: Ints, rate: float, mistakes: Floats, seed: int) -> Ints:
    """Replace each label with chance `rate` by one of `mistakes` (see `crowd_mistakes`), never by itself."""
    hit = np.random.default_rng([seed, 3]).random(len(base)) < rate
    draw = np.random.default_rng([seed, 5]).random(len(base))
    reached = mistakes.cumsum(axis=1)[base] > draw[:, None]
    # Sums of floats may end a hair below 1: the last class that has any chance stands in.
    last = mistakes.shape[1] - 1 - (mistakes[:, ::-1] > 0).argmax(axis=1)
    wrong = np.where(reached.any(axis=1), reached.argmax(axis=1), last[base])
    return np.where(hit, wrong, base)


def crowd_mistakes(counts: Ints, base: Ints, classes: int) -> Floats:
    """float64[classes, classes]: what wrong votes on pictures of each class say; the diagonal is 0, rows sum
    to 1.

    Every other class gets sqrt(n) / (classes - 1) votes more than it had of the row's n wrong ones, which is
    the estimate whose worst squared error is smallest (Steinhaus 1957, "The problem of estimation", Annals of
    Mathematical Statistics 28).

    Args:
        counts: int64[pictures, classes], votes. base: int64[pictures], the class taken for true.
    """
    said = np.zeros((classes, classes))
    np.add.at(said, base, counts)
    np.fill_diagonal(said, 0.0)
    extra = np.sqrt(np.maximum(said.sum(axis=1, keepdims=True), 1.0)) / (classes - 1)
    said += extra * (1.0 - np.eye(classes))
    return said / said.sum(axis=1, keepdims=True)
