"""training.predict: the very probabilities of the run's tests, from the run's folder alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision import models

from export.score import score
from ingest.tables import BadTable, read_table
from quality.aggregate import main as aggregate
from training.cache import decode
from training.predict import find_pictures, main
from training.retrain import main as retrain

ONE = ("--threads", "1", "--device", "cpu")
RUNS = {
    "a net": "--model small --size 24 --batch 16 --augment crop,flip",
    "heads on features": "--model lite0 --size 32 --hidden 0",
    "heads on changed pictures": "--model resnet18 --size 32 --train head --augment shift=2 --weights W",
    "a tuned net": "--model resnet18 --size 32 --train last --stem imagenet --weights W --ema 0.9",
}


def stored(run: Path, arm: str, seed: int) -> pd.Series:
    """image -> float32[classes], as the run tested them."""
    table = pd.read_parquet(run / "predictions.parquet")
    rows = table[(table["arm"] == arm) & (table["seed"] == seed) & (table["fold"] == -1)]
    return rows.set_index("image")["probabilities"]


def said(file: Path) -> pd.DataFrame:
    """image x category, float64."""
    return pd.read_csv(file).pivot_table(index="image", columns="category", values="probability")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save(models.get_model("resnet18", weights=None).state_dict(), file)
    return file


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_the_probabilities_are_those_of_the_runs_own_test(
    release_folder: Path, weights: Path, tmp_path: Path, options: str
) -> None:
    release, run = tmp_path / "release", tmp_path / "run"
    shutil.copytree(release_folder, release)
    start = Path(shutil.copy(weights, tmp_path / "start.pt"))
    flags = options.replace("W", str(start)).split()
    arms = ["--arms", "consensus,majority", "--seeds", "1", "--epochs", "1", "--threads", "1"]
    assert retrain([str(release), "-o", str(run), *flags, *arms]) == 0
    # Neither the release, nor its cache, nor the weights it began with are needed.
    manifest = pd.read_parquet(release / "manifest.parquet").set_index("image")
    (release / "test").rename(tmp_path / "photos")
    for gone in (release, run / "cache", run / "results"):
        shutil.rmtree(gone)
    start.unlink()
    out = tmp_path / "said.csv"
    assert main([str(run), str(tmp_path / "photos"), "-o", str(out), *ONE, "--batch", "256"]) == 0
    found, wanted = said(out), stored(run, "consensus", 0)
    found.index = [Path(name).stem for name in found.index]
    assert set(found.index) == set(manifest.index[manifest["split"] == "test"])
    assert list(found.columns) == ["disc", "square", "stripe"]
    exact = np.round(np.stack(list(wanted.loc[found.index])).astype(np.float64), 6)
    assert np.array_equal(found.to_numpy(), exact)


def test_the_mean_of_all_nets_and_one_of_them(
    release_folder: Path, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "said.parquet"
    options = [*ONE, "--split", "test", "--batch", "7", "--json"]
    assert main([str(small_run), str(release_folder), "-o", str(out), *options]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "pictures": 36,
        "unreadable": [],
        "arm": "consensus",
        "seeds": [0, 1],
        "device": "cpu",
        "precision": json.loads((small_run / "metrics.json").read_text())["environment"]["precision"],
    }
    table = pd.read_parquet(out)
    assert list(table.columns) == ["image", "category", "probability"]
    assert table["image"].is_monotonic_increasing
    assert (table.groupby("image")["probability"].apply(lambda p: p.is_monotonic_decreasing)).all()
    both = [np.stack(list(stored(small_run, "consensus", seed))) for seed in (0, 1)]
    wide = table.pivot_table(index="image", columns="category", values="probability")
    wanted = np.mean(both, axis=0)
    order = stored(small_run, "consensus", 0).index
    # Batches of another size are summed in another order.
    assert wide.loc[order].to_numpy() == pytest.approx(wanted, abs=2e-3)
    other = tmp_path / "other.csv"
    one = [*ONE, "--split", "test", "--arm", "majority", "--seed", "1", "--top", "1"]
    assert main([str(small_run), str(release_folder), "-o", str(other), *one]) == 0
    found = pd.read_csv(other).set_index("image")
    probabilities = stored(small_run, "majority", 1)
    assert len(found) == 36
    assert found["probability"].loc[probabilities.index].to_numpy() == pytest.approx(
        [row.max() for row in probabilities], abs=1e-6
    )


def test_rows_for_the_scorer(release_folder: Path, small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.csv"
    wide = [*ONE, "--split", "test", "--seed", "0", "--wide"]
    assert main([str(small_run), str(release_folder), "-o", str(out), *wide]) == 0
    manifest = pd.read_parquet(release_folder / "manifest.parquet")
    test = manifest[manifest["split"] == "test"]
    answers = pd.DataFrame({"image": test["image"], "category": test["reference"]})
    found = score(answers, read_table(out, ["image", "category1"]))
    metrics = json.loads((small_run / "metrics.json").read_text())
    top1 = metrics["arms"]["consensus"]["seeds"][0]["top1"]
    assert found["top1_error"] == pytest.approx(1 - top1, abs=1e-5)
    assert found["missing"] == found["unknown_categories"] == 0


def test_a_table_for_quality(release_folder: Path, small_run: Path, tmp_path: Path) -> None:
    out, every = tmp_path / "said.csv", tmp_path / "every.csv"
    more = [*ONE, "--split", "test", "--top", "1", "--probabilities", str(every)]
    assert main([str(small_run), str(release_folder), "-o", str(out), *more]) == 0
    table, best = pd.read_csv(every), pd.read_csv(out)
    assert list(table.columns) == ["task", "label", "probability"]
    assert len(best) == 36
    assert table.groupby("task")["probability"].sum().to_numpy() == pytest.approx(1, abs=1e-5)
    likeliest = table.loc[table.groupby("task")["probability"].idxmax()].set_index("task")["label"]
    assert likeliest.to_dict() == dict(zip(best["image"], best["category"], strict=True))
    votes = pd.read_parquet(release_folder / "votes.parquet").rename(columns={"image": "task"})
    votes = votes[votes["task"].isin(table["task"])]
    votes.to_csv(tmp_path / "votes.csv", index=False)
    given_ = [str(tmp_path / "votes.csv"), "-o", str(tmp_path / "consensus.csv"), "--pictures", str(every)]
    assert aggregate(given_) == 0
    assert len(pd.read_csv(tmp_path / "consensus.csv")) == 36


def test_what_cannot_be_decoded_is_told_and_left_out(
    release_folder: Path, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    fine = sorted(release_folder.glob("test/*/*.png"))[:3]
    for number, file in enumerate(fine):
        shutil.copy(file, photos / f"{number}.png")
    (photos / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "said.csv"
    assert main([str(small_run), str(photos), "-o", str(out), *ONE]) == 1
    told = capsys.readouterr()
    assert "broken.png" in told.err
    assert told.err.count("\n") == 1
    assert set(pd.read_csv(out)["image"]) == {f"{photos}/{n}.png" for n in range(3)}
    for file in photos.glob("[012].png"):
        file.unlink()
    gone = tmp_path / "none.csv"
    assert main([str(small_run), str(photos), "-o", str(gone), *ONE]) == 1
    assert "none of 1 picture" in capsys.readouterr().err
    assert not gone.exists()


def test_a_picture_that_would_fill_the_memory_is_not_decoded(
    release_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(release_folder.glob("test/*/*.png"))
    assert decode(file, 24) is not None
    monkeypatch.setattr("training.cache.MOST_PIXELS", 24 * 24 - 1)
    assert decode(file, 24) is None


def test_what_pictures_can_be_named_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/deep").mkdir(parents=True)
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/deep/c.jpg", "photos/notes.txt", "other.jpg", "raw"):
        Path(name).write_bytes(b"")
    Path("list.txt").write_text("raw\n\nother.jpg\n")
    Path("photos/inside.csv").write_text("path\nb.jpg\n")

    def named(*given: str) -> list[str]:
        found = find_pictures(given)
        assert all(picture.file.is_file() for picture in found)
        return [picture.name for picture in found]

    assert named("photos") == ["photos/a.PNG", "photos/b.jpg", "photos/deep/c.jpg"]
    assert named("raw", "photos/b.jpg", "photos/b.jpg") == ["photos/b.jpg", "raw"]
    assert named("photos/**/*.jpg") == ["photos/b.jpg", "photos/deep/c.jpg"]
    assert named(f"{tmp_path}/photos/*.jpg") == [f"{tmp_path}/photos/b.jpg"]
    with pytest.raises(BadTable, match="without a name"):
        named("")
    assert named("list.txt") == ["other.jpg", "raw"]
    assert named("photos/inside.csv") == ["b.jpg"]
    assert named(".") == ["other.jpg", "photos/a.PNG", "photos/b.jpg", "photos/deep/c.jpg"]


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ("nowhere.jpg", (), "no such file or folder"),
        ("*.nothing", (), "no pattern that fits"),
        ("P", ("--arm", "wish"), "no arm wish; it has majority, consensus"),
        ("P", ("--seed", "9"), "no seed 9 of consensus"),
        ("P", ("--top", "0"), "--top"),
        ("P", ("--device", "abacus"), "abacus"),
        ("P", ("--split", "test"), "--split goes with a release"),
        ("P", ("-o", "said.txt"), "ends in"),
        ("P", ("-o", "nowhere/said.csv"), "no such folder"),
        ("P", ("-o", "p.csv", "--probabilities", "p.csv"), "one file"),
    ],
)
def test_unusable_arguments_get_one_line(
    release_folder: Path,
    small_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    given = str(release_folder / "test") if images == "P" else str(tmp_path / images)
    assert main([str(small_run), given, "-o", str(tmp_path / "said.csv"), *options]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_folders_that_hold_no_finished_run(
    release_folder: Path, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(run: Path) -> str:
        assert main([str(run), str(release_folder / "test"), "-o", str(tmp_path / "said.csv"), *ONE]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        return line

    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "holds no run" in refused(release_folder)
    broken = Path(shutil.copytree(small_run, tmp_path / "broken"))
    (broken / "checkpoints" / "consensus-0.pt").write_bytes(b"nothing")
    assert "cannot be read as weights" in refused(broken)
    (broken / "checkpoints" / "consensus-0.pt").unlink()
    assert "missing" in refused(broken)
    shutil.copy(broken / "metrics.json", tmp_path / "kept.json")
    metrics = json.loads((broken / "metrics.json").read_text())
    metrics["settings"]["flip"] = True
    (broken / "metrics.json").write_text(json.dumps(metrics))
    assert "another version" in refused(broken)
    (broken / "metrics.json").write_text("{")
    assert "cannot be read as JSON" in refused(broken)
    (broken / "metrics.json").unlink()
    assert "not finished" in refused(broken)
