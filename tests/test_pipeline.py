"""The whole main job at reduced size, as `make demo` runs it: real processes, real HTTP, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.pipeline


def demo(data: Path) -> subprocess.CompletedProcess[str]:
    """`make demo` with 300 photos, in a folder of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "STORAGE_URL")}
    return subprocess.run(
        [sys.executable, "-m", "demo.run", "--small", "300", "--data", str(data)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=420,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The data folder of a finished small demo, and what the demo printed."""
    data = tmp_path_factory.mktemp("demo") / "data"
    done = demo(data)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return data, done.stdout


def test_the_table_says_what_was_measured(finished):
    _, printed = finished
    for words in ("Near-copies", "Label accuracy", "Test accuracy", "Release", "Report", "make serve"):
        assert words in printed
    assert "0 requests into the folder that robots.txt closes" in printed


def test_planted_copies_are_found_and_nothing_is_merged_wrongly(finished):
    _, printed = finished
    assert "0 different photos wrongly taken for one" in printed
    for kind in ("resized", "recompressed", "watermarked"):
        line = next(row for row in printed.splitlines() if row.strip().startswith(kind))
        planted, _, found = (int(number) for number in line.split()[1:4])
        assert planted >= 10
        assert found >= planted - 1, line


def test_the_release_passes_its_own_check_and_holds_its_votes(finished):
    data, _ = finished
    release = data / "releases" / "clothing-1.0.0"
    check = subprocess.run(
        [sys.executable, "-m", "export.verify", str(release), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout
    assert json.loads(check.stdout) == {"ok": True, "errors": []}
    manifest = pd.read_parquet(release / "manifest.parquet")
    votes = pd.read_parquet(release / "votes.parquet")
    assert manifest.groupby("duplicate_group")["split"].nunique().max() == 1
    assert manifest[manifest["split"] == "test"]["reference"].notna().all()
    assert set(votes["image"]) <= set(manifest["image"])


def test_every_labelling_was_trained_and_measured(finished):
    data, _ = finished
    run = next((data / "runs").iterdir())
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"one_vote", "majority", "consensus", "reference"} <= set(metrics["arms"])
    for arm in metrics["arms"].values():
        assert arm["top1"]["lo"] <= arm["top1"]["value"] <= arm["top1"]["hi"]
    report = (run / "report.html").read_text()
    assert report.count('src="data:image/svg+xml;base64,') >= 3, "the plots are in the file itself"
    assert "http://" not in report.replace("http://www.w3.org", ""), (
        "the report asks no other host for anything"
    )


def test_better_votes_made_better_labels(finished):
    data, _ = finished
    metrics = json.loads(next((data / "runs").glob("*/metrics.json")).read_text())
    assert metrics["arms"]["consensus"]["label_error"] < metrics["arms"]["one_vote"]["label_error"] - 0.05
