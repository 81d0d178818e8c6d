"""Which round's word counts, where several asked about one picture."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.opinion import Finding, leading

OLD = Finding(1, "owl", 0.97)


def label(*rows: Finding) -> str | None:
    told = leading(rows)
    return told and told[0]


def test_the_newest_round_that_has_finished_wins():
    assert label(OLD, Finding(2, "finch", 0.6)) == "finch"


def test_a_round_that_is_still_asking_takes_nothing_from_one_that_has_settled():
    assert label(OLD, Finding(2, "finch", 0.3, finished=False)) == "owl"
    assert label(OLD, Finding(2, "no", 0.9, proposed="owl", finished=False)) == "owl"


def test_a_round_that_is_still_asking_speaks_where_no_other_does():
    assert label(Finding(1, "owl", 0.5, finished=False), Finding(2, "finch", 0.3, finished=False)) == "finch"


@pytest.mark.parametrize(("answer", "told"), [("yes", "finch"), ("no", "owl"), ("unsure", "owl")])
def test_a_verified_category_comes_before_older_rounds(answer: str, told: str):
    assert label(OLD, Finding(2, answer, 0.9, proposed="finch")) == told


def test_a_refuted_label_leaves_nothing():
    assert label(OLD, Finding(2, "no", 0.9, proposed="owl")) is None


rows = st.builds(
    Finding,
    round=st.integers(1, 3),
    label=st.sampled_from(["owl", "finch", "yes", "no"]),
    confidence=st.sampled_from([0.3, 0.6, 0.9]),
    proposed=st.sampled_from([None, "owl", "finch"]),
    finished=st.booleans(),
)


@given(st.lists(rows, max_size=6), st.integers(0, 9))
def test_the_order_of_rows_changes_nothing(said: list[Finding], seed: int):
    shuffled = random.Random(seed).sample(said, len(said))
    assert label(*said) == label(*shuffled)
