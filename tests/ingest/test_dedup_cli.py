"""`python -m ingest.dedup` keeps its contract: columns, order, groups, refusals, exit codes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ingest import dedup
from ingest.tables import read_table
from tests.ingest.test_duplicates import COPIES, scene

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "photos"
    (photos / "deep" / "er").mkdir(parents=True)
    for seed in range(3):
        scene(seed).save(photos / f"{seed}.png")
    COPIES["recompressed"](scene(0)).save(photos / "deep" / "copy, of 0.jpg")
    COPIES["enlarged"](scene(1)).save(photos / "deep" / "er" / "ü.png")
    (photos / "deep" / "same.bin").write_bytes((photos / "2.png").read_bytes())
    (photos / "page.jpg").write_text("<html>404</html>")
    (photos / "cut.png").write_bytes((photos / "0.png").read_bytes()[:500])
    (photos / "empty.gif").write_bytes(b"")
    return photos


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ingest.dedup", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_keeps_its_contract(folder, tmp_path):
    out, refused = tmp_path / "groups.csv", tmp_path / "refused.csv"
    done = run(folder, "-o", out, "--rejected", refused, "--json", "--processes", 2)
    assert (done.returncode, done.stderr) == (0, "")
    table = read_table(out)
    assert list(table.columns) == ["path", "sha256", "phash", "group", "representative"]
    assert table["path"].tolist() == [
        "0.png",
        "1.png",
        "2.png",
        "deep/copy, of 0.jpg",
        "deep/er/ü.png",
        "deep/same.bin",
    ]
    for row in table.itertuples():
        assert row.sha256 == hashlib.sha256((folder / row.path).read_bytes()).hexdigest()
        assert len(row.phash) == 16
    by_path = table.set_index("path")
    group = by_path["group"]
    assert group["0.png"] == group["deep/copy, of 0.jpg"] == by_path["sha256"]["0.png"]
    assert group["1.png"] == group["deep/er/ü.png"] == by_path["sha256"]["deep/er/ü.png"]
    assert group["2.png"] == group["deep/same.bin"] == by_path["sha256"]["2.png"]
    assert by_path.index[by_path["representative"] == "true"].tolist() == ["0.png", "2.png", "deep/er/ü.png"]
    assert read_table(refused).to_numpy().tolist() == [
        ["cut.png", "truncated"],
        ["empty.gif", "empty"],
        ["page.jpg", "not_an_image"],
    ]
    summary = json.loads(done.stdout)
    assert summary["files"] == 9
    assert (summary["images"], summary["groups"], summary["duplicates"]) == (6, 3, 3)
    assert summary["rejected"] == {"empty": 1, "not_an_image": 1, "truncated": 1}


def test_equal_input_gives_equal_bytes_whatever_the_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dedup, "BATCH", 2)
    one, two = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz"
    assert dedup.main([str(folder), "-o", str(one), "--processes", "1"]) == 0
    assert dedup.main([str(folder), "-o", str(two), "--processes", "2"]) == 0
    assert one.read_bytes() == two.read_bytes()


def test_parquet_and_an_empty_folder(tmp_path):
    (tmp_path / "none").mkdir()
    out = tmp_path / "g.parquet"
    assert dedup.main([str(tmp_path / "none"), "-o", str(out)]) == 0
    assert list(pd.read_parquet(out).columns) == ["path", "sha256", "phash", "group", "representative"]
    assert len(pd.read_parquet(out)) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["{tmp}/missing", "-o", "{tmp}/g.csv"], "no such folder"),
        (["{tmp}", "-o", "{tmp}/g.txt"], "ends in"),
        (["{tmp}", "-o", "{tmp}/no/g.csv"], "does not exist"),
        (["{tmp}", "-o", "{tmp}/g.csv", "--radius", "99"], "radius"),
        (["{tmp}", "-o", "{tmp}/g.csv", "--rejected", "{tmp}/r.doc"], "ends in"),
        (["{tmp}", "-o", "{tmp}/g.csv", "--processes", "0"], "processes"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(tmp_path, capsys, arguments, word):
    assert dedup.main([a.format(tmp=tmp_path) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1


def test_a_file_that_kills_its_decoder_harms_no_other(folder, monkeypatch):
    honest = dedup.open_picture

    def deadly(data):
        if data.startswith(b"KILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(data)

    # Worker processes are forked, so they inherit what is patched here.
    monkeypatch.setattr(dedup, "open_picture", deadly)
    monkeypatch.setattr(dedup, "BATCH", 2)
    (folder / "0a.jpg").write_bytes(b"KILL")
    reads = dedup.read_folder(folder, mirrored=False, processes=2)
    assert {r.path: r.reason for r in reads if r.record is None} == {
        "0a.jpg": "decoder_crashed",
        "cut.png": "truncated",
        "empty.gif": "empty",
        "page.jpg": "not_an_image",
    }
    assert sum(r.record is not None for r in reads) == 6


def test_mirrored_copies_are_found_where_asked(tmp_path):
    photos = tmp_path / "p"
    photos.mkdir()
    scene(4).save(photos / "a.png")
    scene(4).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "b.png")
    for option, groups in (([], 2), (["--mirrored"], 1)):
        assert dedup.main([str(photos), "-o", str(tmp_path / "g.csv"), *option]) == 0
        assert read_table(tmp_path / "g.csv")["group"].nunique() == groups
