"""Further gold for one worker: mixed in, at most half of a batch, each once; without it no statement more."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation_site import strategy
from annotation_site.models import Assignment, Participation, Round, Vote, Worker
from annotation_site.services.claims import claim_batch, fresh_gold, locked_participation, promise_gold
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.world import make_dataset, make_round, worker

database = pytest.mark.django_db


def promise(me: Worker, round: Round, count: int) -> int:
    return promise_gold(locked_participation(round, me), round, count)


def left(me: Worker, round: Round) -> int:
    return Participation.objects.get(worker=me, round=round).more_gold


def work(me: Worker, round: Round, size: int) -> list[bool] | None:
    """Claim a batch and answer it; which of its tasks were gold."""
    batch = claim_batch(me, round, size)
    if batch is None:
        return None
    answers = [Answer(task.pk, "cat") for task in batch.tasks]
    record_votes(me, batch.assignment.pk, f"{me.pk}-{batch.assignment.pk}", answers)
    return [task.gold for task in batch.tasks]


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 200), st.integers(0, 10**6))
def test_never_more_than_half_of_a_batch_nor_than_is_left(size: int, usual: int, some: int, at: int) -> None:
    more = strategy.more_gold_count("s", 1, 2, at, size, usual, some)
    assert 0 <= more <= some
    if size > 1 and more:
        assert usual + more <= size / 2


def test_of_single_tasks_about_half_are_gold_and_the_secret_says_which() -> None:
    def draws(secret: str) -> list[int]:
        return [strategy.more_gold_count(secret, 1, 2, at, 1, 0, 9) for at in range(400)]

    assert 160 < sum(draws("s")) < 240
    assert draws("s") != draws("t")


@database
def test_it_comes_beside_the_usual_share_and_then_the_usual_share_goes_on() -> None:
    round = make_round(make_dataset(images=400), gold=90, gold_rate=0.1)
    ann, bob = worker("ann"), worker("bob")
    assert promise(ann, round, 12) == 12
    batches = [work(ann, round, 20) for _ in range(10)]
    assert sum(map(sum, batches[:3])) >= 12
    assert all(sum(batch) <= 10 for batch in batches)
    assert left(ann, round) == 0
    usual = [strategy.gold_count(settings.SECRET_KEY, round.pk, ann.pk, 20 * n, 20, 0.1) for n in range(10)]
    assert sum(map(sum, batches)) == sum(usual) + 12
    assert sum(map(sum, [work(bob, round, 20) for _ in range(10)])) < 40  # nobody else gets more


@database
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_small_batches_get_it_too_each_task_once_and_anywhere(size: int) -> None:
    round, me = make_round(make_dataset(images=120), gold=40), worker("ann")
    promise(me, round, 15)
    places = Counter[int]()
    while left(me, round):
        batch = work(me, round, size)
        assert batch
        assert size == 1 or sum(batch) <= size // 2
        places.update(place for place, gold in enumerate(batch) if gold)
    met = list(Vote.objects.filter(worker=me, task__gold=True).values_list("task", flat=True))
    assert len(met) == len(set(met)) == 15
    assert len(places) > 1 or size == 1


@database
def test_the_last_batch_is_no_more_than_half_gold_and_gold_alone_is_no_work() -> None:
    round, me = make_round(make_dataset(images=30), gold=27), worker("ann")
    promise(me, round, 20)
    assert sorted(work(me, round, 20) or []) == [False] * 3 + [True] * 3
    assert work(me, round, 20) is None
    assert left(me, round) == 17


@database
def test_no_more_is_promised_than_the_worker_never_met() -> None:
    dataset = make_dataset(images=60)
    first = make_round(dataset, gold=10, gold_rate=0.5)
    me = worker("ann")
    met = 0
    while not met:  # chance decides; five at a time, so that some is left
        met = sum(work(me, first, 5) or [])
    part = locked_participation(first, me)
    assert fresh_gold(part, first, 99) == 10 - met
    assert fresh_gold(part, first, 2) == min(2, 10 - met)
    assert promise(me, first, 99) == 10 - met
    second = make_round(dataset, gold=10)
    assert promise(me, second, 99) == 10 - met  # what they answered elsewhere would measure memory
    assert promise(me, make_round(make_dataset("plants")), 5) == 0


@database
def test_where_gold_is_half_of_the_work_already_it_is_the_further_gold() -> None:
    round, me = make_round(make_dataset(images=80), gold=40, gold_rate=0.7), worker("ann")
    promise(me, round, 10)
    assert sum(work(me, round, 20) or []) >= 10
    assert left(me, round) == 0


@database
def test_a_claim_made_again_draws_nothing_more_and_a_promise_made_again_adds_nothing() -> None:
    round, me = make_round(make_dataset(images=60), gold=30), worker("ann")
    assert promise(me, round, 6) == promise(me, round, 6) == 6
    batch = claim_batch(me, round, 10)
    again = claim_batch(me, round, 10)  # the answer to the first was lost
    assert batch
    assert again
    assert [t.pk for t in batch.tasks] == [t.pk for t in again.tasks]
    assert left(me, round) == 1
    Assignment.objects.update(expires=timezone.now() - timedelta(seconds=1))
    following = claim_batch(me, round, 10)
    assert following
    assert not {t.pk for t in following.tasks if t.gold} & {t.pk for t in batch.tasks}
    assert sum(task.gold for task in following.tasks) == 1


@database
def test_who_is_promised_nothing_costs_no_statement() -> None:
    round = make_round(make_dataset(images=120), gold=30)
    ann, bob = worker("ann"), worker("bob")
    for me in (ann, bob):
        work(me, round, 10)
    promise(bob, round, 4)
    counts = []
    for me in (ann, bob):
        with CaptureQueriesContext(connection) as claims:
            assert claim_batch(me, round, 10)
        counts.append(len(claims))
    assert 1 <= counts[1] - counts[0] <= 2  # bob's gold, in one stretch of his order or in two
