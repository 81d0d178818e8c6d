"""The command as its users run it: results, resume after a kill, and bad input."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.training.conftest import seal
from tests.training.forked import retrain
from training.arms import ARMS as ARM_NAMES
from training.retrain import main

ROOT = Path(__file__).parents[2]
SMALL = (
    "--model",
    "small",
    "--size",
    "24",
    "--epochs",
    "3",
    "--batch",
    "16",
    "--seeds",
    "2",
    "--threads",
    "1",
)
ARMS = ("--arms", "majority,consensus,reference,noise_sym_40")


def command(release: Path, run: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "training.retrain", str(release), "-o", str(run), *SMALL, *ARMS, *more]


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics without what measures time or names folders."""
    kept = {key: value for key, value in metrics.items() if key not in ("seconds", "command")}
    for arm in kept["arms"].values():
        for seed in arm["seeds"]:
            del seed["seconds"]
    return kept


@pytest.fixture(scope="module")
def whole_run(release_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that nothing interrupted, and its stdout."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    done = subprocess.run(
        command(release_folder, run, "--json"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return run, done.stdout


def test_metrics_follow_the_contract(whole_run: tuple[Path, str]) -> None:
    run, stdout = whole_run
    metrics = json.loads((run / "metrics.json").read_text())
    assert json.loads(stdout) == metrics
    keys = "schema release model preset device test_images arms smallest_difference curve next_votes"
    assert {*keys.split(), "warnings", "command", "environment"} <= set(metrics)
    assert set(metrics["release"]) == {"name", "version", "fingerprint"}
    arm = metrics["arms"]["consensus"]
    assert {"n_train", "label_error", "top1", "top5", "seeds", "minus_majority"} <= set(arm)
    assert set(arm["top1"]) == {"value", "lo", "hi"}
    assert {"value", "lo", "hi", "p"} <= set(arm["minus_majority"])
    assert metrics["arms"]["majority"]["minus_majority"] is None
    assert {"seed", "top1", "top5", "nll", "ece", "seconds"} == set(arm["seeds"][0])
    assert metrics["arms"]["reference"]["label_error"] == 0
    assert metrics["arms"]["noise_sym_40"]["label_error"] > 0.2
    assert "cost" in metrics["label_error_cost"]["words"]
    assert metrics["label_error_basis"].startswith("references of all")
    assert any("seeds" in line for line in metrics["warnings"])
    assert metrics["environment"]["threads"] == 1


def test_predictions_agree_with_metrics(whole_run: tuple[Path, str]) -> None:
    run, _ = whole_run
    metrics = json.loads((run / "metrics.json").read_text())
    table = pd.read_parquet(run / "predictions.parquet")
    assert list(table.columns) == ["arm", "seed", "image", "label", "predicted", "probabilities", "fold"]
    assert (table["fold"] == -1).all()  # nothing but the test split: no arm asked for more
    right = (table["label"] == table["predicted"]).groupby(table["arm"]).mean()
    for arm, row in metrics["arms"].items():
        assert row["top1"]["value"] == pytest.approx(right[arm], abs=1e-6)
    assert np.stack(table["probabilities"]).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_report_is_one_file_and_checkpoints_are_plain_weights(whole_run: tuple[Path, str]) -> None:
    import torch

    run, _ = whole_run
    page = (run / "report.html").read_text()
    assert "What label error costs" in page
    assert "data:image/svg+xml" in page
    assert "http://" not in page
    assert "https://" not in page
    weights = torch.load(run / "checkpoints" / "consensus-1.pt", weights_only=True)
    assert all(torch.isfinite(value.float()).all() for value in weights.values())


def test_a_killed_run_goes_on_to_the_same_result(
    release_folder: Path, whole_run: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "killed"
    process = retrain(command(release_folder, run)[3:])
    while process.is_alive() and len(list((run / "results").glob("*.npz"))) < 2:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (run / "metrics.json").exists()
    before = {p.name: p.stat().st_mtime_ns for p in (run / "results").glob("*.npz")}
    assert before
    assert main(command(release_folder, run)[3:]) == 0
    assert "minus majority" in capsys.readouterr().out
    assert all((run / "results" / name).stat().st_mtime_ns == then for name, then in before.items())
    again, whole = (json.loads((r / "metrics.json").read_text()) for r in (run, whole_run[0]))
    assert comparable(again) == comparable(whole)
    assert (run / "predictions.parquet").read_bytes() == (whole_run[0] / "predictions.parquet").read_bytes()


def test_frozen_backbone_under_every_labelling(
    release_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = [
        "--size",
        "32",
        "--epochs",
        "2",
        "--seeds",
        "1",
        "--threads",
        "1",
        "--hidden",
        "8",
        "--folds",
        "3",
    ]
    assert main([str(release_folder), "-o", str(run), *options, "--arms", "all", "--confidence", "0.2"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["model"] == "lite0"
    named = set(ARM_NAMES) - {"majority_kN"} | {"majority_k1", "majority_k2", "majority_k3"}
    assert set(metrics["arms"]) == named
    assert metrics["curve"]["degree"] in (1, 2)
    assert metrics["arms"]["budget_3"]["n_train"] == metrics["arms"]["budget_1"]["n_train"] // 3
    cleaned, control = (metrics["arms"][arm]["n_train"] for arm in ("cleaned", "cleaned_control"))
    assert cleaned == control < metrics["arms"]["consensus"]["n_train"]
    printed = capsys.readouterr().out
    for section in ("label_error_cost", "next_votes", "noisy_test"):
        assert metrics[section]["words"] in printed
    page = (run / "report.html").read_text()
    assert "What the next votes would buy" in page
    assert "What unverified test labels would make of it" in page


def test_out_of_fold_predictions_stand_in_the_run_and_survive_a_restart(
    release_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arms = ["--arms", "consensus,cleaned,cleaned_control", "--folds", "2"]
    assert main([str(release_folder), "-o", str(run), *SMALL, "--epochs", "1", *arms]) == 0
    table = pd.read_parquet(run / "predictions.parquet")
    judged = table[table["fold"] >= 0]
    manifest = pd.read_parquet(release_folder / "manifest.parquet").set_index("image")
    assert set(judged["arm"]) == {"out_of_fold"}
    assert set(judged["fold"]) == {0, 1}
    assert set(judged["image"]) == set(manifest.index[manifest["split"] == "train"])
    assert judged["label"].tolist() == manifest.loc[judged["image"], "category"].tolist()
    assert np.stack(judged["probabilities"]).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    before = (run / "predictions.parquet").read_bytes()
    written = (run / "out-of-fold.npz").stat().st_mtime_ns
    assert main([str(release_folder), "-o", str(run), *SMALL, "--epochs", "1", *arms]) == 0
    assert (run / "out-of-fold.npz").stat().st_mtime_ns == written
    assert (run / "predictions.parquet").read_bytes() == before


def test_more_votes_than_all_have_are_an_evaluation_of_its_own(broken: Path, tmp_path: Path) -> None:
    votes, manifest = (pd.read_parquet(broken / f"{name}.parquet") for name in ("votes", "manifest"))
    train = manifest[manifest["split"] == "train"]
    audited = train.groupby("category").head(6)
    late = pd.DataFrame(
        [
            (i, f"late{n}", r)
            for i, r in zip(audited["image"], audited["reference"], strict=True)
            for n in range(2)
        ],
        columns=["image", "worker", "label"],
    )
    votes = pd.concat([votes, late], ignore_index=True)
    votes["audit"] = votes["image"].isin(audited["image"])
    votes.to_parquet(broken / "votes.parquet", index=False)
    seal(broken)
    run = tmp_path / "run"
    assert main([str(broken), "-o", str(run), *SMALL, "--arms", "majority,consensus,majority_k5"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["arms"]) == {"majority", "consensus"}
    assert set(metrics["audit"]["arms"]) == {"majority_k3", "majority_k5"}
    assert metrics["audit"]["n_train"] == len(audited)
    assert metrics["audit"]["arms"]["majority_k5"]["difference"]["p"] > 0
    assert "More votes, on the audit share" in (run / "report.html").read_text()


@pytest.fixture
def broken(release_folder: Path, tmp_path: Path) -> Path:
    """A copy of the release to break."""
    return Path(shutil.copytree(release_folder, tmp_path / "broken"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run in this process; it must exit 2 with one line."""
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_a_changed_file_is_refused(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(broken.glob("train/*/*.png")).write_bytes(b"other")
    assert "checksums" in refused(capsys, str(broken), "-o", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not a release" in refused(capsys, str(tmp_path), "-o", str(tmp_path / "run"))
    assert "not a folder" in refused(capsys, str(tmp_path / "none"), "-o", str(tmp_path / "run"))


def test_a_test_split_without_references(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = pd.read_parquet(broken / "manifest.parquet")
    manifest.loc[manifest["split"] == "test", "reference"] = None
    manifest.to_parquet(broken / "manifest.parquet", index=False)
    seal(broken)
    assert "reference" in refused(capsys, str(broken), "-o", str(tmp_path / "run"))


def test_a_class_without_train_pictures(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = pd.read_parquet(broken / "manifest.parquet")
    train = (manifest["split"] == "train") & (manifest["category"] == "disc")
    manifest[~train].to_parquet(broken / "manifest.parquet", index=False)
    seal(broken)
    assert "disc" in refused(capsys, str(broken), "-o", str(tmp_path / "run"))


def test_a_class_whose_train_pictures_cannot_be_decoded(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = list(broken.glob("train/disc/*.png"))
    for file in spoilt:
        file.write_bytes(b"no picture")
    seal(broken)
    error = refused(capsys, str(broken), "-o", str(tmp_path / "run"), *SMALL, *ARMS)
    assert f"of disc is left that all arms can use; cannot be decoded: {len(spoilt)} train pictures" in error


def test_one_class(broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (broken / "categories.json").write_text('[{"id": "disc", "name": "Disc", "index": 0}]')
    seal(broken)
    assert "has 1 class; training needs at least 2" in refused(
        capsys, str(broken), "-o", str(tmp_path / "run")
    )


def test_early_stopping_without_val_pictures(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = pd.read_parquet(broken / "manifest.parquet")
    manifest[manifest["split"] != "val"].to_parquet(broken / "manifest.parquet", index=False)
    seal(broken)
    options = (*SMALL, *ARMS, "--patience", "3")
    assert "patience needs" in refused(capsys, str(broken), "-o", str(tmp_path / "run"), *options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--arms", "majority,wish"), "wish"),
        (("--arms", "majority,majority_k9"), "majority_k9: every train picture has 3"),
        (("--arms", "consensus", "--confidence", "2"), "confidence"),
        (("--arms", "consensus,cleaned", "--folds", "1"), "folds"),
        ((*SMALL, "--arms", "consensus,cleaned", "--folds", "99"), "too few for 99 folds"),
        (("--preset", "huge"), "huge"),
        (("--epochs", "0"), "epochs"),
        (("--device", "abacus"), "abacus"),
        (("--model", "no_such_net"), "no_such_net"),
        (("--model", "inception_v3", "--size", "128"), "give --size 299"),
        (("--augment", "flip,spin=3"), "unknown augmentation 'spin=3'"),
        (("--weights", "nowhere.pt"), "nowhere.pt: No such file"),
        (("--model", "resnet18", "--train", "head"), "give --weights"),
        (("--checkpoint-every", "-1"), "--checkpoint-every"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_unusable_options(
    release_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    word: str,
) -> None:
    assert word in refused(capsys, str(release_folder), "-o", str(tmp_path / "run"), *options)


def test_a_run_folder_of_other_settings_is_not_mixed_in(
    release_folder: Path, whole_run: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, str(release_folder), "-o", str(whole_run[0]), *SMALL, *ARMS, "--lr", "0.5")
    assert "another lr" in error


def test_a_loss_that_is_no_number_stops_the_run(
    release_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(release_folder), "-o", str(tmp_path / "run"), *SMALL, *ARMS, "--lr", "1e30"]) == 1
    error = capsys.readouterr().err
    assert "--lr" in error
    assert error.count("\n") == 1


def test_undecodable_pictures_are_left_out_and_counted(broken: Path, tmp_path: Path) -> None:
    next(broken.glob("train/*/*.png")).write_bytes(b"no picture")
    seal(broken)
    assert main([str(broken), "-o", str(tmp_path / "run"), *SMALL, "--arms", "majority,consensus"]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert any("cannot be decoded" in line and "1 picture" in line for line in metrics["warnings"])


def test_config_is_overridden_by_flags(release_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('model = "small"\nsize = 24\nepochs = 2\nseeds = 1\narms = ["majority", "consensus"]\n')
    arguments = ["--config", str(config), "--epochs", "1", "--threads", "1"]
    assert main([str(release_folder), "-o", str(tmp_path / "run"), *arguments]) == 0
    settings = json.loads((tmp_path / "run" / "metrics.json").read_text())["settings"]
    assert (settings["model"], settings["epochs"], settings["arms"]) == (
        "small",
        1,
        ["majority", "consensus"],
    )
