import numpy as np
import pytest

from annotation_site.models import Round, Task, Vote
from annotation_site.services.rounds import close_round
from ingest.models import Image
from quality.models import Consensus, QCPass, WorkerSkill
from quality.services.consensus import aggregate_round, consensus_by_image, pass_report
from quality.services.known import add_gold, add_references
from quality.services.rounds import RoundPlan, UnusableRound, open_labelling_round, round_summary
from tests.quality.scenes import (
    add_image,
    always_right,
    crowd,
    make_dataset,
    make_worker,
    right_with,
    truth_of,
    vote_all,
)

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=2, votes_max=5, confidence=0.9, audit_rate=0.0)


def opened(dataset, question="classify", plan=PLAN, **options):
    return open_labelling_round(dataset, question, plan=plan, **options)


def state(round):
    """Everything that a pass may change."""
    return (
        list(Consensus.objects.order_by("task_id").values_list()),
        list(WorkerSkill.objects.order_by("id").values_list()),
        list(Task.objects.order_by("id").values_list()),
        list(QCPass.objects.order_by("id").values_list()),
        list(Round.objects.filter(pk=round.pk).values_list()),
    )


# --- opening -----------------------------------------------------------------------------------------


def test_a_round_asks_about_representatives_only():
    dataset = make_dataset(5)
    first = Image.objects.get(dataset=dataset, phash=0)
    copy = add_image(dataset, 100, group=first.group)
    round = opened(dataset)
    asked = set(round.tasks.values_list("image_id", flat=True))
    assert len(asked) == 5
    assert copy.pk not in asked
    chosen = opened(dataset, images=[copy.sha256, "1.jpg"])
    assert set(chosen.tasks.values_list("image__phash", flat=True)) == {0, 1}


def test_gold_images_become_gold_tasks_where_gold_is_given_out():
    dataset = make_dataset(6)
    add_gold(dataset, [("0.jpg", "cat"), ("1.jpg", "dog")])
    plain = opened(dataset)
    told = {"round": plain.pk, "tasks": 6, "gold": 0, "parent": None, "workers": None, "quiz": None}
    assert round_summary(plain) == told
    mixed = opened(dataset, plan=RoundPlan(gold_rate=0.2), images=["0.jpg", "5.jpg"])
    summary = round_summary(mixed)
    assert (summary["tasks"], summary["gold"]) == (3, 2)


def test_a_verify_round_proposes_what_was_searched():
    dataset = make_dataset(4)
    copy = add_image(dataset, 101, group=Image.objects.get(dataset=dataset, phash=0).group)
    assert truth_of(copy) == "eel"
    round = opened(dataset, "verify")
    pairs = set(round.tasks.values_list("image__phash", "category__key"))
    assert pairs == {(0, "cat"), (0, "eel"), (1, "dog"), (2, "eel"), (3, "cat")}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (RoundPlan(votes_min=4, votes_max=3), "min 4, max 3"),
        (RoundPlan(votes_min=0), "min 0"),
        (RoundPlan(confidence=1.2), "1.2"),
        (RoundPlan(gold_rate=-0.1), "-0.1"),
        (RoundPlan(gold_rate=0.1), "add_gold pets"),
        (RoundPlan(audit_rate=7), "7"),
        (RoundPlan(batch_size=0), "batch size"),
        (RoundPlan(title="x" * 201), "200 characters"),
    ],
)
def test_unusable_plans_make_no_round(plan, words):
    dataset = make_dataset(2)
    with pytest.raises(UnusableRound, match=words):
        opened(dataset, plan=plan)
    assert not Round.objects.exists()


def test_a_round_needs_images_and_groups():
    empty = make_dataset(0)
    with pytest.raises(UnusableRound, match="no images yet"):
        opened(empty)
    dataset = make_dataset(2, "loose")
    dataset.images.update(group=None)
    with pytest.raises(
        UnusableRound, match=r"2 images are in no duplicate group yet: run manage\.py dedup loose"
    ):
        opened(dataset)


# --- passes ------------------------------------------------------------------------------------------


def test_agreement_settles_and_a_second_pass_changes_nothing():
    dataset = make_dataset(12)
    round = opened(dataset)
    crowd(round, [always_right] * 3)
    made = aggregate_round(round)
    report = pass_report(made).as_dict()
    assert (report["tasks"], report["settled"], report["votes"]) == (12, 12, 24)
    for consensus in Consensus.objects.select_related("task__image", "category"):
        assert consensus.label == truth_of(consensus.task.image) == consensus.category.key
        assert consensus.votes == 2
        assert consensus.posterior[consensus.label] == max(consensus.posterior.values())
        assert sum(consensus.posterior.values()) == pytest.approx(1, abs=0.01)
    before = state(round)
    assert aggregate_round(round).pk == made.pk
    assert state(round) == before


def test_recomputing_from_nothing_gives_the_same_rows():
    dataset = make_dataset(12)
    round = opened(dataset)
    crowd(round, [right_with(0.7, n) for n in range(4)])
    aggregate_round(round)
    fields = ("task", "label", "category", "confidence", "votes", "tie", "method", "posterior")
    before = list(Consensus.objects.order_by("task_id").values_list(*fields))
    assert len(before) == 12
    Consensus.objects.all().delete()
    aggregate_round(round)
    assert list(Consensus.objects.order_by("task_id").values_list(*fields)) == before


def test_disputed_tasks_get_more_votes_until_the_most():
    dataset = make_dataset(9)
    round = opened(dataset, plan=RoundPlan(votes_min=2, votes_max=4, confidence=0.999999, audit_rate=0.0))
    for seed in range(2):
        vote_all(round, make_worker(f"first{seed}"), right_with(0.5, seed))
    report = pass_report(aggregate_round(round)).as_dict()
    assert report["asked_again"] + report["settled"] == 9
    assert report["asked_again"] > 0
    assert report["votes_asked"] == 2 * report["asked_again"]  # no fewer could make anything so sure
    assert round.tasks.filter(claimable=True).count() == report["asked_again"]
    for seed in range(2, 6):
        vote_all(round, make_worker(f"more{seed}"), right_with(0.5, seed))
        aggregate_round(round)
    round.refresh_from_db()
    assert round.tasks_settled + round.tasks_exhausted == 9
    assert round.tasks_exhausted > 0
    assert max(round.tasks.values_list("votes", flat=True)) == 4
    assert not round.tasks.filter(claimable=True).exists()


def test_a_closed_round_asks_for_nothing():
    dataset = make_dataset(6)
    round = opened(dataset, plan=RoundPlan(votes_min=1, votes_max=5, confidence=0.9999999, audit_rate=0.0))
    vote_all(round, make_worker("one"), right_with(0.5, 1))
    round = close_round(round)
    made = aggregate_round(round)
    assert (made.asked_again, made.votes_asked) == (0, 0)
    assert not round.tasks.filter(claimable=True).exists()


def test_gold_is_never_contradicted_nor_asked_again():
    dataset = make_dataset(9)
    add_gold(dataset, [("0.jpg", "dog"), ("1.jpg", "__none__")])  # not what the crowd says
    round = opened(dataset, plan=RoundPlan(votes_min=2, votes_max=5, gold_rate=0.3, audit_rate=0.0))
    crowd(round, [always_right] * 3)
    aggregate_round(round)
    gold = {
        c.task.image.phash: c for c in Consensus.objects.filter(task__gold=True).select_related("task__image")
    }
    assert {n: c.label for n, c in gold.items()} == {0: "dog", 1: "__none__"}
    assert {c.confidence for c in gold.values()} == {1.0}
    assert not round.tasks.filter(gold=True).exclude(wanted=2).exists()
    assert set(round.tasks.filter(gold=True).values_list("state", flat=True)) == {Task.State.SETTLED}
    skills = list(WorkerSkill.objects.filter(round=round))
    assert {skill.gold_votes for skill in skills} == {2}


def test_audited_tasks_settle_only_with_all_their_votes():
    dataset = make_dataset(6)
    round = opened(dataset, plan=RoundPlan(votes_min=1, votes_max=3, confidence=0.5, audit_rate=1.0))
    workers = [make_worker(f"w{n}") for n in range(3)]
    for worker in workers[:2]:
        vote_all(round, worker, always_right)
    assert aggregate_round(round).settled == 0
    vote_all(round, workers[2], always_right)
    assert aggregate_round(round).settled == 6


def test_verify_rounds_settle_yes_and_no_and_gold_is_translated():
    dataset = make_dataset(6)
    add_gold(dataset, [("0.jpg", "dog"), ("1.jpg", "dog")])
    round = opened(dataset, "verify")
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    labels = dict(Consensus.objects.values_list("task__image__phash", "label"))
    assert labels == {0: "no", 1: "yes", 2: "yes", 3: "yes", 4: "yes", 5: "yes"}


def test_a_task_on_which_everybody_abstains_has_no_consensus():
    dataset = make_dataset(4)
    round = opened(dataset)
    crowd(round, [lambda image, _: "__unsure__" if image.phash == 0 else truth_of(image)] * 2)
    aggregate_round(round)
    assert set(Consensus.objects.values_list("task__image__phash", flat=True)) == {1, 2, 3}
    silent = Task.objects.get(round=round, image__phash=0)
    assert (silent.state, silent.wanted) == (Task.State.OPEN, 5)


def test_voided_votes_leave_the_consensus():
    dataset = make_dataset(4)
    round = opened(dataset)
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    gone = Task.objects.get(round=round, image__phash=0)
    Vote.objects.filter(task=gone).update(voided=True, void_reason="worker")
    aggregate_round(round)
    assert not Consensus.objects.filter(task=gone).exists()
    assert Consensus.objects.count() == 3


def test_a_round_without_votes_passes():
    round = opened(make_dataset(3))
    report = pass_report(aggregate_round(round)).as_dict()
    assert (report["votes"], report["settled"], report["mean_confidence"]) == (0, 0, None)


def test_accuracy_is_measured_on_references_without_gold():
    dataset = make_dataset(9)
    add_gold(dataset, [("0.jpg", "cat")])
    add_references(dataset, [("0.jpg", "cat"), ("1.jpg", "dog"), ("2.jpg", "cat"), ("3.jpg", "cat")])
    round = opened(dataset)
    crowd(round, [always_right] * 2)
    accuracy = pass_report(aggregate_round(round)).estimated_label_accuracy
    assert accuracy["n"] == 3
    assert accuracy["value"] == pytest.approx(2 / 3)
    assert accuracy["lo"] < 2 / 3 < accuracy["hi"]
    assert accuracy["basis"] == "references"


def test_a_worker_who_always_says_the_same_is_flagged_with_evidence():
    dataset = make_dataset(60)
    round = opened(dataset, plan=RoundPlan(votes_min=4, votes_max=5, audit_rate=0.0))
    workers = crowd(round, [always_right, right_with(0.9, 1), right_with(0.9, 2), lambda image, _: "cat"])
    made = aggregate_round(round)
    skills = {skill.worker_id: skill for skill in WorkerSkill.objects.filter(round=round)}
    assert skills[workers[3].pk].flags == "constant"
    assert "60 of 60" in skills[workers[3].pk].evidence
    assert skills[workers[0].pk].flags == ""
    assert skills[workers[0].pk].skill > skills[workers[3].pk].skill
    assert pass_report(made).workers_flagged == 1


# --- what export reads --------------------------------------------------------------------------------


def labels_by_image(dataset):
    phash = dict(dataset.images.values_list("id", "phash"))
    return {phash[row.image_id]: (row.label, row.round_id) for row in consensus_by_image(dataset)}


def test_the_newest_round_that_says_something_wins():
    dataset = make_dataset(4)
    old = opened(dataset)
    crowd(old, [always_right] * 2)
    aggregate_round(old)
    new = opened(dataset, images=["0.jpg"])
    crowd(new, [lambda *_: "eel"] * 2)
    aggregate_round(new)
    assert labels_by_image(dataset) == {
        0: ("eel", new.pk), 1: ("dog", old.pk), 2: ("eel", old.pk), 3: ("cat", old.pk)
    }  # fmt: skip


def test_a_verified_proposal_is_a_label_and_a_refuted_one_takes_it_away():
    dataset = make_dataset(4)
    old = opened(dataset, images=["0.jpg", "1.jpg"])
    crowd(old, [always_right] * 2)
    aggregate_round(old)
    new = opened(dataset, "verify")
    crowd(new, [lambda image, _: "no" if image.phash == 0 else "yes"] * 2)
    aggregate_round(new)
    found = labels_by_image(dataset)
    assert found == {1: ("dog", new.pk), 2: ("eel", new.pk), 3: ("cat", new.pk)}


def test_consensus_stands_for_the_group_after_a_merge():
    dataset = make_dataset(3)
    round = opened(dataset)
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    one, two = (Image.objects.get(dataset=dataset, phash=n) for n in (1, 2))
    dataset.images.filter(pk=two.pk).update(group=one.group)
    rows = list(consensus_by_image(dataset))
    assert sorted(row.image_id for row in rows) == sorted(
        dataset.images.filter(phash__in=(0, 1)).values_list("id", flat=True)
    )


def test_ids_survive_beyond_nine_tasks():
    """Tasks are named by text in tables, whose order is not that of numbers."""
    dataset = make_dataset(30)
    round = opened(dataset)
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    labels = dict(Consensus.objects.values_list("task__image__phash", "label"))
    assert labels == {n: ("cat", "dog", "eel")[n % 3] for n in range(30)}
    assert np.mean(list(Consensus.objects.values_list("confidence", flat=True))) > 0.9
