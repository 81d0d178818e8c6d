"""Pairs that are trained side by side end as those that are trained in turn."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training import pairs
from training.arms.prepare import prepare
from training.augment import parse
from training.batches import picture_batches
from training.experiment import Bench, Machine, draws_at_random
from training.loop import Inputs
from training.release import open_release
from training.settings import Settings
from training.store import PairResult, RunFolder

SETTINGS = dataclasses.replace(
    Settings(), model="small", epochs=2, batch=16, arms=("majority", "reference"), seeds=2
)


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def net() -> nn.Module:
    layers = (nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 9, 3))
    return nn.Sequential(*layers)


def run(release_folder: Path, folder: Path, threads: int, **changed: Any) -> dict[str, list[PairResult]]:
    release = open_release(release_folder, verify=False, workers=1)
    labellings = prepare(release, SETTINGS.arms)
    pixels = np.random.default_rng(0).integers(0, 256, (len(release.manifest), 8, 8, 3), dtype=np.uint8)
    device, split = torch.device("cpu"), release.manifest["split"].to_numpy()
    train, test = (torch.from_numpy(np.flatnonzero(split == name)) for name in ("train", "test"))
    inputs = Inputs(picture_batches(pixels, device, parse(("flip", "shift=1"))), 3, alone=False)
    bench = Bench(
        dataclasses.replace(inputs, **changed),
        net,
        train[torch.from_numpy(np.asarray(labellings.rows))],
        test,
        device,
    )
    runs = RunFolder(folder)
    runs.begin({"release": "x"})
    torch.set_num_threads(threads)
    return pairs.run_pairs(bench, labellings, SETTINGS, runs, Machine(device, threads=threads))


def test_nets_side_by_side_end_with_the_bits_of_nets_in_turn(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    real = pairs.train_pair

    def watching(*args: Any, **named: Any) -> Any:
        seen.add((threading.get_ident(), torch.get_num_threads()))
        return real(*args, **named)

    monkeypatch.setattr(pairs, "train_pair", watching)
    two = run(release_folder, tmp_path / "two", 2)
    assert {count for _, count in seen} == {1}
    assert threading.get_ident() not in {thread for thread, _ in seen}
    one = run(release_folder, tmp_path / "one", 1)
    for arm in SETTINGS.arms:
        for mine, other in zip(two[arm], one[arm], strict=True):
            assert np.array_equal(mine.probabilities, other.probabilities)


def test_nets_that_draw_from_the_one_generator_are_trained_in_turn(
    release_folder: Path, tmp_path: Path
) -> None:
    run(release_folder, tmp_path / "run", 2, alone=True)
    assert (tmp_path / "run" / "at-once").read_text() == "1"
    assert draws_at_random(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.1)), 8)
    assert not draws_at_random(net(), 8)


def test_a_run_that_goes_on_trains_as_many_at_once_as_it_began_with(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({"release": "x"})
    assert folder.at_once(2) == 2
    assert folder.at_once(4) == 2
    folder.begin({"release": "y"}, restart=True)
    assert folder.at_once(4) == 4
