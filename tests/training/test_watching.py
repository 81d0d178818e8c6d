"""One bar over all epochs of a run, and curves for TensorBoard where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import watching
from training.retrain import main
from training.store import RunFolder
from training.watching import RunWatch

SMALL = (
    *("--model", "small", "--size", "24", "--epochs", "3", "--batch", "16", "--seeds", "1", "--threads", "1"),
    *("--arms", "majority,consensus"),
)


def test_the_bar_counts_epochs_of_all_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_PROGRESS", "1")
    monkeypatch.setattr(watching, "NOTED", 0.0)
    watch = RunWatch(pairs=4, epochs=10, finished=1, folder=RunFolder(tmp_path))
    assert (watch._bar.n, watch._bar.total, watch._bar.initial) == (
        10,
        40,
        10,
    )  # the rate leaves out what was read
    one, two = watch.pair("majority", 1), watch.pair("consensus", 1)
    one.epoch(1, 0.5, None)
    two.epoch(4, 0.25, None)  # from a snapshot of epoch 3
    assert (watch._bar.n, watch._bar.initial) == (15, 13)
    assert json.loads((tmp_path / "progress").read_text()) == [15, 40, 2]
    two.done()  # stopped early: its other epochs are not to come
    assert watch._bar.n == 21
    watch.close()
    assert "train:" in capsys.readouterr().err
    (tmp_path / "progress").unlink()
    silent = RunWatch(1, 5, silent=True, folder=RunFolder(tmp_path))
    silent.pair("majority", 0).epoch(1, 0.1, None)
    silent.close()
    assert not (tmp_path / "progress").exists(), "another process of the run notes it"
    assert capsys.readouterr().err == ""


def test_curves_for_tensorboard_change_no_result(release_folder: Path, tmp_path: Path) -> None:
    plain, watched, curves = tmp_path / "plain", tmp_path / "watched", tmp_path / "tb"
    assert main([str(release_folder), "-o", str(plain), *SMALL]) == 0
    assert main([str(release_folder), "-o", str(watched), *SMALL, "--tensorboard", str(curves)]) == 0
    assert {folder.name for folder in curves.iterdir()} == {"majority-0", "consensus-0"}
    read = EventAccumulator(str(curves / "consensus-0"))
    read.Reload()
    assert [event.step for event in read.Scalars("train/loss")] == [1, 2, 3]
    accuracy = read.Scalars("val/accuracy")
    assert [event.step for event in accuracy] == [1, 2, 3]
    assert all(0 <= event.value <= 1 for event in accuracy)
    assert (plain / "predictions.parquet").read_bytes() == (watched / "predictions.parquet").read_bytes()


def test_without_the_package_it_says_so_first(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = tmp_path / "run"
    assert main([str(release_folder), "-o", str(run), *SMALL, "--tensorboard", str(tmp_path / "tb")]) == 2
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not run.exists()
