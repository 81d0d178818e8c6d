"""The gallery of labels that look wrong, and where they come from."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from quality.issues import find_issues, run_probabilities
from tests.training.conftest import CLASSES
from training.retrain import main

SMALL = "--model small --size 24 --epochs 4 --batch 16 --seeds 1 --threads 1 --folds 3"
TITLE = "<h2>Labels that look wrong</h2>"


def section(run: Path) -> str:
    return (run / "report.html").read_text().split(TITLE)[1].split("<h2>")[0]


@pytest.fixture(scope="module")
def judged(release_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("judged") / "run"
    arms = ["--arms", "majority,consensus", "--suspects"]
    assert main([str(release_folder), "-o", str(run), *SMALL.split(), *arms]) == 0
    return run


def test_without_such_nets_the_report_says_how_to_make_them(small_run: Path) -> None:
    words = section(small_run)
    assert "--suspects" in words
    assert "<img" not in words


def test_the_gallery_shows_what_request_votes_would_ask_about(release_folder: Path, judged: Path) -> None:
    """The same doubts, in the same order, as the command beneath finds in the run's folder."""
    manifest = pd.read_parquet(release_folder / "manifest.parquet").set_index("image")
    table = run_probabilities(judged / "predictions.parquet", None, CLASSES)
    labels = manifest.loc[sorted(set(table["task"])), "category"]
    consensus = pd.DataFrame({"task": labels.index, "label": labels.to_numpy()}, dtype=object)
    issues = find_issues(consensus, table).issues
    wanted = issues[issues["flagged"]].sort_values("rank")
    assert 0 < len(wanted) <= 24
    words = section(judged)
    shown = re.findall(r'title="([0-9a-f]{64})"', words)
    assert shown == list(wanted["task"])
    first = wanted.iloc[0]
    card = words.split("<figcaption>")[1]
    assert card.startswith(f"<b>{first['label'].title()}</b>")
    assert f"rather {first['suggested'].title()}" in card
    votes = pd.read_parquet(release_folder / "votes.parquet")
    own = votes[votes["image"] == first["task"]]["label"].value_counts()
    for label, count in own.items():
        assert f"{str(label).title()} {count}" in card
    assert f"python manage.py request_votes shapes --from-run {judged}" in words
    assert f"of {len(issues):,} train pictures" in words


def test_judging_alone_changes_no_arm(judged: Path) -> None:
    table = pd.read_parquet(judged / "predictions.parquet")
    assert set(table["arm"]) == {"majority", "consensus", "out_of_fold"}
    assert (table["fold"] >= 0).sum() == 57
    assert "which it drops" not in (judged / "report.html").read_text()


def test_curves_of_val_pictures_stand_in_the_report_where_they_were_measured(
    release_folder: Path, small_run: Path, tmp_path: Path
) -> None:
    stopped = [*SMALL.split(), "--arms", "consensus", "--patience", "9", "--gradcam", "0"]
    assert main([str(release_folder), "-o", str(tmp_path / "run"), *stopped]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Accuracy on val pictures by epoch" in page
    assert "Where it looks" not in page
    assert "Accuracy on val pictures" not in (small_run / "report.html").read_text()


def test_a_number_of_pictures_below_none_is_refused(
    release_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(release_folder), "-o", str(tmp_path / "run"), *SMALL.split(), "--gradcam", "-1"]) == 2
    assert "--gradcam must be 0 or more" in capsys.readouterr().err
