"""The closing table's figures, on cases that can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from demo.plan import Plan, Served
from demo.summary import arms_table, bootstrap, copies_found, counted_votes, label_accuracy


def test_bootstrap_holds_the_mean_and_narrows_with_more_images():
    few, many = bootstrap(np.array([1.0, 0.0] * 20)), bootstrap(np.array([1.0, 0.0] * 500))
    assert few.value == many.value == 0.5
    assert few.lo < many.lo < 0.5 < many.hi < few.hi
    # the normal interval of 1,000 fair coins is +- 0.031
    assert many.hi - many.lo == pytest.approx(0.062, abs=0.012)
    assert bootstrap(np.ones(9)).lo == 1.0
    assert bootstrap(np.array([])).n == 0


def plan_of(*served: Served) -> Plan:
    return Plan(1, {f"/{number}": s for number, s in enumerate(served)}, {})


def test_copies_are_found_only_in_their_originals_group():
    plan = plan_of(
        Served("a", "original", "A"),
        Served("b", "original", "B"),
        Served("a", "resized", "A1"),
        Served("b", "resized", "B1"),
        Served("b", "cropped", "B2"),
        Served("b", "watermarked", "B3"),
    )
    rows, wrong = copies_found(plan, {"A": "A", "A1": "A", "B": "B", "B1": "B1", "B3": "A"})
    found = {row.kind: (row.planted, row.crawled, row.found) for row in rows}
    assert found["resized"] == (2, 2, 1)
    assert found["cropped"] == (1, 0, 0)
    assert found["watermarked"] == (1, 1, 0)
    assert wrong == 1


def test_two_photos_in_one_group_are_a_wrong_merge_and_copies_are_not():
    plan = plan_of(Served("a", "original", "A"), Served("b", "original", "B"), Served("c", "original", "C"))
    assert copies_found(plan, {"A": "A", "B": "A", "C": "A"})[1] == 2
    assert copies_found(plan, {"A": "A", "B": "B", "C": "C"})[1] == 0


def votes_frame(rows):
    return pd.DataFrame(rows, columns=["image", "worker", "label", "gold", "status"])


def test_voided_votes_do_not_count_and_gold_stands_apart():
    frame = votes_frame(
        [
            ("A", "w1", "x", "False", "counted"),
            ("A", "w2", "y", "False", "late"),
            ("G", "w1", "x", "True", "counted"),
        ]
    )
    votes, gold = counted_votes(frame)
    assert votes.values.tolist() == [["A", "w1", "x"]]
    assert gold.values.tolist() == [["G", "w1", "x"]]


def test_one_vote_is_the_expectation_and_majority_what_most_say():
    rows = [("A", f"w{i}", "x", "False", "counted") for i in range(3)]
    rows += [("B", "w0", "x", "False", "counted"), ("B", "w1", "y", "False", "counted")]
    rows += [("B", "w2", "y", "False", "counted"), ("C", "w0", "x", "False", "counted")]
    votes, gold = counted_votes(votes_frame(rows))
    shares = label_accuracy(votes, gold, {"A": "x", "B": "y"}, ("majority",))
    assert shares["one vote"].value == pytest.approx((1 + 2 / 3) / 2)
    assert shares["majority"].value == 1.0
    assert shares["majority"].n == 2


def test_a_run_s_arms_become_rows():
    metrics = {
        "test_images": 600,
        "arms": {"majority": {"label_error": 0.1, "top1": {"value": 0.7, "lo": 0.6, "hi": 0.8}}},
    }
    [(arm, error, share)] = arms_table(metrics)
    assert (arm, error, share.value, share.n) == ("majority", 0.1, 0.7, 600)
