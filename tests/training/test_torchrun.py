"""Several processes on one run, as torchrun starts them: gloo on the CPU."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.forked import retrain
from training import ranks
from training.ranks import FirstFailed, Ranks
from training.retrain import main

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--model", "small", "--size", "24", "--batch", "16", "--seeds", "1", "--threads", "1"),
    *("--arms", "majority,consensus", "--precision", "fp32"),
)


def arguments(release: Path, run: Path, *more: str) -> list[str]:
    return [str(release), "-o", str(run), *SMALL, *more]


def launch(rank: int, port: int, release: Path, run: Path, *more: str) -> BaseProcess:
    """One of two processes, with the variables that torchrun gives it; what it says goes beside its run."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = {"MASTER_ADDR": "127.0.0.1", **{key: str(value) for key, value in own.items()}}
    return retrain(arguments(release, run, *more), environment, run.parent / f"said-{rank}")


def ended(both: list[BaseProcess], folder: Path) -> list[tuple[int | None, str, str]]:
    """Exit code, stdout and stderr of each."""
    for process in both:
        process.join(120)
        process.kill()  # one that hangs; to others it does nothing
        process.join()
    texts = [[(folder / f"said-{rank}" / name).read_text() for name in ("out", "err")] for rank in (0, 1)]
    return [(process.exitcode, out, err) for process, (out, err) in zip(both, texts, strict=True)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_torchrun_shares_out_the_trainings(release_folder: Path, tmp_path: Path) -> None:
    """What two processes find is what one finds, bit for bit; one of them writes and speaks."""
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "training.retrain",
    ]
    done = subprocess.run(
        [sys.executable, *command, *arguments(release_folder, tmp_path / "two", "--epochs", "2", "--json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert (metrics["environment"]["processes"], metrics["environment"]["sharing"]) == (2, "pairs")
    assert main(arguments(release_folder, tmp_path / "one", "--epochs", "2")) == 0
    tables = [(tmp_path / run / "predictions.parquet").read_bytes() for run in ("one", "two")]
    assert tables[0] == tables[1]


def test_two_processes_share_each_batch(release_folder: Path, tmp_path: Path) -> None:
    """A head has no statistics of its batch: two halves give the gradient of the whole."""
    port, run = free_port(), tmp_path / "batch"
    head = ("--model", "lite0", "--size", "32", "--hidden", "4", "--augment", "none", "--lr", "0.01")
    options = ("--epochs", "6", "--patience", "5", *head, "--distribute", "batch")
    both = [launch(rank, port, release_folder, run, *options) for rank in (0, 1)]
    (code, out, err), other = ended(both, tmp_path)
    assert (code, other[0]) == (0, 0), (err, other)
    assert "minus majority" in out
    assert other[1] == ""
    assert main(arguments(release_folder, tmp_path / "one", *options[:-2])) == 0
    one, two = (pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("one", "batch"))
    apart = np.abs(np.stack(one["probabilities"]) - np.stack(two["probabilities"])).mean()
    assert apart < 1e-4
    assert json.loads((run / "run.json").read_text())["sharing"] == 2


def test_a_dead_process_ends_the_other_with_one_line(release_folder: Path, tmp_path: Path) -> None:
    port, run = free_port(), tmp_path / "run"
    options = ("--epochs", "5000", "--distribute", "batch", "--checkpoint-every", "1")
    both = [launch(rank, port, release_folder, run, *options) for rank in (0, 1)]
    deadline = time.monotonic() + 100
    while not list((run / "snapshots").glob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    both[1].kill()
    (code, _, error), other = ended(both, tmp_path)
    assert (code, other[0]) == (1, -signal.SIGKILL)
    lines = [line for line in error.splitlines() if line.startswith("retrain")]
    assert len(lines) == 1, error
    assert "another process of this run is gone" in lines[0]
    assert "Traceback" not in error
    saved = torch.load(next((run / "snapshots").glob("*.pt")), weights_only=True)
    assert saved["epoch"] >= 1


class Wire:
    """What one process hears of another, in place of a connection."""

    def __init__(self, heard: list[object]) -> None:
        self.heard, self.said = heard, [[]]

    def broadcast_object_list(self, box: list[object], src: int) -> None:
        self.said.append(list(box))
        box[:] = self.heard or box


def test_what_the_first_process_cannot_do_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone says why; the others end without a word."""
    wire = Wire([])
    monkeypatch.setattr(ranks, "_distributed", lambda: wire)
    with pytest.raises(ZeroDivisionError):
        Ranks(0, 2).in_turn(lambda: 1 / 0)
    assert wire.said[-1] == [False, None]
    assert Ranks(0, 2).told(lambda: 7) == 7
    assert wire.said[-1] == [True, 7]
    wire.heard = [False, None]
    with pytest.raises(FirstFailed):
        Ranks(1, 2).in_turn(lambda: 1 / 0)
    wire.heard = [True, 7]
    assert Ranks(1, 2).told(lambda: 9) == 7
    assert Ranks(1, 2).in_turn(lambda: 9) == 9
    assert Ranks().told(lambda: 9) == Ranks().in_turn(lambda: 9) == 9


def test_a_batch_that_cannot_be_shared(
    release_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    options = ("--epochs", "1", "--distribute", "batch")
    assert main(arguments(release_folder, tmp_path / "run", *options)) == 2
    error = capsys.readouterr().err
    assert error == "retrain, process 0 of 3: batch 16 cannot be shared evenly by 3 processes\n"
