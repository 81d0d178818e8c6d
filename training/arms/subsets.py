"""Which pictures an arm that drops some is taught on."""

from __future__ import annotations

import numpy as np

Ints = np.ndarray


def class_wise_control(labels: Ints, dropped: Ints, seed: int) -> Ints:
    """bool[n], kept: as many of each class are dropped, at random, as `dropped` (bool[n]) drops of it.

    So the control differs from the cleaned set in which pictures went, not in how many or of which class.
    """
    chance = np.random.default_rng([seed, 6]).random(len(labels))
    order = np.lexsort((chance, labels))
    size = np.bincount(labels)
    gone = np.bincount(labels, weights=dropped, minlength=len(size)).astype(np.int64)
    place = np.arange(len(labels)) - (np.cumsum(size) - size)[labels[order]]
    kept = np.empty(len(labels), dtype=bool)
    kept[order] = place >= gone[labels[order]]
    return kept


def random_part(pictures: int, wanted: int, seed: int) -> Ints:
    """int64[wanted], increasing: pictures drawn at random, all equally likely."""
    return np.sort(np.random.default_rng([seed, 7]).permutation(pictures)[:wanted])
