"""The benchmarks run, in their short form, on a small made-up crowd: so their figures can be made again."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import quality, quality_accuracy, quality_calibration


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of vote sets as the benchmarks want it: one crowd of 150 tasks, 5 votes each, 12 workers."""
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 4, 150)
    task = np.repeat(np.arange(150), 5)
    worker = np.concatenate([rng.choice(12, 5, replace=False) for _ in truth])
    right = rng.random(750) < np.linspace(0.55, 0.95, 12)[worker]
    label = np.where(right, truth[task], rng.integers(0, 4, 750))
    folder = tmp_path_factory.mktemp("data") / "votes" / "made-up"
    folder.mkdir(parents=True)
    votes = pd.DataFrame({"item": task, "worker": worker, "label": label})
    votes.to_csv(folder / "votes.csv", index=False)
    pd.DataFrame({"item": range(150), "label": truth}).to_csv(folder / "truth.csv", index=False)
    return folder.parent.parent


@pytest.mark.parametrize("benchmark", [quality_accuracy, quality_calibration])
def test_on_one_crowd(benchmark, data, capsys):
    assert benchmark.main([str(data / "votes"), "--quick"]) == 0
    said = capsys.readouterr().out
    assert "made-up" in said
    assert "nan" not in said.lower()


def test_the_runner_names_what_is_wrong(tmp_path, capsys):
    assert quality.main([str(tmp_path)]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert quality.main([str(tmp_path), "--only", "guesses"]) == 2
    assert "unknown: guesses" in capsys.readouterr().err


def test_every_benchmark_is_run_by_the_runner():
    names = {path.stem.removeprefix("quality_") for path in quality.RESULTS.parent.glob("quality_*.py")}
    assert set(quality.NAMES) <= names
    assert names - set(quality.NAMES) <= {"speed_side"}, "a benchmark that `make bench-quality` leaves out"


def test_the_runner_keeps_what_is_printed(data, monkeypatch, tmp_path):
    monkeypatch.setattr(quality, "RESULTS", tmp_path / "kept")
    assert quality.main([str(data), "--quick", "--only", "accuracy"]) == 0
    assert "made-up" in (tmp_path / "kept" / "quality_accuracy.txt").read_text()
