"""quality.aggregate as a shell runs it, on whatever a file may hold: one clear line, or a stated outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from quality.aggregate import main
from quality.aggregation import BadVotes, Result

ROOT = Path(__file__).resolve().parents[2]
GOOD = "task,worker,label\na,w1,x\na,w2,x\nb,w1,y\nb,w2,x\n"


def process(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell runs it."""
    return subprocess.run(
        [sys.executable, "-m", "quality.aggregate", *words],
        cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a run that ends with exit code 2 and leaves no output."""
    before = sorted(folder.iterdir())
    assert main(list(words)) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1), printed.err
    assert sorted(folder.iterdir()) == before
    return printed.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "votes.csv").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what is read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "no such file"),
        ("empty.csv", b"", "empty"),
        ("binary.csv", bytes(range(256)) * 8, "not a text file"),
        ("columns.csv", b"task,label\na,x\n", "no column worker"),
        ("folder.csv", "folder", "directory"),
    ],
)
def test_what_holds_no_votes_is_one_line_and_exit_2(folder, capsys, name, content, words):
    if content == "folder":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_bytes(content)
    if name == "empty.csv":  # one of them as a process: importing takes longer than the rest
        done = process(folder, name, "-o", "out.csv", "--json")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert words in done.stderr
    assert words in refused(folder, capsys, name, "-o", "out.csv", "--json")
    assert not (folder / "out.csv").exists()


def test_whatever_else_a_file_holds_is_counted_or_kept(folder):
    """One run with everything at once: every row is used, or left out for a reason that is told."""
    huge = ["9" * 10_000, str(2**63), str(2**63 + 1), str(-(2**70)), "007", "7", "1e400", "Ünï"]
    rows = [(task, f"w{n % 4}", "x") for n, task in enumerate(huge)]
    rows += [("a", "w1", "x"), ("a", "w1", "y"), ("a", "once", "y"), ("b", "w1", "__unsure__")]
    rows += [("", "w1", "x"), ("a", "", "x"), ("c", "w1", ""), ("c", "w1", "NaN"), ("d", "w2", "zebra")]
    rows += [("e", "True", "1.0"), ("e", "1", "1")]
    text = "task,worker,label\n" + "".join(",".join(row) + "\n" for row in rows)
    (folder / "odd.csv").write_bytes(text.encode("utf-16"))
    (folder / "labels.csv").write_text("label\nx\ny\n1\n1.0\n")
    done = process(folder, "odd.csv", "-o", "out.csv", "--labels", "labels.csv", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["dropped"] == {
        "missing_task": 1, "missing_worker": 1, "missing_label": 2, "repeated": 1, "unknown_label": 1,
    }  # fmt: skip
    assert told["votes_read"] == len(rows)
    assert told["votes_used"] + sum(told["dropped"].values()) == len(rows)
    assert any("with no usable row" in line for line in told["warnings"])
    table = pd.read_csv(folder / "out.csv", dtype=str, keep_default_na=False)
    assert set(table["task"]) == {*huge, "a", "b", "e"}
    assert dict(zip(table["task"], table["label"], strict=True))["a"] == "y"
    assert list(table["task"]) == sorted(table["task"])


def test_a_header_alone_is_no_votes_and_is_told(folder, capsys):
    (folder / "header.csv").write_text("task,worker,label")
    assert main(["header.csv", "-o", "out.csv"]) == 0
    assert capsys.readouterr().err == "quality.aggregate: warning: there is no usable vote\n"
    assert (folder / "out.csv").read_text() == "task,label,confidence,votes,method,tie\n"


# --- outputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "votes.csv"], "named for something else"),
        (["-o", "./votes.csv"], "named for something else"),
        (["-o", "out.csv", "--workers", "out.csv"], "named for something else"),
        (["-o", "out.csv", "--gold", "gold.csv", "--posteriors", "gold.csv"], "named for something else"),
        (["-o", "nowhere/out.csv"], "cannot write here"),
        (["-o", "out.csv", "--workers", "nowhere/w.csv"], "cannot write here"),
        (["-o", "sub.csv"], "it is a folder"),
        (["-o", "out.txt"], "ends in .csv"),
        (["-o", "out.csv", "--posteriors", "p.json"], "ends in .csv"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_the_work(folder, capsys, words, says):
    (folder / "sub.csv").mkdir()
    (folder / "gold.csv").write_text("task,label\na,x\n")
    assert says in refused(folder, capsys, "votes.csv", *words)
    assert (folder / "votes.csv").read_text() == GOOD


def test_a_table_that_cannot_be_made_leaves_no_other(folder, capsys, monkeypatch):
    def refuse(_):
        raise BadVotes("too many to list")

    monkeypatch.setattr(Result, "posteriors", property(refuse))
    assert "too many" in refused(folder, capsys, "votes.csv", "-o", "out.csv", "--posteriors", "p.csv")


# --- other inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "content", "says"),
    [
        ("--gold", None, "no such file"),
        ("--gold", "task,answer\na,x\n", "no column label"),
        ("--labels", "nothing\nx\n", "no column label"),
        ("--pictures", "task,label\na,x\n", "no column probability"),
        ("--pictures", "task,label,probability\na,x,nan\n", "row 2: nan is no probability"),
        ("--pictures", "task,label,probability\na,x,-0.1\n", "-0.1 is no probability"),
    ],
)
def test_unusable_further_tables(folder, capsys, option, content, says):
    if content is not None:
        (folder / "more.csv").write_text(content)
    assert says in refused(folder, capsys, "votes.csv", "-o", "out.csv", option, "more.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("task,worker,label,label\na,w,x,y\n", "twice: label"),
        ("task;task;worker;label\na;b;w;x\n", "twice: task"),
    ],
)
def test_a_column_that_stands_twice_is_refused(folder, capsys, content, says):
    (folder / "twins.csv").write_text(content)
    assert says in refused(folder, capsys, "twins.csv", "-o", "out.csv")


def test_workers_with_one_vote_each_are_settled_by_their_number(folder, capsys):
    rows = [f"t{task},w{task}-{n},{'x' if n else 'y'}" for task in range(30) for n in range(3)]
    (folder / "single.csv").write_text("task,worker,label\n" + "\n".join(rows))
    assert main(["single.csv", "-o", "out.csv", "--workers", "w.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == 90
    table = pd.read_csv(folder / "out.csv")
    assert set(table["label"]) == {"x"}
    assert table["confidence"].between(0.4, 0.99).all()
    assert len(pd.read_csv(folder / "w.csv")) == 90
