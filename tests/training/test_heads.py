"""Heads that are trained at once end as those that are trained alone."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training import heads, networks
from training.arms.prepare import prepare
from training.batches import FeatureBatches
from training.experiment import Bench, Machine
from training.heads import fit_heads, suits
from training.loop import DivergedError, Inputs, Snapshots, fit
from training.pairs import run_pairs
from training.release import open_release
from training.settings import Settings
from training.store import PairResult, RunFolder

CLASSES, PICTURES, WIDTH = 3, 40, 24
SETTINGS = dataclasses.replace(Settings(), epochs=3, batch=16, hidden=8)


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(precision: str = "fp32") -> Inputs:
    features = torch.randn(2, PICTURES, WIDTH, generator=torch.Generator().manual_seed(1))
    return Inputs(FeatureBatches(features, True), CLASSES, precision, alone=False)


def net(seed: int = 0, hidden: int = 8) -> nn.Sequential:
    torch.manual_seed(seed)
    return networks.head(torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(2)), CLASSES, hidden)


def labels(number: int) -> Tensor:
    """int64[n], or soft ones, every other time."""
    chance = torch.Generator().manual_seed(number)
    hard = torch.randint(0, CLASSES, (PICTURES,), generator=chance)
    return torch.rand(PICTURES, CLASSES, generator=chance).softmax(1) if number % 2 else hard


def trained(
    numbers: list[int], precision: str = "fp32", settings: Settings = SETTINGS
) -> list[nn.Sequential]:
    nets = [net(hidden=settings.hidden) for _ in numbers]
    targets = [labels(number) for number in numbers]
    names = [str(number) for number in numbers]
    fit_heads(nets, inputs(precision), torch.arange(PICTURES), targets, settings, 5, names=names)
    return nets


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("hidden", [0, 8])
def test_a_head_ends_with_the_same_bits_whatever_is_trained_beside_it(precision: str, hidden: int) -> None:
    settings = dataclasses.replace(SETTINGS, hidden=hidden)
    together = trained([0, 1, 2, 3], precision, settings)
    for number in range(4):
        assert same(trained([number], precision, settings)[0], together[number])
    turned = trained([3, 2, 0], precision, settings)
    assert [same(turned[i], together[j]) for i, j in ((0, 3), (1, 2), (2, 0))] == [True] * 3
    assert not same(together[0], together[2])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"optimizer": "sgd", "lr": 0.05, "label_smoothing": 0.1, "schedule": "constant"},
        {"clip": 0.1, "l1": 1e-3, "l2": 1e-2, "optimizer": "adam", "hidden": 0},
    ],
)
def test_a_head_ends_as_one_that_the_loop_trains(changed: dict[str, object]) -> None:
    settings = dataclasses.replace(SETTINGS, **changed)
    together = trained([0, 1], settings=settings)
    for number in range(2):
        alone = net(hidden=settings.hidden)
        started = copy.deepcopy(alone)
        fit(alone, inputs(), torch.arange(PICTURES), labels(number), settings, 5, pictures=PICTURES)
        for name, value in alone.state_dict().items():
            assert torch.allclose(value, together[number].state_dict()[name], atol=1e-5), name
        assert not same(started, alone)


def test_losses_and_steps_of_a_subset_are_the_loops() -> None:
    rows, targets = torch.arange(0, PICTURES, 3), labels(0)[::3]
    one, other = net(), net()
    mine = fit_heads([one], inputs(), rows, [targets], SETTINGS, 1, names=["a"], pictures=PICTURES)[0]
    theirs = fit(other, inputs(), rows, targets, SETTINGS, 1, pictures=PICTURES)
    assert np.allclose(mine.losses, theirs.losses, atol=1e-5)
    assert len(mine.losses) == SETTINGS.epochs


class Stopped(Exception):
    """Stands for the end of the process."""


class Stopping(Snapshots):
    """Saves each epoch, and ends the training after the first."""

    def save(self, state: dict[str, object]) -> None:
        super().save(state)
        raise Stopped


def test_a_stopped_group_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained([0, 1, 2])
    arguments = (inputs(), torch.arange(PICTURES), [labels(n) for n in range(3)], SETTINGS, 5)
    names, file = ["a", "b", "c"], tmp_path / "group.pt"
    with pytest.raises(Stopped):
        fit_heads([net() for _ in names], *arguments, names=names, snapshots=Stopping(file, epochs=1))
    nets, seen = [net() for _ in names], []

    class Seeing:
        def epoch(self, number: int, loss: float, val: object) -> None:
            seen.append(number)

    fitted = fit_heads(nets, *arguments, names=names, snapshots=Snapshots(file), watches=[Seeing()] * 3)
    assert all(same(one, other) for one, other in zip(nets, whole, strict=True))
    assert seen == [2, 2, 2, 3, 3, 3]
    assert len(fitted[0].losses) == 3


def test_a_head_that_diverges_is_named_and_its_last_good_weights_are_kept(tmp_path: Path) -> None:
    class Breaking(FeatureBatches):
        """Gives infinities from the second epoch on."""

        steps = 0

        def __call__(self, rows: Tensor, chance: torch.Generator | None) -> Tensor:
            self.steps += 1
            return super().__call__(rows, chance) * (float("inf") if self.steps > 2 else 1)

        def scaled(self, scale: nn.Module, dtype: torch.dtype) -> FeatureBatches:
            return self

    broken = Inputs(Breaking(torch.randn(2, PICTURES, WIDTH), True), CLASSES, alone=False)
    snapshots = Snapshots(tmp_path / "group.pt")
    with pytest.raises(DivergedError) as raised:
        fit_heads(
            [net(), net()],
            broken,
            torch.arange(PICTURES),
            [labels(0), labels(1)],
            SETTINGS,
            5,
            names=["majority, seed 5", "other"],
            snapshots=snapshots,
        )
    message = str(raised.value)
    assert message.startswith("majority, seed 5: the loss stopped being a number in epoch 2 of 3")
    kept = torch.load(tmp_path / "group.good.pt", weights_only=True)
    assert str(tmp_path / "group.good.pt") in message
    assert all(value.isfinite().all() for value in kept.values())


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Settings)])
def test_settings_that_it_does_not_heed_are_left_to_the_loop(field: str) -> None:
    default = getattr(Settings(), field)
    other = {bool: not default, int: 7, float: 0.5, str: "other", tuple: ("flip", "vflip")}
    changed = dataclasses.replace(Settings(), **{field: other.get(type(default), 0.5)})
    assert suits(changed, inputs()) == (field in heads.UNDERSTOOD)
    assert {"dropout", "ema", "patience", "balance", "compile"}.isdisjoint(heads.UNDERSTOOD)


def test_mixed_inputs_are_left_to_the_loop() -> None:
    mixed = dataclasses.replace(inputs(), mix=lambda x, y, chance: (x, y))
    assert suits(Settings(), inputs())
    assert not suits(Settings(), mixed)
    assert not suits(Settings(), dataclasses.replace(inputs(), alone=True))


ARMS = ("one_vote", "majority", "consensus", "confident", "soft_votes", "reference", "noise_sym_40")


def run(release_folder: Path, folder: Path, arms: tuple[str, ...], seeds: int) -> dict[str, list[PairResult]]:
    """All pairs of some arms on features drawn at random, in a run's folder that may hold some already."""
    release = open_release(release_folder, verify=False, workers=1)
    settings = dataclasses.replace(SETTINGS, arms=arms, seeds=seeds)
    labellings = prepare(release, arms, confidence=0.7)
    features = torch.randn(2, len(release.manifest), WIDTH, generator=torch.Generator().manual_seed(3))
    split = release.manifest["split"].to_numpy()
    train, test = (torch.from_numpy(np.flatnonzero(split == name)) for name in ("train", "test"))
    bench = Bench(
        Inputs(FeatureBatches(features, True), CLASSES, alone=False),
        lambda: networks.head(features[0], CLASSES, 8),
        train[torch.from_numpy(np.asarray(labellings.rows))],
        test,
        torch.device("cpu"),
        kept_features=True,
    )
    runs = RunFolder(folder)
    runs.begin({"release": "x"})
    return run_pairs(bench, labellings, settings, runs, Machine(torch.device("cpu"), threads=2))


def test_a_run_that_grows_or_lost_some_pairs_ends_as_one_that_did_not(
    release_folder: Path, tmp_path: Path
) -> None:
    whole = run(release_folder, tmp_path / "whole", ARMS, 2)
    run(release_folder, tmp_path / "grown", ARMS[2:4], 1)
    for arm, seed in (("consensus", 0), ("reference", 1)):
        file = tmp_path / "grown" / "results" / f"{arm}-{seed}.npz"
        file.unlink(missing_ok=True)
    grown = run(release_folder, tmp_path / "grown", ARMS, 2)
    for arm in ARMS:
        for one, other in zip(whole[arm], grown[arm], strict=True):
            assert np.array_equal(one.probabilities, other.probabilities), arm
            assert np.array_equal(one.losses, other.losses)
    assert not list((tmp_path / "whole" / "snapshots").glob("*"))
    assert len(list((tmp_path / "whole" / "checkpoints").glob("*.pt"))) == len(ARMS) * 2
