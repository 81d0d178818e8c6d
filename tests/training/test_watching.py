"""One bar over all epochs of a run, and curves for TensorBoard where it is installed."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from training.retrain import main
from training.watching import RunWatch

SMALL = (
    *("--model", "small", "--size", "24", "--epochs", "3", "--batch", "16", "--seeds", "1", "--threads", "1"),
    *("--arms", "majority,consensus"),
)


def test_the_bar_counts_epochs_of_all_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_PROGRESS", "1")
    watch = RunWatch(pairs=4, epochs=10, finished=1)
    assert (watch._bar.n, watch._bar.total, watch._bar.initial) == (
        10,
        40,
        10,
    )  # the rate leaves out what was read
    one, two = watch.pair("majority", 1), watch.pair("consensus", 1)
    one.epoch(1, 0.5, None)
    two.epoch(4, 0.25, None)  # from a snapshot of epoch 3
    assert watch._bar.n == 15
    two.done()  # stopped early: its other epochs are not to come
    assert watch._bar.n == 21
    watch.close()
    assert "train:" in capsys.readouterr().err
    silent = RunWatch(1, 5, silent=True)
    silent.pair("majority", 0).epoch(1, 0.1, None)
    silent.close()
    assert capsys.readouterr().err == ""


class Writer:
    """What torch.utils.tensorboard gives, where the package is installed."""

    seen: dict[str, list[tuple[str, float, int]]]

    def __init__(self, folder: str, purge_step: int) -> None:
        self.name = Path(folder).name
        self.seen.setdefault(self.name, [])

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.seen[self.name].append((tag, value, step))

    def close(self) -> None:
        self.seen[self.name].append(("closed", 0.0, 0))


def test_curves_for_tensorboard_change_no_result(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(module, "SummaryWriter", Writer, raising=False)
    monkeypatch.setattr(Writer, "seen", {}, raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    assert main([str(release_folder), "-o", str(plain), *SMALL]) == 0
    assert main([str(release_folder), "-o", str(watched), *SMALL, "--tensorboard", str(tmp_path / "tb")]) == 0
    assert set(Writer.seen) == {"majority-0", "consensus-0"}
    found = Writer.seen["consensus-0"]
    assert [step for tag, _, step in found if tag == "train/loss"] == [1, 2, 3]
    assert [step for tag, _, step in found if tag == "val/accuracy"] == [1, 2, 3]
    assert all(0 <= value <= 1 for tag, value, _ in found if tag == "val/accuracy")
    assert found[-1][0] == "closed"
    assert (plain / "predictions.parquet").read_bytes() == (watched / "predictions.parquet").read_bytes()


def test_without_the_package_it_says_so_first(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = tmp_path / "run"
    assert main([str(release_folder), "-o", str(run), *SMALL, "--tensorboard", str(tmp_path / "tb")]) == 2
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not run.exists()
