"""The benchmark on CIFAR-10N: its inputs, its verdict and its table; the chain has tests of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import training_cifar10n as benchmark


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder like cifar10n/: 40 train and 12 test pictures of two classes."""
    folder = tmp_path / "cifar10n"
    folder.mkdir()
    for split, count in (("train", 40), ("test", 12)):
        items = np.arange(count)
        frame = pd.DataFrame({"item": items, "label": np.where(items % 2, "cat", "dog")})
        frame["jpeg"] = [f"{split} {item}".encode() for item in items]
        frame.to_parquet(folder / f"{split}.parquet", index=False)
    votes = [(item, f"slot{slot}", "cat") for item in range(40) for slot in range(3)]
    pd.DataFrame(votes, columns=["item", "worker", "label"]).to_csv(folder / "votes.csv", index=False)
    return folder


def test_inputs_keep_the_sets_own_test_split(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    benchmark.write_inputs(source, work, 20, 6)
    splits = pd.read_csv(work / "splits.csv")
    assert splits["split"].value_counts().to_dict() == {"train": 18, "val": 2, "test": 6}
    assert splits["image"].str.startswith("test/").tolist() == (splits["split"] == "test").tolist()
    votes, references = (pd.read_csv(work / f"{name}.csv") for name in ("votes", "references"))
    assert set(votes["image"]) == set(splits["image"][splits["split"] != "test"])
    assert set(references["image"]) == set(splits["image"])
    assert all((work / "pictures" / image).is_file() for image in splits["image"])
    again = tmp_path / "again"
    benchmark.write_inputs(source, again, 20, 6)
    assert (again / "votes.csv").read_bytes() == (work / "votes.csv").read_bytes()


def metrics(**against: tuple[float, float]) -> dict[str, Any]:
    """A run's metrics with these intervals of the difference to the majority."""
    top = {"value": 0.7, "lo": 0.6, "hi": 0.8}
    arms: dict[str, Any] = {"majority": None} | {
        arm: {"value": sum(ends) / 2, "lo": ends[0], "hi": ends[1]} for arm, ends in against.items()
    }
    rows = {
        arm: {"n_train": 9, "label_error": 0.1, "top1": top, "minus_majority": row, "seeds": [{}]}
        for arm, row in arms.items()
    }
    words = {"words": "Said."}
    return {
        "arms": rows,
        "test_images": 6,
        **dict.fromkeys(("label_error_cost", "next_votes", "noisy_test"), words),
        "warnings": ["rough"],
    }


def test_the_verdict_rests_on_intervals() -> None:
    assert benchmark.in_order(metrics(reference=(0.01, 0.03), one_vote=(-0.05, -0.01)))
    assert benchmark.in_order(metrics(reference=(-0.01, 0.03), one_vote=(-0.05, 0.01)))
    assert not benchmark.in_order(metrics(reference=(-0.03, -0.01)))
    assert not benchmark.in_order(metrics(one_vote=(0.01, 0.02)))


def test_the_table_has_the_papers_figures_beside(capsys: pytest.CaptureFixture[str]) -> None:
    lines = benchmark.table(metrics(reference=(0.01, 0.03))).splitlines()
    assert lines[2].endswith("clean 92.9")
    assert "+2.0 [+1.0, +3.0]" in lines[2]
    assert lines[-1] == "warning: rough"
    assert benchmark.main(["nowhere"]) == 2
    assert "no votes.csv" in capsys.readouterr().err
