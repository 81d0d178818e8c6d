"""Close or ask again, and the replay of a campaign under that rule."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.replay import Rule, replay
from quality.stopping import ASK_AGAIN, EXHAUSTED, SETTLED, decide


def test_decide_by_hand():
    decision = decide([np.nan, 0.99, 0.99, 0.5, 0.5, 0.95], [0, 1, 2, 3, 5, 5], 2, 5, 0.95)
    assert decision.state.tolist() == [ASK_AGAIN, ASK_AGAIN, SETTLED, ASK_AGAIN, EXHAUSTED, SETTLED]
    assert decision.ask.tolist() == [2, 1, 0, 1, 0, 0]


def test_audited_tasks_get_their_votes_whatever_the_confidence():
    decision = decide([1.0, 1.0], [2, 2], np.array([2, 6]), 6, 0.9)
    assert decision.state.tolist() == [SETTLED, ASK_AGAIN]
    assert decision.ask.tolist() == [0, 4]


@given(
    st.floats(0, 1),
    st.integers(0, 20),
    st.integers(1, 8),
    st.integers(0, 8),
    st.floats(0.01, 1),
    st.integers(1, 4),
)
def test_never_asks_beyond_the_maximum_nor_settles_below_the_minimum(conf, votes, least, more, wanted, step):
    decision = decide([conf], [votes], least, least + more, wanted, step)
    if decision.state[0] == SETTLED:
        assert votes >= least
        assert conf >= wanted - 1e-6
    if decision.state[0] == ASK_AGAIN:
        assert 1 <= decision.ask[0] <= least + more - votes
    else:
        assert decision.ask[0] == 0


@pytest.mark.parametrize(
    "bad", [(0, 5, 0.9, 1), (3, 2, 0.9, 1), (1, 2, 0.0, 1), (1, 2, 1.5, 1), (1, 2, 0.9, 0)]
)
def test_limits_that_make_no_sense_are_refused(bad):
    least, most, wanted, step = bad
    with pytest.raises(ValueError):
        decide([0.5], [1], least, most, wanted, step)


def pool(tasks: int = 60, each: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, tasks)
    easy = np.arange(tasks) % 3 > 0
    rows = []
    for turn in range(each):
        for task in range(tasks):
            right = rng.random() < (0.97 if easy[task] else 0.5)
            rows.append((f"t{task:03}", f"w{(turn * 7 + task) % 20}", str(truth[task] if right else 2)))
    return pd.DataFrame(rows, columns=["task", "worker", "label"])


def test_replay_asks_more_where_it_is_unsure_and_keeps_the_limits():
    frame = pool()
    result = replay(frame, Rule(confidence=0.95, votes_min=2, votes_max=6))
    assert result["task"].tolist() == sorted(set(frame["task"]))
    assert result["votes"].between(2, 6).all()
    assert len(set(result["votes"])) > 2
    hard = result["task"].str[1:].astype(int) % 3 == 0
    assert result.loc[hard, "votes"].mean() > result.loc[~hard, "votes"].mean() + 0.2


def test_replay_closes_tasks_that_run_out_and_keeps_a_budget():
    frame = pool()
    sure = replay(frame, Rule(confidence=1.0, votes_min=3))
    available = frame.drop_duplicates(["task", "worker"]).groupby("task").size()
    assert sure["votes"].tolist() == available.reindex(sure["task"]).tolist()
    assert replay(frame, Rule(confidence=0.9999, votes_min=2, budget=150))["votes"].sum() == 150
    assert len(replay(frame.head(0), Rule())) == 0
