"""A training that was killed ends with the very bits of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.forked import retrain
from training import networks
from training.loop import DivergedError, Fitted, Inputs, Snapshots, Validation, fit
from training.retrain import main
from training.settings import Settings

ROWS, CLASSES = 26, 3
PICTURES = torch.randn(ROWS + 9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(ROWS + 9) % CLASSES


class Killed(BaseException):
    """What stands for kill -9 inside this process."""


def net() -> nn.Module:
    """Convolution, statistics and dropout: everything that has a state or draws."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(6 * 36, CLASSES),
    )


def train(settings: Settings, file: Path | None, kill_at: int | None = None) -> tuple[nn.Module, Fitted]:
    """Train, saving after every step; `kill_at`: which batch is never seen."""
    seen = 0

    def batch(rows: Tensor, chance: torch.Generator | None) -> Tensor:
        nonlocal seen
        if chance is None:
            return PICTURES[rows]
        seen += 1
        if seen == kill_at:
            raise Killed
        return PICTURES[rows] + 0.1 * torch.randn(PICTURES[rows].shape, generator=chance)

    def mix(x: Tensor, y: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        share = torch.rand((), generator=chance)
        targets = nn.functional.one_hot(y, CLASSES).float()
        return x * share + x.roll(1, 0) * (1 - share), targets * share + targets.roll(1, 0) * (1 - share)

    taught = net()
    fitted = fit(
        taught,
        Inputs(batch, CLASSES, mix=mix),
        torch.arange(ROWS),
        LABELS[:ROWS],
        settings,
        seed=1,
        val=Validation(torch.arange(ROWS, ROWS + 9), LABELS[ROWS:]),
        snapshots=Snapshots(file, seconds=0.0) if file else None,
    )
    return taught, fitted


@pytest.mark.parametrize(
    "asked",
    [
        Settings(epochs=4, batch=8, optimizer="sgd", ema=0.9, balance="oversample"),
        Settings(epochs=4, batch=8, optimizer="adamw", clip=0.5, l1=1e-3, balance="weights"),
        Settings(epochs=9, batch=8, optimizer="adam", lr=0.05, patience=1, ema=0.5, balance="undersample"),
    ],
    ids=["sgd", "adamw", "adam"],
)
def test_stopped_at_any_step_it_ends_alike(asked: Settings, tmp_path: Path) -> None:
    whole, fitted = train(asked, None)
    steps = 3 * len(fitted.losses)
    for kill_at in sorted(random.Random(5).sample(range(2, steps + 1), 5)):
        file = tmp_path / f"{kill_at}.pt"
        with pytest.raises(Killed):
            train(asked, file, kill_at)
        assert file.is_file()
        again, other = train(asked, file)
        assert other.losses == fitted.losses
        assert other.val == fitted.val
        for name, value in networks.weights_of(whole).items():
            assert torch.equal(value, again.state_dict()[name]), (kill_at, name)


def test_the_order_depends_on_the_seed_and_not_on_the_labels(tmp_path: Path) -> None:
    """And so do augmentation and dropout: only what is taught differs between arms."""
    first: list[list[Tensor]] = []
    for labels in (LABELS[:ROWS], LABELS[:ROWS].roll(1)):
        drawn: list[Tensor] = []

        def batch(rows: Tensor, chance: torch.Generator | None, drawn: list[Tensor] = drawn) -> Tensor:
            drawn += [rows, torch.rand(1, generator=chance)]
            return PICTURES[rows]

        fit(net(), Inputs(batch, CLASSES), torch.arange(ROWS), labels, Settings(epochs=2, batch=8), 0)
        first.append(drawn)
    assert all(torch.equal(one, other) for one, other in zip(*first, strict=True))


def test_a_snapshot_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    settings = Settings(epochs=2, batch=8)
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    _, fitted = train(settings, tmp_path / "torn.pt")
    assert fitted.losses == train(settings, None)[1].losses


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(tmp_path: Path) -> None:
    calls = 0

    def batch(rows: Tensor, chance: torch.Generator | None) -> Tensor:
        nonlocal calls
        calls += 1
        return PICTURES[rows] * (float("nan") if calls == 8 else 1.0)

    taught, snapshots = net(), Snapshots(tmp_path / "a.pt", seconds=1e9)
    settings = Settings(epochs=5, batch=8)
    with pytest.raises(DivergedError, match=r"epoch 3 of 5; the weights after epoch 2 are kept in .*a\.good"):
        fit(
            taught,
            Inputs(batch, CLASSES),
            torch.arange(ROWS),
            LABELS[:ROWS],
            settings,
            0,
            snapshots=snapshots,
        )
    kept = torch.load(tmp_path / "a.good.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in kept.values())
    assert kept.keys() == taught.state_dict().keys()


OPTIONS = (
    *(
        "--model",
        "small",
        "--size",
        "24",
        "--epochs",
        "40",
        "--batch",
        "16",
        "--seeds",
        "1",
        "--threads",
        "1",
    ),
    *("--arms", "majority", "--augment", "flip,shift=2,mixup=0.2", "--dropout", "0.2", "--ema", "0.95"),
    *("--patience", "35", "--checkpoint-every", "1"),
)
KILLS = int(os.environ.get("KILLS", "2"))


def arguments(release: Path, run: Path) -> list[str]:
    return [str(release), "-o", str(run), *OPTIONS]


def comparable(run: Path) -> dict[str, object]:
    """Metrics without what measures time or names folders."""
    metrics = json.loads((run / "metrics.json").read_text())
    for arm in metrics["arms"].values():
        for seed in arm["seeds"]:
            del seed["seconds"]
    return {key: value for key, value in metrics.items() if key not in ("seconds", "command")}


def test_a_process_killed_at_random_moments_ends_alike(release_folder: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(arguments(release_folder, whole)) == 0
    chance, snapshot, kills = random.Random(11), killed / "snapshots" / "majority-0.pt", 0
    for _ in range(KILLS):
        before = snapshot.stat().st_mtime_ns if snapshot.exists() else 0
        process = retrain(arguments(release_folder, killed))
        while process.is_alive() and (not snapshot.exists() or snapshot.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join()
        if process.exitcode == 0:  # many kills: it came to its end between two of them
            break
        assert process.exitcode == -signal.SIGKILL
        assert snapshot.exists()
        kills += 1
    assert kills == KILLS or KILLS > 2
    assert main(arguments(release_folder, killed)) == 0
    assert not snapshot.exists()
    assert (killed / "predictions.parquet").read_bytes() == (whole / "predictions.parquet").read_bytes()
    one, other = (
        torch.load(run / "checkpoints" / "majority-0.pt", weights_only=True) for run in (whole, killed)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert comparable(whole) == comparable(killed)


def test_folds_that_are_finished_are_not_trained_again(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Confident learning trains a net for each fold; killed in the third, it goes on there."""
    asked = ("--model", "small", "--size", "24", "--epochs", "2", "--seeds", "1", "--threads", "1")
    asked += ("--arms", "cleaned,majority", "--folds", "4", "--precision", "fp32")
    trained = 0

    def counted(*positional: Any, **named: Any) -> Fitted:
        nonlocal trained
        trained += 1
        if trained == 3:
            raise Killed
        return fit(*positional, **named)

    monkeypatch.setattr("training.arms.cleaning.fit", counted)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with pytest.raises(Killed):
        main([str(release_folder), "-o", str(killed), *asked])
    assert len(list((killed / "snapshots").glob("*-fold-*.npz"))) == 2
    assert main([str(release_folder), "-o", str(killed), *asked]) == 0
    assert trained == 5
    assert not list((killed / "snapshots").iterdir())
    assert main([str(release_folder), "-o", str(whole), *asked]) == 0
    assert (killed / "predictions.parquet").read_bytes() == (whole / "predictions.parquet").read_bytes()
