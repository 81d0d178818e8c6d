"""Later rounds: disputed pictures to better workers, proposals, repeats."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation_site.models import Invitation, Membership, Round, Task, Vote, Worker
from annotation_site.services.claims import claim_batch
from annotation_site.services.refusals import NotAllowed
from quality.aggregation import BadVotes
from quality.models import Proposal, WorkerSkill
from quality.services.adjudication import adjudicate
from quality.services.consensus import aggregate_round, consensus_by_image
from quality.services.followups import UnusableRound, eligible_workers, read_proposals, taken_up
from quality.services.rounds import RoundPlan, open_labelling_round, open_repeat_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, truth_of, vote_all

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=3, votes_max=3, confidence=0.6, audit_rate=0.0)


def eel_on_first_four(image, _proposed):
    return "eel" if image.phash < 4 else truth_of(image)


def dog_on_first_four(image, _proposed):
    return "dog" if image.phash < 4 else truth_of(image)


@pytest.fixture
def dataset():
    return make_dataset(12)


@pytest.fixture
def first(dataset):
    """Three people who all differ on pictures 0 and 3, and settle the others."""
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [always_right, eel_on_first_four, dog_on_first_four])
    aggregate_round(round)
    unsure = round.tasks.filter(state=Task.State.EXHAUSTED)
    assert set(unsure.values_list("image__phash", flat=True)) == {0, 3}
    return round


def phashes(round):
    return sorted(round.tasks.values_list("image__phash", flat=True))


# --- disputed and unsure --------------------------------------------------------------------------------


def test_disputed_pictures_are_taken_up_once(dataset, first):
    second = open_labelling_round(dataset, "classify", images="disputed", plan=PLAN)
    assert (phashes(second), second.parent) == ([0, 3], first)
    with pytest.raises(UnusableRound, match="no picture is disputed"):  # they are being asked about
        open_labelling_round(dataset, "classify", images="disputed", plan=PLAN)
    crowd(second, [always_right] * 3)
    aggregate_round(second)
    assert list(taken_up(dataset, "disputed", 0.9)) == []
    labels = {c.image_id: c.label for c in consensus_by_image(dataset)}
    assert all(labels[t.image_id] == truth_of(t.image) for t in second.tasks.select_related("image"))


def test_what_an_expert_decided_is_not_taken_up(dataset, first):
    adjudicate(first.tasks.get(image__phash=0), "cat", "eve")
    assert phashes(open_labelling_round(dataset, "classify", images="disputed", plan=PLAN)) == [3]


def test_unsure_is_a_confidence(dataset, first):
    sure = {row.confidence for row in taken_up(dataset, "unsure:1", 0.5)}
    assert len(list(taken_up(dataset, "unsure:0.6", 0.5))) == 2
    assert max(sure) > 0.6
    for nonsense in ("unsure:no", "unsure:0", "unsure:1.5", "unsure:nan"):
        with pytest.raises(UnusableRound, match="confidence"):
            list(taken_up(dataset, nonsense, 0.9))


def test_a_verify_round_asks_about_the_leading_label(dataset, first):
    verify = open_labelling_round(dataset, "verify", images="disputed", plan=PLAN)
    leading = {t.image_id: t.consensus.label for t in first.tasks.select_related("consensus")}
    asked = {t.image_id: t.category.key for t in verify.tasks.select_related("category")}
    assert asked == {image: leading[image] for image in asked}
    assert len(asked) == 2
    assert set(Proposal.objects.values_list("origin", flat=True)) == {f"consensus of round {first.pk}"}


# --- proposals ------------------------------------------------------------------------------------------


def test_proposals_become_verify_tasks(dataset):
    rows = [("0.jpg", "cat", 0.9), ("0.jpg", "dog", None), ("1.jpg", "dog", 0.5), ("1.jpg", "dog", 0.5)]
    told = read_proposals(dataset, rows, "model.csv")
    round = open_labelling_round(dataset, "verify", plan=PLAN, proposals=told)
    kept = Proposal.objects.order_by("task__image__phash", "task__category__key")
    assert list(kept.values_list("task__image__phash", "task__category__key", "origin", "probability")) == [
        (0, "cat", "model.csv", 0.9),
        (0, "dog", "model.csv", None),
        (1, "dog", "model.csv", 0.5),
    ]
    crowd(round, [always_right] * 3)
    aggregate_round(round)
    said = {c.image_id: c.label for c in consensus_by_image(dataset)}
    assert sorted(said.values()) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("x.jpg", "cat", 0.5), "unknown image"),
        (("0.jpg", "cow", 0.5), "no category"),
        (("0.jpg", "__none__", 0.5), "no category"),
        (("0.jpg", "cat", 1.5), "from 0 to 1"),
        (("1.jpg", "dog", 0.4), "two probabilities"),
    ],
)
def test_unusable_proposals(dataset, row, says):
    with pytest.raises(UnusableRound, match=says):
        read_proposals(dataset, [("1.jpg", "dog", 0.5), row], "model.csv")
    with pytest.raises(UnusableRound, match="verify"):
        open_labelling_round(dataset, "classify", proposals=[], plan=PLAN)


# --- better workers -------------------------------------------------------------------------------------


def test_only_invited_workers_get_tasks(dataset, first, client):
    good = WorkerSkill.objects.filter(round=first).order_by("-lo").first()
    chosen = eligible_workers(dataset, good.lo, None)
    assert chosen == [good.worker_id]
    round = open_labelling_round(dataset, "classify", images="disputed", plan=PLAN, invited=chosen)
    assert round.access == Round.Access.INVITED
    other = Worker.objects.exclude(pk=good.worker_id).filter(user__isnull=False).first()
    with pytest.raises(NotAllowed, match="invited"):
        claim_batch(other, round)
    assert len(claim_batch(good.worker, round).tasks) == 2
    for worker, sees in ((good.worker, True), (other, False)):
        Membership.objects.create(user=worker.user, dataset=dataset, role="annotator")
        client.force_login(worker.user)
        assert (f"/label/{round.pk}/" in client.get("/").content.decode()) == sees
        claim = client.post(f"/api/v1/rounds/{round.pk}/claim", {"size": 5}, content_type="application/json")
        assert claim.status_code == (200 if sees else 403)


def test_who_is_eligible(dataset, first):
    workers = Worker.objects.order_by("pk").values_list("code", "user__username")
    names, users = zip(*workers, strict=True)
    assert len(eligible_workers(dataset, None, [names[0], users[1]])) == 2
    assert eligible_workers(dataset, None, None) is None
    Worker.objects.filter(code=names[0]).update(suspended=True)
    with pytest.raises(UnusableRound, match="no worker is left"):
        eligible_workers(dataset, None, [names[0]])
    with pytest.raises(UnusableRound, match="1 worker is unknown: nobody"):
        eligible_workers(dataset, None, ["nobody"])
    with pytest.raises(UnusableRound, match="the best has"):
        eligible_workers(dataset, 0.9999, None)
    with pytest.raises(UnusableRound, match="between 0 and 1"):
        eligible_workers(dataset, 3, None)


def test_a_claim_asks_a_fixed_number_of_questions(dataset, first):
    workers = list(Worker.objects.filter(participations__round=first))
    rounds = [
        open_labelling_round(dataset, "classify", plan=PLAN, invited=[w.pk for w in workers]),
        open_repeat_round(first, 1.0),
    ]
    for round in rounds:
        counts = []
        for worker in workers[:2]:
            claim_batch(worker, round, 1)  # makes the participation
            held = round.assignments.values_list("pk", flat=True)
            with CaptureQueriesContext(connection) as found:
                assert claim_batch(worker, round, 5, holding=list(held)) is not None
            counts.append(len(found))
        assert counts[0] == counts[1] <= 16


# --- repeats --------------------------------------------------------------------------------------------


def test_a_repeat_asks_each_worker_what_they_answered(dataset, first):
    newcomer = make_worker("newcomer")
    late = Worker.objects.get(user__username="worker2")
    again = open_repeat_round(first, 0.5)
    assert (again.parent, again.is_repeat, again.question) == (first, True, "classify")
    with pytest.raises(NotAllowed):
        claim_batch(newcomer, again)
    for worker in Worker.objects.filter(participations__round=first):
        mine = set(
            Vote.objects.filter(worker=worker, task__round=first).values_list("task__image", flat=True)
        )
        assert vote_all(again, worker, always_right) == 6  # half of twelve
        told = Vote.objects.filter(worker=worker, task__round=again)
        assert set(told.values_list("task__image", flat=True)) <= mine
        assert claim_batch(worker, again) is None
    assert Invitation.objects.filter(round=again, worker=late).count() == 6
    assert not again.tasks.filter(claimable=True).exists()


def test_a_repeat_is_no_evidence(dataset, first):
    before = list(consensus_by_image(dataset))
    again = open_repeat_round(first, 1.0)
    for worker in Worker.objects.filter(participations__round=first):
        vote_all(again, worker, always_right)
    with pytest.raises(BadVotes, match=f"repeats round {first.pk}"):
        aggregate_round(again)
    aggregate_round(first)
    assert list(consensus_by_image(dataset)) == before
    with pytest.raises(UnusableRound, match="itself a repeat"):
        open_repeat_round(again, 0.5)
    with pytest.raises(UnusableRound, match="share"):
        open_repeat_round(first, 0.0)


def test_a_repeat_needs_votes(dataset):
    empty = open_labelling_round(dataset, "classify", plan=PLAN)
    with pytest.raises(UnusableRound, match="nobody has voted"):
        open_repeat_round(empty)
