"""What every method promises about votes, labels and gold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.aggregation import METHODS, BadVotes, aggregate
from quality.aggregation.posterior import vote_posterior, with_evidence
from quality.aggregation.votes import clean_votes

MODELS = ("one_coin", "dawid_skene", "glad", "mace", "auto")


def table(*rows: str) -> pd.DataFrame:
    return pd.DataFrame([row.split() for row in rows], columns=["task", "worker", "label"], dtype=object)


def crowd(seed: int, tasks: int = 120, workers: int = 12, each: int = 4, labels: int = 4) -> tuple:
    """Votes of workers whose skill runs from 0.45 to 0.95, and the truth by task."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, tasks)
    skill = np.linspace(0.45, 0.95, workers)
    task = np.repeat(np.arange(tasks), each)
    worker = np.concatenate([rng.permutation(workers)[:each] for _ in range(tasks)])
    wrong = (truth[task] + rng.integers(1, labels, len(task))) % labels
    label = np.where(rng.random(len(task)) < skill[worker], truth[task], wrong)
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label}).astype(str).astype(object)
    return frame, pd.Series(truth.astype(str), index=np.arange(tasks).astype(str))


votes_tables = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 4), st.sampled_from(["a", "b", "c", "__none__", "__unsure__"])
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: pd.DataFrame(rows, columns=["task", "worker", "label"]).astype(str).astype(object))


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(frame=votes_tables, data=st.data())
def test_order_of_rows_changes_nothing(method, frame, data):
    frame = frame.drop_duplicates(["task", "worker"])
    order = data.draw(st.permutations(range(len(frame))))
    one, other = aggregate(frame, method), aggregate(frame.iloc[list(order)], method)
    pd.testing.assert_frame_equal(one.consensus, other.consensus)
    pd.testing.assert_frame_equal(one.posteriors, other.posteriors)
    pd.testing.assert_frame_equal(one.workers, other.workers)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [1, 2])
def test_new_names_for_labels_change_nothing_but_ties(method, seed):
    frame, _ = crowd(seed)
    renamed = {"0": "x", "1": "k", "2": "m", "3": "b"}
    one = aggregate(frame, method).consensus
    other = aggregate(frame.assign(label=frame["label"].map(renamed)), method).consensus
    assert (one["tie"] == other["tie"]).all()
    clear = ~one["tie"]
    assert (one.loc[clear, "label"].map(renamed) == other.loc[clear, "label"]).all()
    np.testing.assert_allclose(one["confidence"], other["confidence"], atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(frame=votes_tables, data=st.data())
def test_posteriors_sum_to_one_and_gold_is_never_contradicted(method, frame, data):
    known = data.draw(st.lists(st.sampled_from(sorted(set(frame["task"]))), unique=True, max_size=4))
    gold = pd.DataFrame(
        {"task": known, "label": [data.draw(st.sampled_from(["a", "b", "new"])) for _ in known]}
    )
    result = aggregate(frame, method, gold=gold)
    consensus = result.consensus.set_index("task")
    assert list(consensus.index) == sorted(set(frame["task"]))
    assert (consensus.loc[gold["task"], "label"].to_numpy() == gold["label"].to_numpy()).all()
    assert (consensus.loc[gold["task"], "confidence"] == 1.0).all()
    if len(result.posteriors):
        units = (result.posteriors["probability"] * 1e6).round().astype(int)
        assert (units > 0).all()
        assert (units.groupby(result.posteriors["task"]).sum() == 1_000_000).all()
    summary = result.summary
    assert summary["votes_read"] == summary["votes_used"] + sum(summary["dropped"].values())
    assert consensus["votes"].sum() == summary["votes_used"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_most_of_the_truth(method):
    frame, truth = crowd(3, tasks=400)
    consensus = aggregate(frame, method).consensus.set_index("task")
    assert (consensus["label"] == truth.reindex(consensus.index)).mean() > 0.85


@pytest.mark.parametrize("method", MODELS)
def test_models_beat_majority_where_workers_differ_much(method):
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    good = rng.random((300, 5)) < np.array([0.97, 0.95, 0.34, 0.34, 0.34])
    votes = np.where(good, truth[:, None], rng.integers(0, 3, (300, 5)))
    frame = pd.DataFrame({"task": np.repeat(np.arange(300), 5), "worker": np.tile(np.arange(5), 300)})
    frame["label"] = votes.ravel()

    def right(name: str) -> float:
        consensus = aggregate(frame, name).consensus
        return float((consensus["label"].astype(int) == truth[consensus["task"].astype(int)]).mean())

    assert right(method) > right("majority") + 0.05


def test_majority_by_hand():
    frame = table("1 a cat", "1 b cat", "1 c dog", "2 a dog", "2 b cat", "3 a __none__", "3 b unsure")
    consensus = aggregate(frame, "majority").consensus
    assert consensus["label"].tolist() == ["cat", "cat", "__none__"]
    assert consensus["confidence"].tolist() == [0.666667, 0.5, 1.0]
    assert consensus["votes"].tolist() == [3, 2, 2]
    assert consensus["tie"].tolist() == [False, True, False]
    assert set(consensus["method"]) == {"majority"}


def test_wawa_by_hand():
    # Majorities: 1 a, 2 a, 3 a or b (half each). Agreement: x 2.5/3, y 2/2, z 0.5/3.
    frame = table("1 x a", "1 y a", "1 z b", "2 x a", "2 y a", "2 z b", "3 x a", "3 z b")
    consensus = aggregate(frame, "wawa").consensus
    assert consensus["label"].tolist() == ["a", "a", "a"]
    x, y, z = 2.5 / 3, 1.0, 0.5 / 3
    assert consensus["confidence"][0] == pytest.approx((x + y) / (x + y + z), abs=1e-6)
    assert consensus["confidence"][2] == pytest.approx(x / (x + z), abs=1e-6)


def test_dawid_skene_undoes_a_worker_who_swaps_two_labels():
    rng = np.random.default_rng(8)
    truth = rng.choice(["p", "q", "r"], 200)
    swap = {"p": "q", "q": "p", "r": "r"}
    rows = [(t, w, label) for t, label in enumerate(truth) for w in ("u", "v", "w")]
    rows += [(t, "swaps", swap[label]) for t, label in enumerate(truth)]
    rows += [(200, "swaps", "p"), (201, "u", "p")]
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    consensus = aggregate(frame, "dawid_skene").consensus.set_index("task")
    assert consensus.loc["200", "label"] == "q"
    assert consensus.loc["201", "label"] == "p"


def test_few_votes_a_worker_and_many_labels_stay_sane():
    frame, truth = crowd(9, tasks=600, workers=900, each=3, labels=80)
    for method in ("auto", "dawid_skene", "one_coin"):
        consensus = aggregate(frame, method).consensus.set_index("task")
        best = aggregate(frame, "majority").consensus.set_index("task")
        right = (consensus["label"] == truth.reindex(consensus.index)).mean()
        assert right >= (best["label"] == truth.reindex(best.index)).mean() - 0.02


@pytest.mark.parametrize("method", ["auto", "dawid_skene", "one_coin", "mace"])
def test_more_agreeing_votes_are_more_sure(method):
    frame, _ = crowd(4)
    extra = [("new", str(w), "2") for w in range(12)]
    seen = []
    for n in (1, 2, 3, 5, 8):
        more = pd.DataFrame(extra[-n:], columns=frame.columns)
        consensus = aggregate(pd.concat([frame, more]), method).consensus.set_index("task")
        assert consensus.loc["new", "label"] == "2"
        seen.append(consensus.loc["new", "confidence"])
    assert seen == sorted(seen)
    assert seen[0] < 0.98


def test_shared_mistakes_lower_confidence_when_gold_shows_them():
    frame, truth = crowd(6, tasks=500, labels=3)
    fooled = {str(t): str((int(truth[str(t)]) + 1) % 3) for t in range(0, 500, 6)}
    label = [fooled.get(t, own) for t, own in zip(frame["task"], frame["label"], strict=True)]
    frame = frame.assign(label=label)
    gold = truth.iloc[:200].rename_axis("task").rename("label").reset_index()
    scored = truth.index[200:]
    told = aggregate(frame, "dawid_skene", gold=gold).consensus.set_index("task").loc[scored]
    untold = aggregate(frame, "dawid_skene").consensus.set_index("task").loc[scored]
    assert told["confidence"].mean() < untold["confidence"].mean() - 0.02


def test_last_vote_counts_and_everything_left_out_is_counted():
    frame = pd.DataFrame(
        [("1", "a", "x"), ("1", "a", "y"), (None, "a", "x"), ("2", "", "x"), ("3", "b", float("nan"))],
        columns=["task", "worker", "label"],
    )
    result = aggregate(frame, "majority")
    assert result.consensus[["task", "label", "votes"]].to_numpy().tolist() == [["1", "y", 1]]
    assert result.summary["dropped"] == {
        "missing_task": 1,
        "missing_worker": 1,
        "missing_label": 1,
        "repeated": 1,
    }
    assert (result.summary["votes_read"], result.summary["votes_used"]) == (5, 1)


@pytest.mark.parametrize("method", METHODS)
def test_poor_tables_have_a_documented_outcome(method):
    empty = aggregate(pd.DataFrame(columns=["task", "worker", "label"]), method)
    assert len(empty.consensus) == len(empty.workers) == len(empty.posteriors) == 0
    assert empty.summary["warnings"]
    silent = aggregate(table("1 a __unsure__", "1 b unsure"), method).consensus
    assert silent[["label", "confidence", "votes"]].to_numpy().tolist() == [["", 0.0, 2]]
    single = aggregate(table("1 a yes", "2 a yes", "3 b unsure"), method)
    assert single.consensus["label"].tolist() == ["yes", "yes", "yes"]
    assert any("only one label" in warning for warning in single.summary["warnings"])
    numbers = aggregate(pd.DataFrame({"item": [1, 1], "worker": [7.0, 10**15], "label": [3, 3]}), method)
    assert numbers.workers["worker"].tolist() == ["1000000000000000", "7"]


def test_labels_nobody_chose_still_count():
    frame = table("1 a yes", "2 a yes", "2 b yes")
    sure = aggregate(frame, "one_coin", labels=["yes", "no"]).consensus
    assert sure["confidence"].between(0.5, 0.999).all()
    assert sure["confidence"][1] > sure["confidence"][0]


def test_unusable_arguments_are_refused():
    with pytest.raises(BadVotes, match="no column worker"):
        aggregate(pd.DataFrame({"task": ["1"], "label": ["a"]}))
    with pytest.raises(BadVotes, match="unknown method 'best'"):
        aggregate(table("1 a x"), "best")
    with pytest.raises(BadVotes, match="gold: no column label"):
        aggregate(table("1 a x"), gold=pd.DataFrame({"task": ["1"]}))


def test_gold_that_cannot_be_used_is_told():
    gold = table("9 - a", "1 - a", "1 - b", "1 - __unsure__").drop(columns="worker")
    result = aggregate(table("1 a x", "1 b x"), gold=gold)
    assert result.consensus["label"].tolist() == ["b"]
    assert len(result.summary["warnings"]) >= 3


def test_workers_frame_shows_skill_and_gold():
    frame, truth = crowd(7, tasks=300)
    gold = truth.iloc[:60].rename_axis("task").rename("label").reset_index()
    workers = aggregate(frame, "dawid_skene", gold=gold).workers.set_index("worker")
    assert workers["votes"].sum() == len(frame)
    assert workers["gold_votes"].sum() == frame["task"].isin(gold["task"]).sum()
    assert ((workers["lo"] < workers["skill"]) & (workers["skill"] < workers["hi"])).all()
    assert workers.loc["11", "skill"] > workers.loc["0", "skill"] + 0.2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 8.0)), min_size=1, max_size=8),
    st.floats(0.0, 8.0),
    st.floats(0.0, 1.0),
)
def test_at_fixed_skills_one_more_agreeing_vote_never_lowers_confidence(given_votes, extra, alike):
    def confidence(votes: list[tuple[str, float]], label: str | None) -> tuple[str, float]:
        rows = [("t", f"w{i}", name) for i, (name, _) in enumerate(votes)]
        clean = clean_votes(pd.DataFrame(rows, columns=["task", "worker", "label"]), labels=["a", "b", "c"])
        weight = np.array([size for _, size in votes])
        posterior = with_evidence(clean, vote_posterior(clean, weight, np.full(3, 1 / 3)), weight)
        tempered = replace(posterior, unit=1.0).tempered(alike)
        best = str(clean.labels[posterior.best()[0][0]])
        where = np.array([list(clean.labels).index(label or best)])
        return best, float(tempered.of_labels(np.array([0]), where)[0])

    best, before = confidence(given_votes, None)
    _, after = confidence([*given_votes, (best, extra)], best)
    assert after >= before - 1e-9


def fooled(seed: int, tasks: int = 400, workers: int = 40, each: int = 8) -> tuple[pd.DataFrame, pd.Series]:
    """A crowd of which seven in ten take most tasks of class 1 for class 0; the others see them right."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(tasks) < 0.4).astype(int)
    hard = (truth == 1) & (rng.random(tasks) < 0.6)
    sees = np.arange(workers) < 0.3 * workers
    task = np.repeat(np.arange(tasks), each)
    worker = np.concatenate([rng.permutation(workers)[:each] for _ in range(tasks)])
    yes = np.where(hard[task], np.where(sees[worker], 0.9, 0.15), np.where(truth[task] == 1, 0.8, 0.1))
    label = (rng.random(len(task)) < yes).astype(int)
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label}).astype(str).astype(object)
    return frame, pd.Series(truth.astype(str), index=np.arange(tasks).astype(str))


def share_right(result, truth: pd.Series) -> float:
    return float((result.consensus.set_index("task")["label"].reindex(truth.index) == truth).mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twenty_gold_tasks_turn_a_crowd_that_shares_a_mistake(seed):
    frame, truth = fooled(seed)
    known = truth.sample(20, random_state=seed)
    gold = pd.DataFrame({"task": known.index, "label": known.to_numpy()})
    rest = truth.drop(known.index)
    told = aggregate(frame, gold=gold)
    assert share_right(told, rest) > share_right(aggregate(frame), rest) + 0.03
    assert told.fit.notes["weights"]["gold_seeded"] > 0.3


def test_the_model_that_foresees_the_other_votes_gets_the_weight():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 300)
    task = np.repeat(np.arange(300), 8)
    worker = np.concatenate([rng.permutation(12)[:8] for _ in range(300)])
    # Each worker swaps two classes of their own with chance 0.8: only confusion tables can know that.
    first = worker % 3
    swapped = np.where(
        truth[task] == first, (first + 1) % 3, np.where(truth[task] == (first + 1) % 3, first, truth[task])
    )
    label = np.where(rng.random(len(task)) < 0.45, swapped, truth[task])
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label}).astype(str).astype(object)
    result = aggregate(frame)
    weights = result.fit.notes["weights"]
    assert max(weights, key=weights.get) == "dawid_skene"
    assert share_right(result, pd.Series(truth.astype(str), index=np.arange(300).astype(str))) > 0.9


def test_the_interval_of_accuracy_covers_it_and_gold_narrows_it():
    inside, widths = 0, []
    for seed in range(12):
        frame, truth = crowd(seed, tasks=200)
        known = truth.sample(60, random_state=seed)
        rest = truth.drop(known.index)
        told = aggregate(frame, gold=pd.DataFrame({"task": known.index, "label": known.to_numpy()}))
        blind = aggregate(frame).summary["label_accuracy"]
        found = told.summary["label_accuracy"]
        inside += found["lo"] <= share_right(told, rest) <= found["hi"]
        widths.append((blind["hi"] - blind["lo"], found["hi"] - found["lo"]))
        assert found["gold"] == 60
        assert found["basis"] == "votes and gold"
    assert inside >= 11
    assert all(with_gold < without for without, with_gold in widths)
