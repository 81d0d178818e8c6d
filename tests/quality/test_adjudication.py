"""Experts' decisions settle labels and prove nothing."""

import pandas as pd
import pytest

from annotation_site.models import Task
from export.services.publish import publish_release
from quality.models import Adjudication, Consensus, Reference, WorkerSkill
from quality.services.adjudication import UnusableDecision, adjudicate, decisions, take_back
from quality.services.consensus import aggregate_round, consensus_by_image, estimated_accuracy
from quality.services.known import add_gold, add_references, settled_references
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.export.world import World
from tests.quality.scenes import always_right, crowd, make_dataset

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=2, votes_max=2, confidence=0.9, audit_rate=0.0)


@pytest.fixture
def dataset():
    return make_dataset(9)


@pytest.fixture
def round(dataset):
    """Two people who differ on the first two pictures."""
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [always_right, lambda image, _: "eel" if image.phash < 2 else always_right(image, "")])
    aggregate_round(round)
    return round


def disputed(round):
    return round.tasks.get(image__phash=0)


def rows(round):
    held = Consensus.objects.filter(task__round=round).order_by("task_id")
    return list(held.values_list("task_id", "label", "confidence", "votes", "tie", "method", "posterior"))


def test_a_decision_settles_at_once_and_in_every_later_pass(round):
    task, skills = disputed(round), list(WorkerSkill.objects.values_list("worker", "skill"))
    round.refresh_from_db()
    settled, unsure = round.tasks_settled, round.tasks_exhausted
    assert task.state == Task.State.EXHAUSTED
    adjudicate(task, "dog", "eve")
    task.refresh_from_db()
    round.refresh_from_db()
    assert (task.state, task.consensus.label, task.consensus.confidence) == (1, "dog", 1.0)
    assert (round.tasks_settled, round.tasks_exhausted) == (settled + 1, unsure - 1)
    after = rows(round)
    aggregate_round(round)
    assert rows(round) == after
    # Nobody's skill was learned from it.
    assert list(WorkerSkill.objects.values_list("worker", "skill")) == skills
    made = Adjudication.objects.get()
    assert (made.expert, made.label, made.created is not None) == ("eve", "dog", True)


def test_the_newest_decision_counts_and_can_be_taken_back(round):
    task, before = disputed(round), rows(round)
    adjudicate(task, "dog", "eve")
    adjudicate(task, "cat", "adam")
    assert decisions(round) == {task.pk: "cat"}
    take_back(task, "adam")
    assert decisions(round) == {}
    aggregate_round(round)
    assert rows(round) == before
    task.refresh_from_db()
    assert task.state == Task.State.EXHAUSTED
    assert list(Adjudication.objects.values_list("label", flat=True)) == ["dog", "cat", ""]
    with pytest.raises(UnusableDecision):
        take_back(task, "eve")


def test_a_task_on_which_everybody_abstained_can_be_decided(dataset):
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [lambda *_: "__unsure__"] * 2)
    aggregate_round(round)
    assert not Consensus.objects.exists()
    adjudicate(round.tasks.first(), "cat", "eve")
    aggregate_round(round)
    assert [row[1:6] for row in rows(round)] == [("cat", 1.0, 2, False, "adjudication")]


def test_what_cannot_be_decided(dataset, round):
    task = disputed(round)
    for label in ("__unsure__", "yes", "cow", ""):
        with pytest.raises(UnusableDecision):
            adjudicate(task, label, "eve")
    add_gold(dataset, [("1.jpg", "dog")])
    gold = open_labelling_round(dataset, "classify", plan=RoundPlan(gold_rate=0.5)).tasks.get(gold=True)
    with pytest.raises(UnusableDecision, match="gold"):
        adjudicate(gold, "cat", "eve")
    assert not Adjudication.objects.exists()


def test_decisions_are_never_references(dataset, round):
    """The test split and the claims of accuracy know blind answers only."""
    add_references(dataset, [("5.jpg", "eel", "anna")])
    truth, claim = settled_references(dataset), estimated_accuracy(round)
    for task in round.tasks.all():
        adjudicate(task, "dog", "eve")
    aggregate_round(round)
    assert settled_references(dataset) == truth
    assert Reference.objects.count() == 1
    assert [row.label for row in consensus_by_image(dataset)] == ["dog"] * 9
    # The one blind answer still judges the decision: it is wrong.
    now = estimated_accuracy(round)
    assert (claim["value"], now["value"], now["n"]) == (1.0, 0.0, 1)


def test_a_decision_brings_no_picture_into_the_test_split(tmp_path):
    """A test picture is released with a blind answer or not at all, whatever an expert decided."""
    world = World().fill()
    decided, answered = (world.add_image(split="test") for _ in range(2))
    for image in (decided, answered):
        adjudicate(world.vote(image, ["finch", "owl", "finch"]), "owl", "eve")
    world.refer(answered, "finch")
    publish_release(world.dataset, "1.0.0", tmp_path)
    manifest = pd.read_parquet(tmp_path / "birds-1.0.0" / "manifest.parquet").set_index("image")
    assert decided.sha256 not in manifest.index
    assert manifest.loc[answered.sha256, ["split", "category", "reference"]].tolist() == [
        "test",
        "finch",
        "finch",
    ]
