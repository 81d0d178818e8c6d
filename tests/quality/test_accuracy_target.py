"""Accuracy mode: each category reaches its expected accuracy, with few votes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.accuracy_target import reach
from quality.stopping import ASK_AGAIN, EXHAUSTED, SETTLED


def test_a_category_stops_together_and_the_others_go_on():
    label = np.array(["cat", "cat", "dog", "dog", "dog"], object)
    decision = reach(label, [0.99, 0.93, 0.99, 0.7, 0.8], [2, 2, 2, 2, 2], 0.95, 2, 9, gain=np.full(5, 0.1))
    assert decision.state.tolist() == [SETTLED] * 2 + [ASK_AGAIN] * 3
    assert decision.ask[:2].tolist() == [0, 0]
    assert decision.ask[2:].sum() > 0


def test_asks_where_a_vote_saves_most_and_no_more_than_could_close_the_gap():
    label = np.array(["cat"] * 4, object)
    gain = np.array([0.01, 0.2, 0.05, 0.3])
    decision = reach(label, [0.9, 0.6, 0.9, 0.6], [2] * 4, 0.8, 2, 9, gain=gain)
    assert decision.ask.tolist() == [0, 0, 0, 1]
    assert decision.state.tolist() == [ASK_AGAIN] * 4
    assert reach(label, [0.9, 0.6, 0.9, 0.6], [2] * 4, 0.99, 2, 9, gain=gain).ask.tolist() == [1, 1, 1, 1]


def test_each_category_may_have_its_own_target_and_closed_tasks_count():
    label = np.array(["cat", "cat", "dog", "dog"], object)
    target = np.array([0.99, 0.99, 0.9, 0.9])
    decision = reach(label, [0.95] * 4, [3] * 4, target, 2, 9)
    assert decision.state.tolist() == [ASK_AGAIN, ASK_AGAIN, SETTLED, SETTLED]
    decision = reach(label, [1.0, 0.98, 0.5, 0.5], [3] * 4, target, 2, 9, closed=[True, False, True, False])
    assert decision.state.tolist() == [SETTLED, SETTLED, SETTLED, ASK_AGAIN]
    assert decision.ask.tolist() == [0, 0, 0, 1]


def test_what_can_get_no_more_votes_is_exhausted_not_settled():
    label = np.array(["cat", "cat", None], object)
    decision = reach(label, [0.5, 0.5, np.nan], [9, 4, 0], 0.9, 2, 9, available=np.array([5, 0, 5]))
    assert decision.state.tolist() == [EXHAUSTED, EXHAUSTED, ASK_AGAIN]
    assert decision.ask.tolist() == [0, 0, 2]


def test_a_vote_that_costs_more_than_it_saves_is_not_asked_for():
    label = np.array(["cat", "cat"], object)
    decision = reach(label, [0.5, 0.5], [3, 3], 0.9, 2, 9, gain=np.array([0.001, 0.1]), least_gain=0.01)
    assert decision.state.tolist() == [EXHAUSTED, ASK_AGAIN]


@pytest.mark.parametrize("target", [0.0, 1.2, np.nan])
def test_a_target_that_is_no_probability_is_refused(target):
    with pytest.raises(ValueError, match="confidence"):
        reach(np.array(["cat"], object), [0.5], [2], target, 2)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), st.integers(0, 6)), min_size=1, max_size=30),
    st.floats(0.5, 1),
)
def test_settled_categories_have_their_target_and_others_go_on_while_they_can(tasks, target):
    label, sure, votes = (np.array(column) for column in zip(*tasks, strict=True))
    decision = reach(label, sure, votes, target, 2, 6, gain=1 - sure)
    for name in set(label.tolist()):
        here = label == name
        if (decision.state[here] == SETTLED).any():
            assert sure[here].mean() >= target - 1e-6
        elif (votes[here] < 6).any():
            assert decision.ask[here].sum() > 0
    assert (decision.ask[votes < 2] > 0).all()
    assert (votes + decision.ask <= 6).all()
    assert (decision.ask[decision.state != ASK_AGAIN] == 0).all()
