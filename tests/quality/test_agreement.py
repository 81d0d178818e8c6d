"""Agreement against published examples, and intervals against simulated crowds."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.agreement import alpha, ballots, cohen_kappa, fleiss_kappa, kappa, observed, wilson
from quality.confusion import confusions, per_category, split_tasks

# Fleiss (1971), table 1: 30 patients, six psychiatrists each, five diagnoses.
DIAGNOSES = """00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"""
# The worked example of Wikipedia's article on Fleiss' kappa: ten subjects, fourteen raters, kappa 0.210.
SUBJECTS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def votes_of(table):
    """A table of counts (task x label) as votes."""
    rows = []
    for task, counts in enumerate(table):
        labels = [label for label, n in zip("abcdefgh", counts, strict=False) for _ in range(n)]
        rows += [(task, worker, label) for worker, label in enumerate(labels)]
    return pd.DataFrame(rows, columns=["task", "worker", "label"])


def test_fleiss_own_example():
    told = ballots(votes_of([[int(n) for n in row] for row in DIAGNOSES.split()]))
    assert kappa(told).value == pytest.approx(0.430, abs=5e-4)
    assert per_category(told)["kappa"].tolist() == pytest.approx(
        [0.245, 0.245, 0.520, 0.471, 0.566], abs=6e-4
    )


def test_wikipedias_example():
    assert fleiss_kappa(votes_of(SUBJECTS)) == pytest.approx(0.210, abs=5e-4)


def test_cohens_kappa_by_hand():
    # 50 proposals, two readers: 20 both yes, 15 both no, 5 and 10 apart: kappa 0.40.
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    found = cohen_kappa(np.array(first), np.array(second))
    assert found.value == pytest.approx(0.4)
    assert found.lo < 0.4 < found.hi
    assert math.isnan(cohen_kappa(np.array([]), np.array([])).value)
    assert math.isnan(cohen_kappa(np.array(["a"] * 3), np.array(["a"] * 3)).value)


def simulated(tasks, rng):
    """Three labels, two to five votes a task, three tenths of the tasks hard."""
    truth, hard, n = rng.integers(0, 3, tasks), rng.random(tasks) < 0.3, rng.integers(2, 6, tasks)
    task = np.repeat(np.arange(tasks), n)
    right = rng.random(len(task)) < np.where(hard, 0.5, 0.95)[task]
    label = np.where(right, truth[task], rng.integers(0, 3, len(task))).astype(str)
    return pd.DataFrame({"task": task, "worker": np.arange(len(task)), "label": label})


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(5)
    whole = ballots(simulated(40_000, rng))
    truth = [f(whole).value for f in (alpha, kappa, observed)]
    apiece = per_category(whole)
    held = np.zeros(5)
    for _ in range(100):
        told = ballots(simulated(60, rng))
        found = [f(told) for f in (alpha, kappa, observed)]
        held[:3] += [e.lo <= t <= e.hi for e, t in zip(found, truth, strict=True)]
        rows = per_category(told)
        held[3] += ((rows["lo"] <= apiece["agreement"]) & (apiece["agreement"] <= rows["hi"])).mean()
        held[4] += ((rows["kappa_lo"] <= apiece["kappa"]) & (apiece["kappa"] <= rows["kappa_hi"])).mean()
    assert (held >= 88).all()


def test_no_disagreement_is_not_certainty():
    few = alpha(ballots(votes_of([[2, 0], [0, 2], [2, 0], [0, 2]])))
    many = alpha(ballots(votes_of([[2, 0], [0, 2]] * 200)))
    assert (few.value, few.hi, many.value) == (1.0, 1.0, 1.0)
    assert few.lo < 0.5 < 0.95 < many.lo < 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=12))
def test_figures_are_in_range_and_renaming_changes_nothing(table):
    votes = votes_of(table)
    renamed = votes.assign(label=votes["label"].map({"a": "z", "b": "m", "c": "a"})).iloc[::-1]
    for figure in (alpha, kappa, observed):
        one, other = figure(ballots(votes)), figure(ballots(renamed))
        assert one.n == other.n
        if math.isnan(one.value):
            assert math.isnan(other.value)
            continue
        assert one == pytest.approx(other)
        assert -1 <= one.lo <= one.value + 1e-9
        assert one.value <= one.hi + 1e-9 <= 1 + 2e-9


def test_who_is_taken_for_whom():
    told = ballots(votes_of([[2, 2, 0], [3, 1, 0], [4, 0, 0], [0, 3, 1], [0, 0, 4]]))
    rows = confusions(told)
    assert rows[["first", "second", "tasks"]].values.tolist() == [["a", "b", 2], ["b", "c", 1]]
    assert rows["share"].sum() == pytest.approx(1)
    # Of the fifteen votes for a or b, seven thirds met the other one, twice over.
    assert rows["rate"][0] == pytest.approx(2 * (4 / 3 + 1) / 15)
    assert split_tasks(told, "a", "b") == ["0", "1"]
    assert split_tasks(told, "b", "a", most=1) == ["0"]
    assert confusions(ballots(votes_of([[2, 0], [0, 2]]))).empty
    assert confusions(ballots(votes_of([]))).empty
    assert per_category(ballots(votes_of([[1, 0]]))).empty


def test_wilson_takes_effective_numbers():
    assert wilson(0.3, 0) == (0, 1)
    lo, hi = wilson(0.9, 50.5)
    assert lo < 0.9 < hi
    assert wilson(1.0, 10)[1] == 1
