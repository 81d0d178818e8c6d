"""Pausing a round and changing its numbers; `wanted` and `claimable` stay true to the rule throughout."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation_site.models import Round, Task
from annotation_site.services import changing
from annotation_site.services.changing import (
    NotChangeable,
    carry_out,
    change_round,
    pause_round,
    reopen_round,
)
from annotation_site.services.claims import claim_batch
from annotation_site.services.refusals import RoundNotOpen
from annotation_site.services.rounds import close_round, request_votes, settle_tasks
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.world import make_dataset, make_round, worker

pytestmark = pytest.mark.django_db
S = Task.State


def rule_holds(round):
    """The rule of models, row by row, and the limits."""
    for task in round.tasks.all():
        assert task.claimable == task.has_room(), task.pk
        if not task.gold and task.state == S.OPEN:
            assert task.wanted <= max(round.votes_max, task.votes)
            assert task.wanted >= min(round.votes_min, round.votes_max)


def change(round, **wanted):
    made = change_round(round, wanted, "cora")
    if made and not made.finished:
        carry_out(made)
    round.refresh_from_db()
    rule_holds(round)
    return made


@pytest.fixture
def dataset():
    return make_dataset(images=12)


def answer(round, name, count, label="cat"):
    who = worker(name, round.dataset)
    batch = claim_batch(who, round, count)
    answers = [Answer(task.pk, label) for task in batch.tasks]
    record_votes(who, batch.assignment.pk, f"k-{name}", answers)
    return [task.pk for task in batch.tasks]


def test_a_pause_hands_out_nothing_and_takes_what_people_hold(dataset):
    round = make_round(dataset)
    who = worker("ann", dataset)
    batch = claim_batch(who, round, 3)
    pause_round(round)
    pause_round(round)  # pressed twice
    assert round.state == "paused"
    with pytest.raises(RoundNotOpen):
        claim_batch(worker("bob", dataset), round, 3)
    [(_, status)] = record_votes(who, batch.assignment.pk, "k", [Answer(batch.tasks[0].pk, "cat")])
    assert status == "stored"
    reopen_round(round)
    assert claim_batch(worker("cy", dataset), round, 3)


def test_a_closed_round_and_one_in_the_making_stay_as_they_are(dataset):
    round = close_round(make_round(dataset))
    half = Round.objects.create(dataset=dataset, question="classify", state="paused")
    for held in (round, half):
        for verb in (pause_round, reopen_round, lambda r: change_round(r, {"votes_max": 11})):
            with pytest.raises(NotChangeable):
                verb(held)
        held.refresh_from_db()
    assert (round.state, half.state, round.votes_max) == ("closed", "paused", 9)


def test_more_votes_at_most_reach_open_tasks_and_audits(dataset):
    round = make_round(dataset, votes_min=1, votes_max=2, audit_rate=0.5)
    first = answer(round, "ann", 12)
    settle_tasks(round, first[:3], first[3:5])
    before = dict(round.tasks.filter(state=S.SETTLED).values_list("pk", "wanted"))
    made = change(round, votes_max=5)
    assert (made.before, made.after) == ({"votes_max": 2, "votes_min": 1}, {"votes_max": 5, "votes_min": 1})
    assert dict(round.tasks.filter(state=S.SETTLED).values_list("pk", "wanted")) == before
    assert (round.tasks_settled, round.tasks_exhausted) == (3, 2)
    for task in round.tasks.filter(state=S.OPEN):
        assert task.wanted == (5 if task.audit else 1)


def test_fewer_votes_at_most_cut_what_is_wanted_but_no_vote(dataset):
    round = make_round(dataset, votes_min=2, votes_max=9)
    ids = answer(round, "ann", 12)
    for name in ("bob", "cy"):
        request_votes(round, dict.fromkeys(ids, 9))
        answer(round, name, 12)
    change(round, votes_max=2)
    assert set(round.tasks.values_list("wanted", "votes", "claimable")) == {(3, 3, False)}
    assert claim_batch(worker("dee", dataset), round, 5) is None
    settle_tasks(round, ids[:4])
    change(round, votes_max=1, votes_min=1)
    assert request_votes(round, dict.fromkeys(ids, 9)) == 0


def test_a_pass_that_began_before_the_change_cannot_ask_beyond_it(dataset):
    round = make_round(dataset, votes_min=1, votes_max=9)
    stale = Round.objects.get(pk=round.pk)
    change(round, votes_max=2)
    request_votes(stale, dict.fromkeys(round.tasks.values_list("pk", flat=True), 9))
    rule_holds(round)
    assert set(round.tasks.values_list("wanted", flat=True)) == {2}


def test_the_least_moves_up_and_down_where_no_more_was_asked_for(dataset):
    round = make_round(dataset, votes_min=3, votes_max=9)
    ids = answer(round, "ann", 12)
    request_votes(round, {ids[0]: 7})
    change(round, votes_min=5)
    assert sorted(round.tasks.values_list("wanted", flat=True)) == [5] * 11 + [7]
    change(round, votes_min=1)
    assert sorted(round.tasks.values_list("wanted", flat=True)) == [1] * 11 + [7]
    assert round.tasks.filter(claimable=True).count() == 1


def test_other_numbers_need_no_tasks_and_nothing_new_is_no_change(dataset):
    round = make_round(dataset)
    made = change(
        round, price=Decimal("0.0300"), batch_size=7, lease_seconds=600, title="New", confidence=0.9
    )
    assert made.finished
    assert made.after["price"] == "0.0300"
    assert (round.price, round.batch_size, round.lease_seconds, round.title) == (
        Decimal("0.03"),
        7,
        600,
        "New",
    )
    assert change(round, price=Decimal("0.0300"), batch_size=7) is None


@pytest.mark.parametrize(
    "bad",
    [{"votes_min": 0}, {"votes_max": 2}, {"votes_max": 5000}, {"confidence": 1.0}, {"confidence": 0.0},
     {"batch_size": 0}, {"lease_seconds": 5}, {"price": Decimal(-1)}, {"state": "closed"}],
)  # fmt: skip
def test_numbers_that_contradict_each_other_change_nothing(dataset, bad):
    round = make_round(dataset)
    with pytest.raises(NotChangeable):
        change_round(round, bad)
    assert not round.changes.exists()


def test_a_change_that_was_killed_goes_on_and_comes_before_the_next(dataset, monkeypatch):
    monkeypatch.setattr(changing, "CHUNK", 5)
    round = make_round(dataset, votes_min=1)
    made = change_round(round, {"votes_min": 4})
    follow, calls = changing._follow, []

    def killed(rows, held):
        if calls:
            raise SystemExit
        calls.append(held.cursor)
        follow(rows, held)

    monkeypatch.setattr(changing, "_follow", killed)
    with pytest.raises(SystemExit):
        carry_out(made)
    assert sorted(round.tasks.values_list("wanted", flat=True)) == [1] * 7 + [4] * 5
    with pytest.raises(NotChangeable):
        change_round(round, {"votes_min": 2})
    monkeypatch.setattr(changing, "_follow", follow)
    carry_out(made)
    carry_out(made)
    assert made.finished
    assert set(round.tasks.values_list("wanted", flat=True)) == {4}
    rule_holds(round)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6), st.integers(0, 12)), max_size=5))
def test_whatever_happens_in_between_the_rule_holds(dataset, steps):
    """Claims, votes, requests, settling and changes in any order."""
    round = make_round(dataset, gold=2, votes_min=2, votes_max=4, audit_rate=0.3)
    for number, (least, more, count) in enumerate(steps):
        who = worker(f"w{round.pk}-{number}", dataset)
        batch = claim_batch(who, round, 6)
        if batch:
            answers = [Answer(task.pk, "cat") for task in batch.tasks[: count or 1]]
            record_votes(who, batch.assignment.pk, f"{round.pk}-{number}", answers)
        ids = list(round.tasks.filter(gold=False).values_list("pk", flat=True))
        request_votes(round, dict.fromkeys(ids[:count], least + more))
        settle_tasks(round, ids[count : count + 2], ids[count + 2 : count + 3])
        change(round, votes_min=least, votes_max=least + more)
