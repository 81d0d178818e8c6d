"""Arms on fewer pictures take as many optimiser steps, and see all of theirs equally often."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from training.loop import Inputs, fit
from training.settings import Settings

SETTINGS = Settings(epochs=6, batch=8)


def seen(rows: int, pictures: int | None) -> tuple[int, np.ndarray, list[int]]:
    """Steps, how often each row was taught, and the first batch."""
    batches: list[list[int]] = []

    def batch(chosen: torch.Tensor, chance: torch.Generator | None) -> torch.Tensor:
        batches.append(chosen.tolist())
        return torch.zeros(len(chosen), 4)

    targets = torch.arange(rows) % 2
    inputs = Inputs(batch, classes=2)
    fit(nn.Linear(4, 2), inputs, torch.arange(rows), targets, SETTINGS, 0, pictures=pictures)
    return len(batches), np.bincount(np.concatenate(batches), minlength=rows), batches[0]


@pytest.mark.parametrize("rows", [40, 39, 17, 13, 5, 3])
def test_steps_and_turns(rows: int) -> None:
    steps, times, _ = seen(rows, 40)
    assert steps == 40 // 8 * 6
    assert times.sum() == steps * 8
    assert times.min() >= 0.6 * times.mean()
    assert times.max() <= 1.4 * times.mean()


def test_all_pictures_are_gone_through_as_ever() -> None:
    """One turn an epoch, in an order that depends on the seed alone."""
    assert seen(40, None)[2] == seen(40, 40)[2]
    steps, times, _ = seen(40, None)
    assert (steps, set(times.tolist())) == (30, {6})
