"""Which open tasks a round hands out first."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation_site import strategy
from annotation_site.models import Round, Task, Worker
from annotation_site.services.claims import Batch, claim_batch
from annotation_site.services.rounds import order_by_confidence
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.world import make_dataset, make_round, worker

pytestmark = pytest.mark.django_db
numbers = itertools.count()


def claim(me: Worker, round: Round, size: int) -> Batch | None:
    """A batch beside those at hand."""
    return claim_batch(me, round, size, holding=me.assignments.values_list("pk", flat=True))


def answer(me: Worker, batch: Batch) -> None:
    """All of it."""
    answers = [Answer(task.pk, "cat") for task in batch.tasks]
    record_votes(me, batch.assignment.pk, f"k{next(numbers)}", answers)


def levels(round: Round, me: Worker) -> list[int]:
    """Votes and leases of the tasks that the worker could be given, fewest first."""
    open_tasks = round.tasks.filter(claimable=True)
    unseen = open_tasks.exclude(vote_set__worker=me).exclude(live_leases__worker=me)
    return sorted(task.votes + task.leases for task in unseen)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=40))
def test_the_fewest_votes_come_first(turns: list[tuple[int, int]]) -> None:
    run = next(numbers)
    round = make_round(make_dataset(f"pets-{run}", images=9), order="spread", votes_min=3)
    people = [worker(f"w{run}-{n}") for n in range(4)]
    for who, size in turns:
        wanted = levels(round, people[who])[:size]
        before = {task.pk: task.votes + task.leases for task in round.tasks.all()}
        batch = claim(people[who], round, size)
        given = sorted(before[task.pk] for task in batch.tasks) if batch else []
        assert given == wanted
        if batch:
            answer(people[who], batch)


def test_one_picture_after_the_other_is_finished() -> None:
    round = make_round(make_dataset(images=9), votes_min=2)
    for name in ("ann", "bob"):
        me = worker(name)
        batch = claim(me, round, 3)
        assert batch
        assert {task.rank for task in batch.tasks} == {0, 1, 2}
        answer(me, batch)
    assert round.tasks.filter(votes=2).count() == 3


def test_what_is_least_sure_comes_first_and_what_nobody_saw_before_it() -> None:
    round = make_round(make_dataset(images=8), order="unsure", votes_min=3)
    ann, bob = worker("ann"), worker("bob")
    batch = claim(ann, round, 6)
    assert batch
    answer(ann, batch)
    first = claim(bob, round, 2)  # nobody has seen these two; bob's place in the order is behind them
    assert first
    assert {task.rank for task in first.tasks} == {6, 7}
    by_rank = {task.rank: task.pk for task in round.tasks.all()}
    sure = [0.9, 0.4, 0.99, 0.55, 0.7, 0.41]
    order_by_confidence(round, {by_rank[rank]: confidence for rank, confidence in enumerate(sure)})
    assert worked_off(bob, round, 3) == {1, 5, 3}
    order_by_confidence(round, {by_rank[2]: 0.05, by_rank[4]: 0.7, by_rank[0]: 0.9})
    assert worked_off(bob, round, 1) == {2}  # though bob had come further than that
    assert worked_off(bob, round, 2) == {4, 0}


def worked_off(me: Worker, round: Round, size: int) -> set[int]:
    """The ranks of a batch that is claimed and answered."""
    batch = claim(me, round, size)
    assert batch
    answer(me, batch)
    return ranks_of(batch)


def ranks_of(batch: Batch | None) -> set[int]:
    assert batch
    return {task.rank for task in batch.tasks}


def test_a_pass_says_what_is_unsure() -> None:
    dataset = make_dataset(images=6)
    round = make_round(dataset, order="unsure", votes_min=3, votes_max=9, confidence=0.999)
    for number, name in enumerate(["ann", "bob", "eve"]):
        me = worker(name)
        batch = claim(me, round, 6)
        assert batch
        labels = ["cat", "dog", "eel"]
        answers = [Answer(t.pk, labels[number] if t.rank == 4 else "cat") for t in batch.tasks]
        record_votes(me, batch.assignment.pk, name, answers)
    call_command("aggregate", dataset.name, round=round.pk, verbosity=0)
    batch = claim(worker("new"), round, 1)
    assert ranks_of(batch) == {4}


@given(st.floats(0, 1), st.floats(0, 1))
def test_turns_follow_confidence(one: float, other: float) -> None:
    first, second = sorted([one, other])
    assert strategy.turn_of(first) <= strategy.turn_of(second)
    assert strategy.first_turn("unsure") + strategy.STRIDE <= strategy.turn_of(first)


def test_the_command_takes_it_and_refuses_another(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(images=3)
    for image in dataset.images.all():
        group = dataset.groups.create(representative=image, draw=0.5, size=1)
        dataset.images.filter(pk=image.pk).update(group=group)
    call_command("open_round", dataset.name, question="classify", order="spread")
    assert dataset.rounds.get().order == "spread"
    assert set(Task.objects.values_list("turn", flat=True)) == {0}
    with pytest.raises(Exception, match="invalid choice: 'random'"):
        call_command("open_round", dataset.name, "--question", "classify", "--order", "random")
