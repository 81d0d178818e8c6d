"""Labels that look wrong: the definition by hand, planted errors, and the command on what users bring."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.issues import find_issues, main

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.array(["ant", "bee", "cow"])


def tables(
    rows: list[tuple[str, tuple[float, ...]]], labels: str = "ab"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Consensus and probabilities of tasks t0, t1, ...: a label and its probabilities each."""
    names = [f"t{number}" for number in range(len(rows))]
    consensus = pd.DataFrame({"task": names, "label": [label for label, _ in rows]})
    cells = [
        (name, label, chance)
        for name, (_, chances) in zip(names, rows, strict=True)
        for label, chance in zip(labels, chances, strict=True)
    ]
    return consensus, pd.DataFrame(cells, columns=["task", "label", "probability"])


def planted(seed: int, tasks: int = 400, wrong: int = 40) -> tuple[pd.DataFrame, pd.DataFrame, set[str]]:
    """A good classifier, and `wrong` labels that are not the true ones."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, tasks)
    chance = rng.dirichlet(np.ones(3), tasks) * 0.3
    chance[np.arange(tasks), truth] += 0.7
    given_label = truth.copy()
    bad = rng.choice(tasks, wrong, replace=False)
    given_label[bad] = (truth[bad] + rng.integers(1, 3, wrong)) % 3
    names = np.array([f"t{number:03}" for number in range(tasks)])
    consensus = pd.DataFrame({"task": names, "label": LABELS[given_label]})
    table = pd.DataFrame(
        {"task": names.repeat(3), "label": np.tile(LABELS, tasks), "probability": chance.ravel()}
    )
    return consensus, table, set(names[bad])


# --- the definition -------------------------------------------------------------------------------------

WORKED = [
    ("a", (0.9, 0.1)),
    ("a", (0.8, 0.2)),
    ("a", (0.7, 0.3)),
    ("a", (0.2, 0.8)),
    ("b", (0.1, 0.9)),
    ("b", (0.3, 0.7)),
    ("b", (0.4, 0.6)),
    ("b", (0.9, 0.1)),
]
"""Thresholds: a 0.65 (mean of 0.9, 0.8, 0.7, 0.2), b 0.575 (mean of 0.9, 0.7, 0.6, 0.1). Confident of a: t0,
t1, t2 and t7; of b: t3, t4, t5, t6. Counts: a given, a true 3; a given, b true 1; b given, a true 1; b, b 3:
each row holds the 4 labels that were given, so the joint is the counts over 8."""


def test_the_joint_of_an_example_worked_by_hand():
    found = find_issues(*tables(WORKED))
    joint = found.joint.set_index(["label", "true"])["share"].to_dict()
    assert joint == {("a", "a"): 0.375, ("a", "b"): 0.125, ("b", "a"): 0.125, ("b", "b"): 0.375}
    assert found.estimated_error == pytest.approx(0.25)
    issues = found.issues.set_index("task")
    # 8 x 0.125 = 1 of each pair: the one that the classifier leans to most.
    assert list(issues.index[issues["flagged"]]) == ["t3", "t7"]
    assert issues.loc["t7", ["label", "suggested"]].tolist() == ["b", "a"]
    assert issues.loc["t7", ["self_confidence", "margin"]].tolist() == pytest.approx(
        [0.1, (0.1 - 0.9 + 1) / 2]
    )
    assert issues["rank"].to_dict() == {
        "t7": 1, "t3": 2, "t6": 3, "t2": 4, "t5": 5, "t1": 6, "t0": 7, "t4": 8,
    }  # fmt: skip


UNEVEN = [
    ("a", (0.6, 0.3, 0.1)),
    ("a", (0.5, 0.3, 0.2)),
    ("a", (0.4, 0.5, 0.1)),
    ("a", (0.1, 0.2, 0.7)),
    ("b", (0.45, 0.5, 0.05)),
    ("b", (0.1, 0.8, 0.1)),
    ("c", (0.2, 0.1, 0.7)),
]
"""Thresholds: a 0.4, b 0.65, c 0.7. Confident: t0, t1, t2 and t4 of a (t2 and t4 prefer b, but b asks for
0.65), t3 of c, t5 of b, t6 of c. Of four a's 3 are a, 1 is c; of two b's 1 is a, 1 is b; the c is c."""


def test_a_class_has_its_own_threshold():
    found = find_issues(*tables(UNEVEN, "abc"))
    joint = found.joint.set_index(["label", "true"])["share"].to_dict()
    wanted = {("a", "a"): 3, ("a", "c"): 1, ("b", "a"): 1, ("b", "b"): 1, ("c", "c"): 1}
    assert joint == {pair: pytest.approx(n / 7, abs=1e-6) for pair, n in wanted.items()}
    issues = found.issues.set_index("task")
    # One b is estimated to be an a: of the b's t4 leans to it most; but b is what is likeliest there.
    assert list(issues.index[issues["flagged"]]) == ["t3"]
    assert issues.loc["t4", "suggested"] == "b"


def test_rows_are_scaled_to_how_often_a_label_was_given():
    """Of six a's only two are confident of anything (one of b): half of the six is estimated to be b."""
    rows = [("a", (0.9, 0.1)), ("a", (0.1, 0.9)), *[("a", (0.45, 0.55))] * 4]
    rows += [("b", (0.2, 0.8)), ("b", (0.3, 0.7))]
    found = find_issues(*tables(rows))
    # a's threshold (0.9 + 0.1 + 4 x 0.45) / 6 = 0.467; b's 0.75: the four are of neither class.
    joint = found.joint.set_index(["label", "true"])["share"].to_dict()
    assert joint == {("a", "a"): 0.375, ("a", "b"): 0.375, ("b", "b"): 0.25}
    assert found.issues["flagged"].sum() == 3


# --- planted errors -------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_planted_errors_lead_the_queue(seed):
    consensus, table, bad = planted(seed)
    found = find_issues(consensus, table)
    first = found.issues.sort_values("rank").head(40)
    assert len(set(first["task"]) & bad) >= 38
    assert found.estimated_error == pytest.approx(0.1, abs=0.05)
    flagged = found.issues["task"][found.issues["flagged"]]
    assert 20 <= len(flagged) <= 60
    assert flagged.isin(bad).mean() > 0.9
    assert sorted(found.issues["rank"]) == list(range(1, 401))


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_rows_and_the_names_of_labels_change_nothing(seed):
    consensus, table, _ = planted(seed, tasks=60, wrong=8)
    plain = find_issues(consensus, table)
    mixed = find_issues(consensus.sample(frac=1, random_state=1), table.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(plain.issues, mixed.issues)
    names = dict(zip(LABELS, ["z", "y", "x"], strict=True))
    renamed = find_issues(consensus.replace({"label": names}), table.replace({"label": names}))
    assert (plain.issues["flagged"] == renamed.issues["flagged"]).all()
    assert (plain.issues["suggested"].map(names) == renamed.issues["suggested"]).all()


def test_a_classifier_that_agrees_flags_nothing():
    consensus, table, _ = planted(3, wrong=0)
    found = find_issues(consensus, table)
    assert not found.issues["flagged"].any()
    assert found.estimated_error == 0
    assert (found.issues["suggested"] == found.issues["label"]).all()


def test_both_rankings_put_the_flagged_first():
    consensus, table, _ = planted(4)
    for rank_by in ("margin", "self_confidence"):
        issues = find_issues(consensus, table, rank_by).issues.sort_values("rank")
        assert issues["flagged"].tolist() == sorted(issues["flagged"], reverse=True)
    with pytest.raises(ValueError, match="unknown ranking"):
        find_issues(consensus, table, "mood")


def test_what_cannot_be_judged_is_counted_not_flagged():
    consensus, table = tables(WORKED)
    consensus = pd.concat([consensus, pd.DataFrame({"task": ["x", "y"], "label": ["a", ""]})])
    found = find_issues(consensus, table)
    assert (len(found.issues), found.not_judged) == (8, 1)
    nothing = find_issues(consensus.iloc[:0], table)
    assert (len(nothing.issues), nothing.estimated_error) == (0, 0.0)


def test_a_label_that_the_classifier_never_learned_is_doubted():
    consensus, table = tables([*WORKED, ("rare", (0.9, 0.1))])
    issues = find_issues(consensus, table).issues.set_index("task")
    assert issues.loc["t8", "self_confidence"] == 0
    assert issues.loc["t8", "suggested"] == "a"


# --- the command ----------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    consensus, table, bad = planted(5)
    consensus.to_csv(tmp_path / "consensus.csv", index=False)
    table.to_parquet(tmp_path / "probs.parquet")
    return tmp_path, bad


def test_the_queue_is_written_and_told(files, capsys):
    folder, bad = files
    given = [str(folder / "consensus.csv"), str(folder / "probs.parquet")]
    outputs = [folder / name for name in ("a.csv", "b.csv", "all.csv")]
    assert main([*given, "-o", str(outputs[0])]) == 0
    assert "labels look wrong" in capsys.readouterr().out
    assert main([*given, "-o", str(outputs[1]), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main([*given, "-o", str(outputs[2]), "--all"]) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    queue, every = (pd.read_csv(file, dtype=str) for file in (outputs[0], outputs[2]))
    assert list(queue.columns) == [
        "task", "label", "suggested", "self_confidence", "margin", "flagged", "rank",
    ]  # fmt: skip
    assert (len(queue), len(every)) == (told["flagged"], 400)
    assert set(queue["flagged"]) == {"true"}
    assert len(set(queue["task"]) & bad) >= 36
    assert told["confused"][0]["label"] != told["confused"][0]["true"]


@pytest.fixture
def refused(capsys, monkeypatch):
    """Runs the command in a folder: exit code 2, and the one line that it says."""

    def go(folder, *words):
        monkeypatch.chdir(folder)
        assert main(list(words)) == 2
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1), told.err
        return told.err

    return go


@pytest.mark.parametrize(
    ("consensus", "probabilities", "words"),
    [
        (None, "task,label,probability\n", "no such file"),
        ("", "task,label,probability\n", "empty"),
        ("task,votes\na,1\n", "task,label,probability\na,x,1\n", "no column label"),
        ("task,label\na,x\n", "task,label\na,x\n", "no column probability"),
        ("task,label\na,x\na,y\n", "task,label,probability\na,x,1\n", "task a twice"),
        ("task,label\na,x\n", "task,label,probability\na,x,2\n", "row 2: 2 is no probability"),
        ("task,label\na,x\n", "task,label,probability\na,x,0.5\na,y,nan\n", "row 3: nan is no probability"),
        ("task,label\na,x\n", "task,label,probability\na,x,much\n", "much is no probability"),
        (b"\x89PNG\0\0", "task,label,probability\na,x,1\n", "not a readable table"),
        ("task,label\na,x\n", b"\xff\xfe\0\0\1", "not a readable table"),
    ],
)
def test_unusable_input_is_one_line_and_exit_2(tmp_path, refused, consensus, probabilities, words):
    for name, content in (("c.csv", consensus), ("p.csv", probabilities)):
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in refused(tmp_path, "c.csv", "p.csv", "-o", "issues.csv")
    assert not (tmp_path / "issues.csv").exists()


@pytest.mark.parametrize("output", ["issues.txt", "nowhere/issues.csv", "consensus.csv"])
def test_an_output_that_cannot_be_written(files, refused, output):
    folder, _ = files
    before = (folder / "consensus.csv").read_bytes()
    assert refused(folder, "consensus.csv", "probs.parquet", "-o", output)
    assert (folder / "consensus.csv").read_bytes() == before


def test_a_folder_for_a_table_where_a_shell_runs_it(files):
    folder, _ = files
    (folder / "d.csv").mkdir()
    done = process(folder, "d.csv", "probs.parquet", "-o", "issues.csv")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def process(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell runs it."""
    return subprocess.run(
        [sys.executable, "-m", "quality.issues", *words],
        cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
