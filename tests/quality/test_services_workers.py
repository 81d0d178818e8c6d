"""What is known of a worker now, what is proposed, and what follows a decision."""

import pytest

from annotation_site.models import Round, Task, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.refusals import NotAllowed
from quality.models import Consensus, WorkerAction, WorkerSkill
from quality.policy import Action
from quality.services.consensus import aggregate_round
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from quality.services.workers import (
    UnusableReview,
    current_record,
    note,
    proposals,
    restore_worker,
    review,
    suspend_worker,
    void_votes,
)
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, right_with, vote_all

pytestmark = pytest.mark.django_db


def always_cat(*_) -> str:
    return "cat"


@pytest.fixture
def dataset():
    dataset = make_dataset(60)
    add_gold(dataset, [(f"{n}.jpg", ("cat", "dog", "eel")[n % 3]) for n in range(9)])
    return dataset


@pytest.fixture
def round(dataset):
    plan = RoundPlan(votes_min=5, votes_max=7, audit_rate=0.0, gold_rate=0.2)
    return open_labelling_round(dataset, "classify", plan=plan)


def test_each_new_vote_moves_the_posterior_without_a_pass(round):
    crowd(round, [right_with(0.9, n) for n in range(4)])
    aggregate_round(round)
    good, bad = make_worker("good"), make_worker("bad")
    for worker, say in ((good, always_right), (bad, always_cat)):
        widths, skills = [], []
        for step in range(1, 25):
            vote_all(round, worker, say, 1)
            record, new = current_record(worker, round)
            assert (record.votes, new) == (step, step)
            lo, hi = record.interval()
            widths.append(hi - lo)
            skills.append(record.skill)
        assert widths[-1] < widths[0]
        assert (skills[-1] > 0.85) if worker == good else (skills[-1] < 0.65)
    assert not WorkerSkill.objects.filter(worker__in=[good, bad]).exists()
    aggregate_round(round)
    for worker in (good, bad):
        record, new = current_record(worker, round)
        kept = WorkerSkill.objects.get(round=round, worker=worker)
        assert new == 0
        assert record.skill == pytest.approx(kept.skill, abs=1e-6)
        assert record.interval() == pytest.approx((kept.lo, kept.hi), abs=0.06)


def test_votes_since_the_pass_continue_from_it(round):
    workers = crowd(round, [always_right] * 4)
    late = make_worker("late")
    vote_all(round, late, always_right, 20)
    aggregate_round(round)
    before, _ = current_record(late, round)
    vote_all(round, late, always_cat, 30)
    after, new = current_record(late, round)
    assert new == 30
    assert after.skill < before.skill - 0.1
    assert sum(after.confusion.values()) > 0
    (told,) = review(late, round.dataset)
    assert (told.votes, told.new_votes, told.skill) == (50, 30, pytest.approx(after.skill, abs=1e-6))
    assert review(workers[0], round.dataset)[0].new_votes == 0


def test_votes_without_any_pass_say_nothing_yet(round):
    worker = make_worker("first")
    vote_all(round, worker, always_right, 10)
    record, new = current_record(worker, round)
    assert (record.votes, new) == (10, 10)
    assert record.interval()[1] - record.interval()[0] > 0.5


def test_suspending_frees_what_is_held_and_restoring_gives_work_again(round):
    worker = make_worker("x")
    held = [task.pk for task in claim_batch(worker, round, 5).tasks if not task.gold]
    assert Task.objects.filter(pk__in=held, leases=1).count() == len(held)
    suspend_worker(worker, round.dataset, "same answer always", by="carl")
    assert Task.objects.filter(pk__in=held, leases=0).count() == len(held)
    with pytest.raises(NotAllowed):
        claim_batch(worker, round, 5)
    restore_worker(worker, round.dataset, "a mistake of mine", by="carl")
    assert claim_batch(worker, round, 5) is not None
    kept = WorkerAction.objects.filter(worker=worker).values_list("action", "reason", "by")
    assert list(kept) == [
        ("suspend", "same answer always", "carl"),
        ("restore", "a mistake of mine", "carl"),
    ]


@pytest.mark.parametrize("act", [suspend_worker, restore_worker])
def test_nothing_is_done_without_a_reason(round, act):
    worker = make_worker("x")
    with pytest.raises(UnusableReview, match="say why"):
        act(worker, round.dataset, "  ")
    with pytest.raises(UnusableReview, match="say why"):
        note(worker, round.dataset, "warn", "")
    worker.refresh_from_db()
    assert not worker.suspended
    assert not WorkerAction.objects.exists()


def figures(round: Round) -> list[tuple]:
    rows = Consensus.objects.filter(task__round=round).order_by("task__image__phash")
    return list(rows.values_list("task__image__phash", "label", "confidence", "votes", "posterior"))


def test_voiding_opens_the_tasks_and_leaves_what_would_be_without_that_worker(dataset):
    plan = RoundPlan(votes_min=3, votes_max=4, audit_rate=0.0, gold_rate=0.0)
    round = open_labelling_round(dataset, "classify", plan=plan)
    crowd(round, [right_with(0.95, n) for n in range(2)])
    before = figures(round)
    aggregate_round(round)
    without = figures(round)
    bad = make_worker("bad")
    given = vote_all(round, bad, always_cat)
    aggregate_round(round)
    assert figures(round) != without
    closed = Task.objects.filter(round=round).exclude(state=Task.State.OPEN).count()
    assert closed > 0

    action = void_votes(bad, round, "constant", by="carl")
    assert (action.votes, action.action) == (given, "void")
    assert before == []
    assert figures(round) == without
    assert Vote.objects.filter(worker=bad, voided=True, void_reason="worker").count() == given
    tasks = Task.objects.filter(round=round)
    assert set(tasks.values_list("votes", flat=True)) == {2}
    assert tasks.filter(state=Task.State.OPEN, claimable=True).count() == tasks.count()
    round.refresh_from_db()
    assert (round.tasks_settled, round.tasks_exhausted) == (0, 0)
    assert not WorkerSkill.objects.filter(worker=bad).exists()
    with pytest.raises(UnusableReview, match="no counted vote"):
        void_votes(bad, round, "again")

    crowd(round, [right_with(0.95, 9)])
    made = aggregate_round(round)
    assert made.settled > 0
    assert set(tasks.values_list("votes", flat=True)) <= {3, 4}


def test_proposals_step_up_with_what_was_done(round):
    bad = crowd(round, [right_with(0.9, 1), right_with(0.9, 2), right_with(0.9, 3), always_cat])[3]
    aggregate_round(round)
    (first,) = proposals(round.dataset)
    assert (first.worker, first.action) == (bad.code, Action.SUSPEND)
    assert "constant: gave one and the same answer" in first.reasons[0]
    assert first.reasons[0].endswith(f"(round {round.pk})")
    suspend_worker(bad, round.dataset, "constant")
    assert [p.action for p in proposals(round.dataset)] == [Action.VOID]
    restore_worker(bad, round.dataset, "talked to them")
    assert [p.action for p in proposals(round.dataset)] == [Action.SUSPEND]
    void_votes(bad, round, "constant")
    assert proposals(round.dataset) == []
