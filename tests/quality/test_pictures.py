"""Pictures as voters: a good classifier helps, a useless one changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import quality_pictures
from quality.aggregation import BadVotes, aggregate

LABELS = np.array(["ant", "bee", "cow", "dog"])


def crowd(
    seed: int, tasks: int = 300, votes: int = 3, right: float = 0.65
) -> tuple[pd.DataFrame, np.ndarray]:
    """Votes of 20 workers, and the true labels' codes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(LABELS), tasks)
    skill = np.clip(rng.normal(right, 0.1, 20), 0.3, 0.95)
    rows = []
    for task in range(tasks):
        for worker in rng.choice(20, votes, replace=False):
            fine = rng.random() < skill[worker]
            label = truth[task] if fine else rng.integers(0, len(LABELS))
            rows.append((f"t{task:04}", f"w{worker:02}", LABELS[label]))
    return pd.DataFrame(rows, columns=["task", "worker", "label"]), truth


def classifier(truth: np.ndarray, right: float, seed: int, sure: float = 0.8) -> pd.DataFrame:
    """Probabilities whose likeliest label is the true one with chance `right`."""
    rng = np.random.default_rng(seed)
    top = np.where(rng.random(len(truth)) < right, truth, rng.integers(0, len(LABELS), len(truth)))
    table = np.full((len(truth), len(LABELS)), (1 - sure) / (len(LABELS) - 1))
    table[np.arange(len(truth)), top] = sure
    task, label = np.nonzero(table)
    names = [f"t{number:04}" for number in task]
    return pd.DataFrame({"task": names, "label": LABELS[label], "probability": table[task, label]})


def right_share(consensus: pd.DataFrame, truth: np.ndarray) -> float:
    return float((consensus["label"].to_numpy() == LABELS[truth]).mean())


def test_a_good_classifier_mends_what_votes_alone_get_wrong():
    votes, truth = crowd(1)
    plain = aggregate(votes)
    seen = aggregate(votes, pictures=classifier(truth, 0.85, 2))
    assert right_share(seen.consensus, truth) > right_share(plain.consensus, truth) + 0.05
    assert set(seen.consensus["method"]) == {"auto+pictures"}
    assert seen.summary["method"] == "auto+pictures"
    assert seen.summary["pictures"]["weight"] > 0.3
    assert seen.summary["pictures"]["judged"] == 300


@pytest.mark.parametrize("method", ["majority", "wawa", "one_coin", "dawid_skene"])
def test_every_method_can_be_joined_by_pictures(method):
    votes, truth = crowd(3)
    plain = aggregate(votes, method)
    seen = aggregate(votes, method, pictures=classifier(truth, 0.9, 4))
    assert right_share(seen.consensus, truth) > right_share(plain.consensus, truth)
    assert seen.summary["method"] == f"{method}+pictures"
    assert seen.posteriors.groupby("task")["probability"].sum().round(6).eq(1).all()


@given(st.integers(0, 1000), st.sampled_from(["auto", "majority", "dawid_skene"]))
@settings(max_examples=8, deadline=None)
def test_uniform_probabilities_change_nothing(seed, method):
    votes, truth = crowd(seed, tasks=60)
    uniform = classifier(truth, 1.0, seed, sure=0.25)
    plain, seen = aggregate(votes, method), aggregate(votes, method, pictures=uniform)
    pd.testing.assert_frame_equal(plain.consensus, seen.consensus)
    pd.testing.assert_frame_equal(plain.posteriors, seen.posteriors)
    assert seen.summary["pictures"]["weight"] == 0
    assert any("no weight" in line for line in seen.summary["warnings"])


@given(st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_random_probabilities_harm_no_label(seed):
    votes, truth = crowd(seed, tasks=150)
    noise = classifier(truth, 0.0, seed + 1, sure=0.9)
    plain, seen = aggregate(votes), aggregate(votes, pictures=noise)
    changed = (plain.consensus["label"] != seen.consensus["label"]).mean()
    assert changed <= 0.02
    assert seen.summary["pictures"]["weight"] <= 0.3


def test_the_order_of_rows_and_the_names_of_labels_change_nothing():
    votes, truth = crowd(5, tasks=120)
    table = classifier(truth, 0.8, 6)
    plain = aggregate(votes, pictures=table).consensus
    mixed = aggregate(
        votes.sample(frac=1, random_state=1), pictures=table.sample(frac=1, random_state=2)
    ).consensus
    assert (plain["label"] == mixed["label"]).all()
    assert np.allclose(plain["confidence"], mixed["confidence"], atol=1e-6)
    names = dict(zip(LABELS, ["w", "x", "y", "z"], strict=True))
    renamed = aggregate(votes.replace({"label": names}), pictures=table.replace({"label": names})).consensus
    assert (plain["label"].map(names) == renamed["label"]).all()


def test_gold_is_never_contradicted():
    votes, truth = crowd(7, tasks=120)
    gold = pd.DataFrame({"task": [f"t{n:04}" for n in range(20)], "label": LABELS[(truth[:20] + 1) % 4]})
    seen = aggregate(votes, gold=gold, pictures=classifier(truth, 0.9, 8)).consensus.set_index("task")
    assert (seen.loc[gold["task"], "label"].to_numpy() == gold["label"].to_numpy()).all()
    assert (seen.loc[gold["task"], "confidence"] == 1).all()


def test_what_does_not_fit_is_left_aside_and_told():
    votes, truth = crowd(9, tasks=100)
    table = classifier(truth, 0.9, 10)
    table = table[table["task"] != "t0005"]
    odd = pd.DataFrame(
        [("nobody", "ant", 0.5), ("t0001", "zebra", 0.5), ("t0002", "ant", 0.1)],
        columns=["task", "label", "probability"],
    )
    seen = aggregate(votes, pictures=pd.concat([table, odd], ignore_index=True))
    told = seen.summary["pictures"]
    assert (told["judged"], told["not_judged"], told["no_votes"]) == (99, 1, 1)
    assert (told["unknown_labels"], told["repeated"]) == (1, 1)
    assert sum("pictures" in line or "probabilities" in line for line in seen.summary["warnings"]) == 4


def test_a_label_missing_from_a_tasks_rows_has_probability_nought():
    votes, truth = crowd(11, tasks=100)
    table = classifier(truth, 0.9, 12, sure=1.0)
    assert len(table) == 100
    assert right_share(aggregate(votes, pictures=table).consensus, truth) > 0.85


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "much"])
def test_a_number_that_is_no_probability_is_refused(value):
    votes, _ = crowd(13, tasks=20)
    table = pd.DataFrame({"task": ["t0001"], "label": ["ant"], "probability": [value]})
    with pytest.raises(BadVotes, match="no probability"):
        aggregate(votes, pictures=table)
    with pytest.raises(BadVotes, match="no column probability"):
        aggregate(votes, pictures=table[["task", "label"]])


def test_one_label_or_no_vote_leaves_nothing_to_weigh():
    one = pd.DataFrame([("a", "w", "x"), ("b", "w", "x")], columns=["task", "worker", "label"])
    table = pd.DataFrame({"task": ["a"], "label": ["x"], "probability": [1.0]})
    assert aggregate(one, pictures=table).summary["pictures"]["weight"] == 0
    assert aggregate(one.iloc[:0], pictures=table).summary["tasks"] == 0


def test_the_benchmark_runs_in_its_short_form(capsys):
    assert quality_pictures.main(["--quick"]) == 0
    told = capsys.readouterr().out
    assert "auto+pictures" in told
    assert "queue, ours" in told
