"""The benchmark of training's speed runs, and its made-up pictures are a release."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import training_peer as peer
from benchmarks import training_speed as benchmark
from benchmarks.training_pictures import CLASSES, make_release
from training.release import open_release


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 64 pictures of 32 px, where the benchmark looks for them."""
    folder = tmp_path_factory.mktemp("work")
    make_release(folder / "pictures-32-64", 64, 10, 32, 32)
    return folder


def test_the_pictures_are_a_release_and_made_once(work: Path) -> None:
    folder = work / "pictures-32-64"
    release = open_release(folder, verify=True, workers=1)
    assert len(release.classes) == CLASSES
    assert release.manifest["split"].value_counts().to_dict() == {"train": 64, "test": 10, "val": 10}
    before = (folder / "SHA256SUMS").stat().st_mtime_ns
    make_release(folder, 64, 10, 32, 32)
    assert (folder / "SHA256SUMS").stat().st_mtime_ns == before


def test_the_peer_learns_and_counts_all_but_the_first_batches(work: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, CLASSES))
    before = net[1].weight.detach().clone()
    batches = peer.loader(work / "pictures-32-64" / "train", 16, 3 * peer.BATCH, seed=0)
    taken = peer.measured(batches, net, torch.device("cpu"), warm=1)
    assert taken.pictures == 2 * peer.BATCH
    assert taken.wall > 0
    assert not torch.equal(net[1].weight, before)
    best = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    assert [float(hit) for hit in peer.hits(best, torch.tensor([0, 1]))] == [50.0, 100.0]


@pytest.mark.parametrize("scene", ["small32", "load32"])
def test_a_turn_of_ours_takes_what_it_says(work: Path, scene: str) -> None:
    threads = torch.get_num_threads()
    try:
        place = benchmark.Place(scene, work, 64, 1, "cpu")
        taken = benchmark.assay_turn(place, 64, 0)
    finally:
        torch.set_num_threads(threads)
    assert taken.pictures == 64
    assert taken.wall > 0


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--repeats", "0"], ["--threads", "0"]])
def test_wrong_arguments_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
