"""Gold in a dataset: fresh from settled images, handed out once, retired when it leaked."""

import random
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation_site.models import Participation, Round, Task, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.votes import Answer, record_votes
from ingest.models import DuplicateGroup, Image
from quality.models import Consensus, Gold
from quality.services.consensus import aggregate_round
from quality.services.gold import add_settled_gold, gold_answers, gold_report, retire_gold
from quality.services.known import UnusableAnswers, add_gold, add_references
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, truth_of, vote_all

PLAN = RoundPlan(votes_min=3, votes_max=5, audit_rate=0.0)


@pytest.fixture(scope="module")
def made(kept_rows):
    """60 pictures labelled by five who are always right: gold 0, reference 1, test split 2."""
    dataset = make_dataset(60)
    add_gold(dataset, [("0.jpg", "cat")])
    add_references(dataset, [("1.jpg", "dog", "anna")])
    held = Image.objects.get(dataset=dataset, phash=2)
    DuplicateGroup.objects.filter(pk=held.group_id).update(draw=0.01)
    round = open_labelling_round(dataset, "classify", plan=RoundPlan(votes_min=5, votes_max=5, audit_rate=0))
    crowd(round, [always_right] * 5)
    aggregate_round(round)
    return dataset


@pytest.fixture
def settled(db, made):
    return deepcopy(made)


def test_settled_gold_is_balanced_and_never_known_or_of_the_test_split(settled):
    chosen = add_settled_gold(settled, 12)
    assert chosen["label"].value_counts().to_dict() == {"cat": 4, "dog": 4, "eel": 4}
    fresh = Gold.objects.filter(dataset=settled, origin=Gold.Origin.SETTLED).select_related("image")
    assert sorted(gold.image.sha256 for gold in fresh) == chosen["image"].tolist()
    assert all(gold.label == truth_of(gold.image) for gold in fresh)
    every = add_settled_gold(settled, 1000)
    assert len(every) == 60 - 3 - 12
    with pytest.raises(UnusableAnswers, match="no settled image"):
        add_settled_gold(settled, 1)


def test_settled_gold_goes_only_to_whoever_never_saw_the_image(settled):
    chosen = set(add_settled_gold(settled, 12)["image"])
    old = Round.objects.get(dataset=settled)
    again = open_labelling_round(
        settled, "classify", plan=RoundPlan(votes_min=1, votes_max=1, audit_rate=0, gold_rate=0.5)
    )
    before = [part.worker for part in Participation.objects.filter(round=old).select_related("worker")]
    newcomer = make_worker("newcomer")
    for worker in [before[0], newcomer]:
        vote_all(again, worker, always_right, 20)
    met = Vote.objects.filter(task__round=again, task__gold=True, task__image__sha256__in=chosen)
    assert set(met.values_list("worker_id", flat=True)) == {newcomer.pk}


def test_settled_gold_screens_and_proves_nothing(settled):
    add_settled_gold(settled, 12)
    again = open_labelling_round(settled, "classify", plan=RoundPlan(audit_rate=0, gold_rate=0.6))
    crowd(again, [lambda *_: "cat"])
    aggregate_round(again)
    report = gold_report(settled)
    assert (report.expert, report.settled, report.retired) == (1, 12, 0)
    assert report.answers > 0
    wrong = Consensus.objects.filter(task__round=again, task__gold=True, confidence=1.0)
    assert wrong.count() <= 1  # the expert's; what settled gold says is not forced on the consensus


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_no_gold_twice_and_none_met_in_another_round(transactional_clean, seed):
    rng = random.Random(seed)
    dataset = make_dataset(24, name=f"pets{seed}-{rng.random()}".replace(".", ""))
    add_gold(dataset, [(f"{n}.jpg", ("cat", "dog", "eel")[n % 3]) for n in range(8)])
    plan = RoundPlan(votes_min=2, votes_max=3, audit_rate=0.0, gold_rate=0.4, seed=seed % 100)
    rounds = [open_labelling_round(dataset, "classify", plan=plan) for _ in range(2)]
    workers = [make_worker(f"{dataset.name} {n}") for n in range(3)]
    answered: dict[tuple[int, int], int] = {}
    for step in range(24):
        worker, round = rng.choice(workers), rng.choice(rounds)
        batch = claim_batch(worker, round, rng.randint(1, 6))
        if batch is None:
            continue
        for task in batch.tasks:
            if task.gold:
                assert (worker.pk, task.image_id) not in answered
        told = [Answer(task.pk, "cat", 1.0) for task in batch.tasks]
        record_votes(worker, batch.assignment.pk, f"{step}", told)
        answered.update({(worker.pk, task.image_id): round.pk for task in batch.tasks})


@pytest.fixture
def transactional_clean(db):
    """Hypothesis examples share one test's database; each makes a dataset of its own."""


@pytest.mark.django_db
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_the_planned_share_of_places_is_gold(rate):
    dataset = make_dataset(240, "zebras")
    add_gold(dataset, [(f"{n}.jpg", ("cat", "dog", "eel")[n % 3]) for n in range(90)])
    plan = RoundPlan(votes_min=9, votes_max=9, audit_rate=0.0, gold_rate=rate)
    round = open_labelling_round(dataset, "classify", plan=plan)
    for number in range(4):
        vote_all(round, make_worker(f"w{number}"), always_right, 150)
    held = Vote.objects.filter(task__round=round)
    share = held.filter(task__gold=True).count() / held.count()
    assert share == pytest.approx(rate, abs=3 * (rate * (1 - rate) / 600) ** 0.5)


def test_retired_gold_is_ordinary_and_no_gold_in_new_rounds(settled):
    key = add_settled_gold(settled, 6)["image"][0]
    again = open_labelling_round(settled, "classify", plan=RoundPlan(audit_rate=0, gold_rate=0.9))
    crowd(again, [always_right])
    tasks = Task.objects.filter(round=again, image__sha256=key)
    assert [task.gold for task in tasks] == [True]
    assert retire_gold(settled, [key]) == (1, 1)
    assert [(task.gold, task.state, task.claimable) for task in tasks.all()] == [
        (False, Task.State.OPEN, True)
    ]
    assert retire_gold(settled, [key]) == (0, 0)
    assert gold_report(settled).retired == 1
    assert not gold_answers(settled).query("gold")["task"].eq(key).any()
    later = open_labelling_round(settled, "classify", plan=RoundPlan(audit_rate=0, gold_rate=0.5))
    assert not Task.objects.filter(round=later, image__sha256=key, gold=True).exists()
    assert add_settled_gold(settled, 100)["image"].ne(key).all()


@pytest.mark.parametrize(("key", "said"), [("nowhere.jpg", "unknown"), ("7.jpg", "no gold")])
def test_what_is_no_gold_cannot_be_retired(settled, key, said):
    with pytest.raises(UnusableAnswers, match=said):
        retire_gold(settled, ["0.jpg", key])
    assert gold_report(settled).retired == 0
