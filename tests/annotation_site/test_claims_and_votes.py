"""Whatever workers do, in whatever order: no task too often, none twice, no confirmed vote lost."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation_site.models import Assignment, Lease, Participation, Receipt, Round, Task, Vote, Worker
from annotation_site.services.claims import (
    MAX_HELD,
    Batch,
    claim_batch,
    locked_participation,
    promise_gold,
)
from annotation_site.services.expiry import release_expired
from annotation_site.services.refusals import (
    BadVotes,
    KeyReused,
    NoSuchAssignment,
    NotAllowed,
    RoundNotOpen,
    TooMuchHeld,
)
from annotation_site.services.rounds import close_round, order_by_confidence, request_votes, settle_tasks
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.world import CATEGORIES, make_dataset, make_round, worker

pytestmark = pytest.mark.django_db
numbers = itertools.count()


@dataclass
class World:
    """A round with three workers, and what they saw confirmed."""

    round: Round
    workers: list[Worker]
    confirmed: dict[tuple[int, int], str] = field(default_factory=dict)
    batches: dict[int, list[Batch]] = field(default_factory=dict)

    def claim(self, who: int, size: int) -> None:
        """Claim as one of them, and hold the promise about what a batch may contain."""
        me = self.workers[who]
        holding = [batch.assignment.pk for batch in self.batches.get(who, [])]
        held = set(Lease.objects.filter(worker=me, assignment__state=0).values_list("task_id", flat=True))
        try:
            batch = claim_batch(me, self.round, size, holding=holding)
        except TooMuchHeld:
            assert len(holding) >= MAX_HELD
            return
        if batch is None:
            return
        mine = [task.pk for task in batch.tasks]
        assert len(mine) == len(set(mine))
        if batch.assignment.tasks_given == len(mine):  # a new one, not an old one handed out again
            assert not held & set(mine) or set(mine) <= held
        assert not [t for t in mine if (t, me.pk) in self.confirmed]
        self.batches.setdefault(who, []).append(batch)

    def vote(self, who: int, label: str, share: int) -> None:
        """Answer part of the oldest batch at hand, and send it twice under one key."""
        if not self.batches.get(who):
            return
        batch, me = self.batches[who][0], self.workers[who]
        answers = [Answer(task.pk, label, 1.0) for task in batch.tasks[: 1 + share]]
        key = f"key-{next(numbers)}"
        results = record_votes(me, batch.assignment.pk, key, answers)
        assert record_votes(me, batch.assignment.pk, key, answers) == results
        for (task, status), answer in zip(results, answers, strict=True):
            assert task == answer.task
            if status == "stored":
                assert (task, me.pk) not in self.confirmed
                self.confirmed[task, me.pk] = answer.label
            elif status == "duplicate":
                assert self.confirmed[task, me.pk] == answer.label
        if len(answers) == len(batch.tasks):
            self.batches[who].pop(0)

    def let_expire(self, who: int) -> None:
        """All of somebody's time is over."""
        past = timezone.now() - timedelta(seconds=1)
        Assignment.objects.filter(worker=self.workers[who]).update(expires=past)
        release_expired(self.round)

    def more_gold(self, who: int, count: int) -> None:
        """A person decides to give one of them further gold; what is not given yet is replaced."""
        part = locked_participation(self.round, self.workers[who])
        assert promise_gold(part, self.round, count) <= count

    def ask_more(self, how_many: int) -> None:
        """Ask for more votes on every other task; settle one."""
        tasks = list(Task.objects.filter(round=self.round, gold=False).order_by("pk"))
        request_votes(self.round, {task.pk: task.wanted + how_many for task in tasks[::2]})
        settle_tasks(self.round, [tasks[0].pk])

    def tell_confidence(self, seed: int) -> None:
        """As the end of a pass does."""
        told = {task.pk: hash((seed, task.pk)) % 100 / 100 for task in self.round.tasks.all()}
        order_by_confidence(self.round, told)

    def check(self) -> None:
        """Every invariant, from the rows."""
        live = Counter(Lease.objects.filter(assignment__state=0).values_list("task_id", flat=True))
        votes = Counter(Vote.objects.counted().values_list("task_id", flat=True))
        for task in Task.objects.filter(round=self.round):
            assert task.votes == votes[task.pk]
            if not task.gold:
                assert task.leases == live[task.pk]
                assert task.votes + task.leases <= task.wanted
                if self.round.order != Round.Order.UNSURE:
                    spread = self.round.order == Round.Order.SPREAD
                    assert task.turn == (task.votes + task.leases if spread else None)
            assert task.claimable == task.has_room()
        stored = {
            (v.task_id, v.worker_id): v.label for v in Vote.objects.counted().select_related("category")
        }
        mine = {pair for pair in stored if pair[1] in {w.pk for w in self.workers}}
        assert {pair: stored[pair] for pair in mine} == self.confirmed
        parts = Participation.objects.filter(round=self.round)
        assert sum(part.votes for part in parts) == len(self.confirmed)


people, label_st = st.integers(0, 2), st.sampled_from([*CATEGORIES, "__none__"])
actions = st.one_of(
    st.tuples(st.just("claim"), people, st.integers(1, 5)),
    st.tuples(st.just("vote"), people, label_st, st.integers(0, 5)),
    st.tuples(st.just("let_expire"), people),
    st.tuples(st.just("more_gold"), people, st.integers(1, 4)),
    st.tuples(st.just("ask_more"), st.integers(1, 2)),
    st.tuples(st.just("tell_confidence"), st.integers(0, 9)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(actions, max_size=25), st.integers(0, 3), st.sampled_from(Round.Order.values))
def test_no_order_of_events_breaks_the_books(script: list[tuple], gold: int, order: str) -> None:
    run = next(numbers)
    dataset = make_dataset(f"pets-{run}", images=7)
    settings = {"gold_rate": 0.3, "votes_min": 2, "votes_max": 4, "seed": run, "order": order}
    round = make_round(dataset, gold=gold, **settings)
    world = World(round, [worker(f"w{run}-{n}") for n in range(3)])
    for name, *arguments in script:
        getattr(world, name)(*arguments)
        world.check()


def answers(batch: Batch, label: str = "cat") -> list[Answer]:
    return [Answer(task.pk, label) for task in batch.tasks]


def test_a_round_is_worked_off_and_then_nothing_is_left() -> None:
    round = make_round(make_dataset(images=10), votes_min=2)
    for name in ("ann", "bob"):
        me, seen = worker(name), []
        while batch := claim_batch(me, round, 4):
            seen += [task.pk for task in batch.tasks]
            assert {
                s for _, s in record_votes(me, batch.assignment.pk, f"{name}{len(seen)}", answers(batch))
            } == {"stored"}
        assert sorted(seen) == sorted(round.tasks.values_list("pk", flat=True))
    assert claim_batch(worker("eve"), round, 4) is None
    assert not Task.objects.exclude(votes=F("wanted")).exists()
    assert set(Assignment.objects.values_list("state", flat=True)) == {Assignment.State.DONE}


def test_an_unfinished_batch_comes_again_and_leases_nothing_more() -> None:
    round, me = make_round(make_dataset()), worker("ann")
    first = claim_batch(me, round, 4)
    assert first
    record_votes(me, first.assignment.pk, "k", answers(first)[:1])
    again = claim_batch(me, round, 9)
    assert again
    assert again.assignment.pk == first.assignment.pk
    assert [t.pk for t in again.tasks] == [t.pk for t in first.tasks[1:]]  # in the same order
    following = claim_batch(me, round, 4, holding=[first.assignment.pk])
    assert following
    assert not {t.pk for t in following.tasks} & {t.pk for t in first.tasks}


def test_nobody_hoards_batches() -> None:
    round, me, held = make_round(make_dataset(images=30)), worker("ann"), []
    for _ in range(MAX_HELD):
        batch = claim_batch(me, round, 1, holding=held)
        assert batch
        held.append(batch.assignment.pk)
    with pytest.raises(TooMuchHeld):
        claim_batch(me, round, 1, holding=held)


def test_reopened_tasks_behind_the_cursor_are_found() -> None:
    round, me = make_round(make_dataset(images=6), votes_min=1, votes_max=3), worker("ann")
    other = worker("bob")
    early = claim_batch(other, round, 3)
    assert early
    record_votes(other, early.assignment.pk, "a", answers(early))
    late = claim_batch(me, round, 3)
    assert late
    record_votes(me, late.assignment.pk, "b", answers(late))
    assert claim_batch(me, round, 3) is None
    asked = {task.pk: 2 for task in early.tasks}
    assert request_votes(round, asked) == 3
    found = claim_batch(me, round, 5)
    assert found
    assert {t.pk for t in found.tasks} == set(asked)


def test_late_votes_count_where_there_is_room_and_are_kept_where_not() -> None:
    round = make_round(make_dataset(images=2), votes_min=1, votes_max=1)
    slow, quick = worker("slow"), worker("quick")
    batch = claim_batch(slow, round, 2)
    assert batch
    Assignment.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert release_expired(round) == 1
    taken = claim_batch(quick, round, 1)
    assert taken
    record_votes(quick, taken.assignment.pk, "q", answers(taken, "dog"))
    gone = taken.tasks[0].pk
    results = dict(record_votes(slow, batch.assignment.pk, "s", answers(batch)))
    assert results.pop(gone) == "late"
    assert set(results.values()) == {"stored"}
    kept = Vote.objects.get(task=gone, worker=slow)
    assert (kept.voided, kept.void_reason) == (True, "late")
    # The same late answer under another key is not kept a second time.
    again = dict(record_votes(slow, batch.assignment.pk, "s2", answers(batch)))
    assert again.pop(gone) == "late"
    assert set(again.values()) == {"duplicate"}
    assert Vote.objects.filter(worker=slow).count() == 2


def test_what_was_never_given_is_rejected_and_the_first_answer_stands() -> None:
    round, me = make_round(make_dataset()), worker("ann")
    batch = claim_batch(me, round, 2)
    assert batch
    foreign = round.tasks.exclude(pk__in=[t.pk for t in batch.tasks])[0].pk
    one = batch.tasks[0].pk
    sent = [
        Answer(one, "cat"),
        Answer(foreign, "cat"),
        Answer(one, "cat"),
        Answer(one, "dog"),
        Answer(10**12, "cat"),
    ]
    statuses = [status for _, status in record_votes(me, batch.assignment.pk, "k", sent)]
    assert statuses == ["stored", "rejected", "duplicate", "rejected", "rejected"]
    assert Vote.objects.count() == 1


def test_unusable_batches_store_nothing() -> None:
    round, me, other = make_round(make_dataset()), worker("ann"), worker("bob")
    batch = claim_batch(me, round, 2)
    assert batch
    pk = batch.assignment.pk
    with pytest.raises(BadVotes, match="'lion'"):
        record_votes(me, pk, "k", [*answers(batch)[:1], Answer(batch.tasks[1].pk, "lion")])
    with pytest.raises(BadVotes, match="1 to 1,000"):
        record_votes(me, pk, "k", answers(batch) * 501)
    with pytest.raises(BadVotes, match="key"):
        record_votes(me, pk, "k k", answers(batch))
    with pytest.raises(NoSuchAssignment):
        record_votes(other, pk, "k", answers(batch))
    assert not Vote.objects.exists()
    assert not Receipt.objects.exists()


def test_a_key_belongs_to_one_batch() -> None:
    round, me = make_round(make_dataset()), worker("ann")
    batch = claim_batch(me, round, 2)
    assert batch
    record_votes(me, batch.assignment.pk, "k", answers(batch))
    with pytest.raises(KeyReused):
        record_votes(me, batch.assignment.pk, "k", answers(batch, "dog"))


def test_only_open_rounds_and_workers_in_good_standing_get_work() -> None:
    round, me = make_round(make_dataset()), worker("ann")
    batch = claim_batch(me, round, 2)
    assert batch
    close_round(round)
    with pytest.raises(RoundNotOpen, match="closed"):
        claim_batch(me, round, 2)
    assert not Task.objects.exclude(leases=0).exists()
    assert {s for _, s in record_votes(me, batch.assignment.pk, "k", answers(batch))} == {"stored"}
    me.suspended = True
    with pytest.raises(NotAllowed, match="suspended"):
        claim_batch(me, round, 2)


def test_gold_comes_at_its_rate_once_each_and_anywhere_in_a_batch() -> None:
    round = make_round(make_dataset(images=400), gold=40, gold_rate=0.1, votes_min=3)
    places, orders, shares = Counter(), [], []
    for name in ("ann", "bob", "eve"):
        me, met = worker(name), []
        for number in range(15):
            batch = claim_batch(me, round, 20)
            assert batch
            places.update(n for n, task in enumerate(batch.tasks) if task.gold)
            met += [task.pk for task in batch.tasks if task.gold]
            record_votes(me, batch.assignment.pk, f"{name}{number}", answers(batch))
        assert len(met) == len(set(met))
        orders.append(met)
        shares.append(len(met) / 300)
    assert all(0.04 < share < 0.18 for share in shares)
    assert len(places) > 12  # of 20 places
    assert orders[0][:5] != orders[1][:5]  # two workers side by side learn nothing
    gold = Task.objects.filter(round=round, gold=True)
    assert sum(gold.values_list("votes", flat=True)) == sum(map(len, orders))
    assert not gold.filter(claimable=True).exists()


def test_a_gold_task_looks_like_any_other_by_its_number() -> None:
    round = make_round(make_dataset(images=300), gold=30)
    where = [n for n, gold in enumerate(round.tasks.order_by("pk").values_list("gold", flat=True)) if gold]
    assert max(where) - min(where) > 150
    ranks = list(round.tasks.order_by("pk").values_list("rank", flat=True))
    assert sorted(ranks) == list(range(300))
    assert sum(abs(a - b) == 1 for a, b in itertools.pairwise(ranks)) < 20


def test_the_number_of_statements_does_not_grow_with_the_batch() -> None:
    round, me = make_round(make_dataset(images=120)), worker("ann")
    counts = []
    for size in (2, 2, 50):  # the first time some rows are made
        with CaptureQueriesContext(
            connection,
        ) as claims:
            batch = claim_batch(me, round, size)
        assert batch
        with CaptureQueriesContext(connection) as posts:
            record_votes(me, batch.assignment.pk, f"k{size}{len(counts)}", answers(batch))
        counts.append((len(claims), len(posts)))
    assert counts[1] == counts[2]
    assert max(counts[2]) < 24


def test_audit_tasks_are_a_random_share_that_wants_the_most_votes() -> None:
    round = make_round(make_dataset(images=100), gold=20, audit_rate=0.25, votes_min=2, votes_max=6)
    assert round.tasks.filter(audit=True, gold=False, wanted=6).count() == 20
    assert round.tasks.filter(audit=False, wanted=2).count() == 80


def test_settling_and_asking_again_keep_the_counters() -> None:
    round = make_round(make_dataset(images=6), votes_min=2, votes_max=4)
    ids = list(round.tasks.order_by("pk").values_list("pk", flat=True))
    settle_tasks(round, ids[:3], ids[3:4])
    settle_tasks(round, ids[:3])  # twice is once
    round.refresh_from_db()
    assert (round.tasks_settled, round.tasks_exhausted) == (3, 1)
    assert list(round.tasks.claimable().order_by("pk").values_list("pk", flat=True)) == ids[4:]
    assert request_votes(round, {ids[0]: 9, ids[3]: 3, ids[4]: 2}) == 3  # 4 is the most; 2 is there already
    round.refresh_from_db()
    assert (round.tasks_settled, round.tasks_exhausted) == (2, 0)
    assert set(round.tasks.claimable().values_list("pk", flat=True)) == {ids[0], *ids[3:]}


def test_a_round_that_cannot_be_made_leaves_nothing() -> None:
    dataset = make_dataset(images=3)
    twice = [(dataset.images.all()[0].pk, None)] * 2
    from django.db import IntegrityError, transaction

    from annotation_site.services.rounds import open_round

    with pytest.raises(ValueError, match="no tasks"):
        open_round(dataset, "classify", tasks=[])
    with pytest.raises(ValueError, match="votes"):
        open_round(dataset, "classify", tasks=twice[:1], votes_min=5, votes_max=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        open_round(dataset, "classify", tasks=twice)
    assert not Round.objects.exists()
