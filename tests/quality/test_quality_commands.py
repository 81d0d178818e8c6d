"""The two commands as programs."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
VOTES = (
    "item,worker,label\n007,a,cat\n007,b,cat\n007,c,dog\n008,a,dog\n008,b,cat\n007,c,cat\n009,a,__unsure__\n"
)


def process(module: str, *args: object) -> subprocess.CompletedProcess:
    """The command as a shell runs it."""
    command = [sys.executable, "-m", f"quality.{module}", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess]:
    """The command in this process, which has imported what it needs."""

    def go(module: str, *args: object) -> subprocess.CompletedProcess:
        code = import_module(f"quality.{module}").main([*map(str, args)])
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return go


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    path = tmp_path / "votes.csv"
    path.write_text(VOTES, encoding="utf-8")
    return path


def test_aggregate_writes_every_table(votes, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("task,label\n008,dog\n", encoding="utf-8")
    out, workers, posteriors = tmp_path / "c.csv", tmp_path / "w.csv.gz", tmp_path / "p.parquet"
    done = process(
        "aggregate",
        votes,
        "-o",
        out,
        "--gold",
        gold,
        "--workers",
        workers,
        "--posteriors",
        posteriors,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {
        "tasks": 3,
        "votes_read": 7,
        "votes_used": 6,
        "dropped": {"repeated": 1},
        "method": "auto",
    }.items() <= (summary.items())
    consensus = pd.read_csv(out, dtype=str)
    assert list(consensus) == ["task", "label", "confidence", "votes", "method", "tie"]
    assert consensus["task"].tolist() == ["007", "008", "009"]
    assert consensus["label"].tolist()[:2] == ["cat", "dog"]
    assert float(consensus["confidence"][1]) == 1.0
    assert list(pd.read_csv(workers)) == ["worker", "votes", "gold_votes", "skill", "lo", "hi", "flags"]
    assert list(pd.read_parquet(posteriors)) == ["task", "label", "probability"]


def test_ties_say_true_and_equal_input_gives_equal_bytes(run, votes, tmp_path):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    assert run("aggregate", votes, "-o", first, "--method", "majority").returncode == 0
    again = process("aggregate", votes, "-o", second, "--method", "majority")  # where names hash otherwise
    assert again.returncode == 0
    assert "008,cat,0.5,2,majority,true" in first.read_text()
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("text", "extra", "said"),
    [
        ("task,label\n1,a\n", [], "no column worker"),
        ("", [], "empty"),
        (VOTES, ["--method", "best"], "unknown method"),
        (VOTES, ["--gold", "nowhere.csv"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run, tmp_path, text, extra, said):
    path = tmp_path / "v.csv"
    path.write_text(text, encoding="utf-8")
    done = run("aggregate", path, "-o", tmp_path / "c.csv", *extra)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "c.csv").exists()


def test_replay_tells_what_it_would_have_cost(run, votes, tmp_path):
    out = tmp_path / "r.csv"
    done = process("replay", votes, "-o", out, "--confidence", 0.9, "--votes-max", 3, "--json")
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)
    assert set(totals) == {"tasks", "votes", "votes_per_task", "stated_error"}
    result = pd.read_csv(out, dtype={"task": str})
    assert list(result) == ["task", "label", "confidence", "votes"]
    assert totals["votes"] == result["votes"].sum()
    refused = run("replay", votes, "-o", out, "--votes-min", 5, "--votes-max", 2)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
