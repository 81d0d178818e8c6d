"""Skill vote by vote and in one go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.aggregation import aggregate
from quality.skills import Record, judged, peer_belief, skill_intervals, update
from tests.quality.test_spam import campaign


@pytest.mark.parametrize("skill", [0.6, 0.8, 0.98])
def test_vote_by_vote_comes_to_what_one_go_gives(skill):
    rng = np.random.default_rng(int(skill * 100))
    sure = rng.choice([0.55, 0.8, 0.97, 1.0], 400)
    truth_is_lead = rng.random(400) < sure
    right = rng.random(400) < skill
    says_lead = np.where(truth_is_lead, right, ~right & (rng.random(400) < 1 / 3))
    record = Record()
    for p, lead in zip(sure, says_lead, strict=True):
        record = update(record, "cat" if lead else "dog", {"cat": p, "dog": (1 - p) / 3}, 4)
    belief = np.where(says_lead, sure, (1 - sure) / 3)
    right_n, told = judged(np.zeros(400, int), belief, sure, 1, 4)
    batch, lo, hi = skill_intervals(right_n, told)
    assert record.skill == pytest.approx(batch[0], abs=0.03)
    assert lo[0] - 0.02 < skill < hi[0] + 0.02
    assert record.interval() == pytest.approx((lo[0], hi[0]), abs=0.04)
    assert record.votes == 400


def test_a_vote_does_not_vouch_for_itself():
    task, worker = np.array([0, 0, 1]), np.array([0, 1, 0])
    label, gold = np.array([0, 1, 1]), np.array([-1, -1])
    belief, best = peer_belief(task, worker, label, gold, np.array([0.9, 0.9]), 2)
    assert belief[0] == belief[1] == pytest.approx(0.1)
    assert best[0] == pytest.approx(0.9)
    assert belief[2] == best[2] == pytest.approx(0.5)  # nobody else: nothing is known
    known, sure = peer_belief(task, worker, label, np.array([1, -1]), np.array([0.9, 0.9]), 2)
    assert known[:2].tolist() == [0.0, 1.0]
    assert sure[0] == 1.0


def test_an_unsure_crowd_tells_nothing_and_a_wrong_one_costs_only_what_it_is_believed():
    nothing = update(Record(), "cat", {"cat": 0.25, "dog": 0.25, "eel": 0.25, "fox": 0.25}, 4)
    assert (nothing.right, nothing.wrong) == pytest.approx((Record().right, Record().wrong))
    doubted = update(Record(), "dog", {"cat": 0.6, "dog": 0.4}, 2)
    refuted = update(Record(), "dog", {"cat": 1.0}, 2)
    assert refuted.skill < doubted.skill - 0.05
    assert update(Record(), "dog", {}, 2) == Record(votes=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.5, 1.0)), max_size=40), st.floats(0.5, 1.0))
def test_one_more_agreeing_vote_never_lowers_skill(past, sure):
    record = Record()
    for agrees, p in past:
        record = update(record, "cat" if agrees else "dog", {"cat": p, "dog": 1 - p}, 2)
    assert update(record, "cat", {"cat": sure, "dog": 1 - sure}, 2).skill >= record.skill - 1e-9
    assert record.right > 0
    assert record.wrong > 0


def test_skills_of_a_crowd_are_near_the_truth_and_intervals_cover_it():
    frame = campaign(11, votes=120)
    gold = frame[["task", "truth"]].drop_duplicates().rename(columns={"truth": "label"})
    true = (frame["label"] == frame["truth"]).groupby(frame["worker"]).mean()
    workers = aggregate(frame, "one_coin").workers.set_index("worker")
    off = workers["skill"] - true.reindex(workers.index)
    assert np.corrcoef(workers["skill"], true.reindex(workers.index))[0, 1] > 0.8
    # A third of the images misleads most of them alike: of that, votes alone know nothing.
    assert off.abs().mean() < 0.15
    told = aggregate(frame, "one_coin", gold=gold).workers.set_index("worker")
    assert (told["skill"] - true.reindex(told.index)).abs().max() < 0.05
    inside = (told["lo"] <= true.reindex(told.index)) & (true.reindex(told.index) <= told["hi"])
    assert inside.mean() > 0.9


@pytest.mark.parametrize(("right", "votes"), [(0, 0), (20, 20), (7, 10), (400, 500), (2, 60)])
def test_a_kept_record_goes_on_where_the_pass_left_it(right, votes):
    skill, lo, hi = (float(x[0]) for x in skill_intervals(np.array([float(right)]), np.array([float(votes)])))
    record = Record.kept(skill, lo, hi, votes)
    assert record.skill == pytest.approx(skill)
    assert record.interval() == pytest.approx((lo, hi), abs=1e-3)
    assert record.right + record.wrong == pytest.approx(votes + 4, rel=0.02)
    assert Record.kept(1.0, 1.0, 1.0, 3).skill == 1.0
    assert Record.kept(0.0, 0.0, 0.0, 3).skill == 0.0
