"""Votes of unusual size and form: each has a documented outcome, and none takes long."""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks import quality_speed, quality_speed_side
from quality.aggregation import BadVotes, aggregate, dawid_skene_sparse
from quality.aggregation.votes import clean_votes

MODELS = ("auto", "majority", "zbs", "one_coin", "dawid_skene", "glad", "mace")


def crowd(seed: int = 1, tasks: int = 120, workers: int = 9, labels: int = 5, each: int = 3) -> tuple:
    """Whole numbers: `task,worker,label`, and the truth by task."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, tasks)
    task = np.repeat(np.arange(tasks), each)
    worker = np.concatenate([rng.permutation(workers)[:each] for _ in range(tasks)])
    label = np.where(rng.random(len(task)) < 0.75, truth[task], rng.integers(0, labels, len(task)))
    return pd.DataFrame({"task": task, "worker": worker, "label": label}), truth


def share_right(frame: pd.DataFrame, truth: np.ndarray, method: str) -> float:
    consensus = aggregate(frame, method).consensus
    return float((consensus["label"].astype(int) == truth[consensus["task"].astype(int)]).mean())


@pytest.mark.parametrize("method", MODELS)
def test_a_worker_with_most_of_the_votes(method):
    rng = np.random.default_rng(2)
    n = 20_000 if method == "auto" else 100_000
    truth = rng.integers(0, 5, n)
    task = np.r_[np.arange(n), np.repeat(rng.permutation(n)[: n // 20], 2)]
    worker = np.r_[np.zeros(n, int), 1 + np.arange(n // 20 * 2) % 200]
    label = np.where(rng.random(len(task)) < 0.8, truth[task], rng.integers(0, 5, len(task)))
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label})
    assert share_right(frame, truth, method) > 0.8


@pytest.mark.parametrize("method", MODELS)
@pytest.mark.parametrize("labels", [5, 500])
def test_a_task_with_a_hundred_thousand_votes(method, labels):
    rng = np.random.default_rng(3)
    n = 20_000 if (method, labels) == ("auto", 5) else 100_000
    truth = rng.integers(0, labels, 301)
    task = np.r_[np.zeros(n, int), np.repeat(np.arange(1, 301), 5)]
    worker = np.r_[np.arange(n), rng.permutation(1500)]
    label = np.where(rng.random(len(task)) < 0.8, truth[task], rng.integers(0, labels, len(task)))
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label})
    if labels > 32 and method == "dawid_skene":
        with pytest.raises(BadVotes, match="use one_coin"):
            aggregate(frame, method)
        return
    result = aggregate(frame, method)
    assert result.consensus["label"][0] == str(truth[0])
    assert result.consensus["confidence"].between(0, 1).all()
    assert share_right(frame, truth, method) > 0.9


def test_the_default_asks_the_one_coin_model_where_tables_would_be_too_large(monkeypatch):
    frame, truth = crowd(labels=40)
    assert aggregate(frame).summary["method"] == "auto"
    monkeypatch.setattr(dawid_skene_sparse, "MOST_MEETINGS", 100)
    result = aggregate(frame)
    assert result.summary["method"] == "one_coin"
    assert len(result.consensus) == len(truth)


def test_ids_of_ten_thousand_characters():
    frame, _ = crowd()
    long = frame.astype(str).map(lambda text: "x" * 10_000 + text)
    short = aggregate(frame.astype(str).map(lambda text: "x" + text), "dawid_skene").consensus
    found = aggregate(long, "dawid_skene").consensus
    assert found["task"].str[9_999:].tolist() == short["task"].tolist()
    assert found["label"].str[9_999:].tolist() == short["label"].tolist()
    assert found["confidence"].tolist() == short["confidence"].tolist()


def as_categories(column: pd.Series) -> pd.Series:
    return column.astype(str).astype("category")


FORMS = {
    "text": lambda column: column.astype(str),
    "objects": lambda column: column.astype(str).astype(object),
    "python text": lambda column: column.astype(str).astype("string[python]"),
    "arrow text": lambda column: column.astype(str).astype(pd.ArrowDtype(pa.string())),
    "large arrow text": lambda column: column.astype(str).astype(pd.ArrowDtype(pa.large_string())),
    "arrow dictionary": lambda column: as_categories(column).astype(
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
    "arrow numbers": lambda column: column.astype(pd.ArrowDtype(pa.int64())),
    "categories": as_categories,
    "categories nobody chose": lambda column: as_categories(column).cat.add_categories(["zzz"]),
    "categories of numbers": lambda column: column.astype("category"),
    "numbers with gaps": lambda column: column.astype("Int64"),
    "small numbers": lambda column: column.astype(np.uint8),
    "floats": lambda column: column.astype(float),
    "mixed": lambda column: pd.Series(
        [str(x) if i % 2 else x for i, x in enumerate(column.tolist())], dtype=object, index=column.index
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_every_form_are_the_same_votes(form):
    frame, _ = crowd()
    wanted = aggregate(frame, "dawid_skene")
    other = frame.apply(FORMS[form])
    found = aggregate(other, "dawid_skene")
    pd.testing.assert_frame_equal(found.consensus, wanted.consensus)
    pd.testing.assert_frame_equal(found.workers, wanted.workers)
    assert found.summary == wanted.summary
    with_gap = pd.concat([other, other.iloc[:2]]).reset_index(drop=True)
    if form != "small numbers":
        with_gap["label"] = with_gap["label"].where(with_gap.index < len(frame))
        result = aggregate(with_gap, "dawid_skene")
        assert result.summary["dropped"] == {"missing_label": 2}
        pd.testing.assert_frame_equal(result.consensus, wanted.consensus)


def test_index_and_other_columns_mean_nothing():
    frame, _ = crowd()
    wanted = aggregate(frame, "dawid_skene").consensus
    for index in (frame.index[::-1], np.zeros(len(frame), int), frame["task"].astype(str).to_numpy()):
        odd = frame.set_axis(pd.Index(index), axis=0)
        odd.insert(0, "note", [["not", "hashable"]] * len(odd))
        odd["when"] = pd.Timestamp("2026-01-01")
        pd.testing.assert_frame_equal(aggregate(odd, "dawid_skene").consensus, wanted)
    levels = frame.set_index(["task", "worker"], drop=False)
    pd.testing.assert_frame_equal(aggregate(levels, "dawid_skene").consensus, wanted)


def test_nothing_but_gaps():
    frame = pd.DataFrame({"task": [None, np.nan, "1"], "worker": ["a", "b", None], "label": [1, 2, 3]})
    result = aggregate(frame)
    assert len(result.consensus) == 0
    assert result.summary["dropped"] == {"missing_task": 2, "missing_worker": 1}


@pytest.mark.parametrize("order", ["by task", "by worker", "any"])
def test_rows_in_any_order_are_the_same_votes_and_the_last_of_a_worker_counts(order):
    frame, _ = crowd(tasks=300)
    again = frame.iloc[::7].assign(label=4)
    both = pd.concat([frame, again]).reset_index(drop=True)
    plain = frame.copy()
    plain.iloc[::7, 2] = 4
    if order == "by task":
        both = both.sort_values("task", kind="stable")
    if order == "by worker":
        both = both.sort_values("worker", kind="stable")
    if order == "any":
        turn = np.random.default_rng(0).permutation(len(frame))
        both = pd.concat([frame.iloc[turn], again])
    one, two = clean_votes(both), clean_votes(plain)
    assert one.dropped == {"repeated": len(again)}
    for name in ("task", "worker", "label", "given", "tasks", "workers", "labels"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist()


def test_the_benchmark_of_speed_has_all_its_rows(capsys, monkeypatch):
    """The first table is measured by a process, as all are; the others by this one."""
    process, first = quality_speed.side, quality_speed.QUICK[0].methods + quality_speed.QUICK[0].alone

    def side(python, name, file, limit, methods):
        if tuple(methods) == first:
            return process(python, name, file, limit, methods)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            quality_speed_side.main([str(file), name, str(limit), *methods])
        return {row.pop("method"): row for row in map(json.loads, said.getvalue().splitlines())}

    monkeypatch.setattr(quality_speed, "side", side)
    assert quality_speed.main(["--quick"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "votes", "method", "CPU", "s", "crowd-kit", "times", "MB", "crowd-kit", "accuracy", "crowd-kit"
    ]  # fmt: skip
    wanted = [method for scene in quality_speed.SCENES for method in (*scene.methods, *scene.alone)]
    assert [row.split()[-8] for row in rows] == wanted
    assert min(float(row.split()[-2]) for row in rows) > 0.75


def test_the_benchmark_of_speed_wants_a_peer_that_has_crowd_kit(capsys):
    assert quality_speed.main(["--quick", "--peer", "no-such-python"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
