"""The replay's command: limits, budget, accuracy mode, and what it says of unusable input."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality_votes_saved import curve, excess, synthetic, table, with_spam
from quality.replay import Rule, main, replay
from quality.stopping import within_budget

POOL, TRUTH = synthetic(tasks=40)
ROWS = "task,worker,label\n1,a,x\n1,b,x\n2,a,y\n2,b,x\n2,c,y\n"


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1) | st.just(np.nan)), min_size=1, max_size=20),
    st.integers(0, 60),
)
def test_a_budget_is_never_overspent_and_goes_where_a_vote_saves_most(asked, left):
    ask, saves = (np.array(column) for column in zip(*asked, strict=True))
    cut = within_budget(ask, saves, left)
    assert cut.sum() == min(ask.sum(), left)
    assert ((cut >= 0) & (cut <= ask)).all()
    worth = np.nan_to_num(saves, nan=np.inf)
    given_up = worth[cut < ask]
    if len(given_up):
        assert worth[cut > 0].min(initial=np.inf) >= given_up.max()


@pytest.mark.parametrize("budget", [1, 37, 119, 160])
def test_replay_keeps_its_budget(budget):
    assert replay(POOL, Rule(confidence=0.999, votes_max=8, budget=budget))["votes"].sum() <= budget


def test_more_budget_finds_more_right_labels():
    right = []
    for budget in (40, 80, 160):
        told = replay(POOL, Rule(confidence=1.0, budget=budget)).set_index("task")["label"]
        right.append((told.reindex(TRUTH.index) == TRUTH).sum())
    assert right == sorted(right)
    assert right[-1] > right[0]


def test_reaches_the_expected_accuracy_of_each_category_with_fewer_votes_than_each_task_alone_would():
    wanted = Rule(expected_accuracy=0.96, votes_max=20)
    together = replay(POOL, wanted)
    assert (together.groupby("label")["confidence"].mean() >= 0.96 - 1e-6).all()
    assert together["confidence"].min() < 0.96
    alone = replay(POOL, Rule(confidence=0.999, votes_max=20))
    assert together["votes"].sum() < alone["votes"].sum()


def test_order_of_tasks_and_names_do_not_matter_to_who_is_asked():
    result = replay(POOL, Rule(confidence=0.95, votes_max=6))
    new = {label: f"z{9 - int(label[1:])}" for label in POOL["label"].unique()}
    other = POOL.assign(label=POOL["label"].map(new))
    # Votes of one task keep their order; the tasks do not.
    other = other.iloc[np.argsort(-other["task"].astype(int).to_numpy(), kind="stable")]
    again = replay(other, Rule(confidence=0.95, votes_max=6))
    assert again["votes"].tolist() == result["votes"].tolist()
    assert (again["label"] == result["label"].map(new)).mean() > 0.95  # ties go to the first name


def test_known_answers_are_kept():
    gold = pd.DataFrame({"task": ["0", "1"], "label": ["c0", "c7"]})
    told = replay(POOL, Rule(confidence=0.95, votes_max=6), gold=gold).set_index("task")
    assert told.loc[["0", "1"], "label"].tolist() == ["c0", "c7"]
    assert told.loc[["0", "1"], "confidence"].tolist() == [1.0, 1.0]
    assert told.loc[["0", "1"], "votes"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("task,worker\n1,a\n", [], "no column label"),
        ("", [], "the file is empty"),
        (ROWS, ["--method", "nope"], "unknown method 'nope'"),
        (ROWS, ["--budget", "0"], "at least one vote"),
        (ROWS, ["--confidence", "1.5"], "at most 1"),
        (ROWS, ["--confidence", "nan"], "above 0"),
        ("task,worker,label\n", ["--confidence", "1.5"], "at most 1"),
        (ROWS, ["--expected-accuracy", "0"], "above 0"),
        (ROWS, ["--votes-min", "3", "--votes-max", "2"], "votes_max (2) is below votes_min (3)"),
        (ROWS, ["--votes-min", "0"], "at least one vote"),
        (ROWS, ["--least-gain", "nan"], "the least gain"),
        (ROWS, ["--category-confidence", "x=2"], "the confidence wanted of x"),
        (ROWS, ["--category-confidence", "x=much"], "--category-confidence is ID=P"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(tmp_path, capsys, text, options, says):
    (tmp_path / "v.csv").write_text(text)
    assert main([str(tmp_path / "v.csv"), "-o", str(tmp_path / "r.csv"), *options]) == 2
    line = capsys.readouterr().err
    assert line.startswith("quality.replay: ")
    assert says in line
    assert line.count("\n") == 1
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("text", "tasks", "votes"),
    [
        ("task,worker,label\n", 0, 0),
        ("task,worker,label\n1,a,x\n", 1, 1),
        ("task,worker,label\n1,a,unsure\n1,b,__unsure__\n2,a,unsure\n", 2, 3),
        (ROWS, 2, 5),
    ],
)
def test_little_input_has_an_outcome(tmp_path, capsys, text, tasks, votes):
    (tmp_path / "v.csv").write_text(text)
    assert main([str(tmp_path / "v.csv"), "-o", str(tmp_path / "r.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["tasks"], told["votes"]) == (tasks, votes)
    assert 0 <= told["stated_error"] <= 1
    assert len(pd.read_csv(tmp_path / "r.csv")) == tasks


def test_rows_that_say_nothing_are_counted_not_silently_dropped(tmp_path, capsys):
    (tmp_path / "v.csv").write_text(ROWS + "3,,x\n,a,x\n1,a,y\n")
    assert main([str(tmp_path / "v.csv"), "-o", str(tmp_path / "r.csv")]) == 0
    assert "left out 2 rows without a task, worker or label and 1 further" in capsys.readouterr().err


def test_the_benchmark_beside_fixed_majority():
    spam = with_spam(POOL, "uniform", np.random.default_rng(0))
    workers = (spam["label"] != POOL["label"]).groupby(POOL["worker"]).mean()
    assert 0.15 < (workers > 0.5).mean() < 0.25
    found = curve(POOL, TRUTH)
    assert found["majority of 2"][0] == 2
    assert found["0.998"][0] < 21
    assert found["0.998"][1] <= found["majority of 2"][1]
    assert set(table([found, found]).columns) == {"votes", "error %", "+-", "stated %"}
    assert "excess" in str(excess([found], 7, 20.0))
    assert excess([found], 30, 20.0) is None
