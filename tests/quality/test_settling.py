"""What a round wants beyond votes and one confidence: by category, by price, by budget, as ImageNet did."""

import numpy as np
import pytest

from annotation_site.models import Round, Task, Vote
from annotation_site.services.rounds import close_round
from annotation_site.services.voiding import set_suspended
from quality.models import Consensus
from quality.presets import SAMPLE_TASKS, SAMPLE_VOTES
from quality.services.adjudication import adjudicate, take_back
from quality.services.consensus import aggregate_round, pass_report
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, UnusableRound, open_labelling_round
from quality.services.settling import Wish, keep_least_gain
from tests.quality.scenes import (
    always_right,
    crowd,
    make_dataset,
    make_worker,
    right_with,
    truth_of,
    vote_all,
)

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=2, votes_max=6, confidence=0.9, audit_rate=0.0)


def opened(dataset, question="classify", *, invited=None, images="all", **changes):
    plan = RoundPlan(**{**vars(PLAN), **changes})
    return open_labelling_round(dataset, question, plan=plan, invited=invited, images=images)


def states(round):
    return dict(round.tasks.values_list("image__phash", "state"))


def dispute(image, _proposed):
    """Right on all but the first four pictures."""
    return (
        truth_of(image) if image.phash >= 4 else {"cat": "dog", "dog": "eel", "eel": "cat"}[truth_of(image)]
    )


# --- settled is no one-way street ---------------------------------------------------------------------


def test_what_was_settled_opens_again_where_later_votes_leave_it_unsure():
    dataset = make_dataset(12)
    round = opened(dataset, confidence=0.8)
    crowd(round, [always_right] * 2)
    assert aggregate_round(round).settled == 12
    doubted = round.tasks.get(image__phash=1)
    for worker in (make_worker("late1"), make_worker("late2")):  # late votes, counted where there is room
        Vote.objects.create(task=doubted, worker=worker, answer=0, category=dataset.categories.get(key="cat"))
    made = aggregate_round(round)
    round.refresh_from_db()
    assert (made.settled, round.tasks_settled, made.asked_again) == (11, 11, 1)
    doubted.refresh_from_db()
    assert (doubted.state, doubted.claimable) == (Task.State.OPEN, True)
    assert aggregate_round(round).pk == made.pk


def test_a_closed_round_keeps_what_it_settled():
    dataset = make_dataset(6)
    round = opened(dataset, confidence=0.8)
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    round = close_round(round)
    Vote.objects.create(
        task=round.tasks.get(image__phash=0), worker=make_worker("late"), answer=0,
        category=dataset.categories.get(key="eel"),
    )  # fmt: skip
    made = aggregate_round(round)
    assert (made.settled, made.asked_again, made.forecast) == (6, 0, None)


def test_an_exhausted_task_that_lost_a_vote_is_asked_again():
    dataset = make_dataset(6)
    round = opened(dataset, votes_min=2, votes_max=2, confidence=0.999)
    crowd(round, [always_right, dispute])
    assert aggregate_round(round).exhausted == 6
    round.tasks.filter(image__phash=0).update(wanted=2)
    Vote.objects.filter(task__image__phash=0).order_by("pk").first().delete()
    assert aggregate_round(round).exhausted == 5
    assert states(round)[0] == Task.State.OPEN


def test_an_expert_settles_whatever_the_votes_say_and_may_take_it_back():
    dataset = make_dataset(9)
    round = opened(dataset, confidence=0.999)
    crowd(round, [always_right, dispute])
    aggregate_round(round)
    task = round.tasks.get(image__phash=0)
    adjudicate(task, "eel", "eve")
    aggregate_round(round)
    task.refresh_from_db()
    assert (task.state, task.consensus.label, task.consensus.confidence) == (Task.State.SETTLED, "eel", 1.0)
    take_back(task, "eve")
    aggregate_round(round)
    task.refresh_from_db()
    assert task.state == Task.State.OPEN


# --- who is left to ask ---------------------------------------------------------------------------------


def test_a_task_is_exhausted_when_all_who_are_invited_have_voted():
    dataset = make_dataset(8)
    workers = [make_worker(f"in{n}") for n in range(3)]
    round = opened(dataset, confidence=0.9999, invited=[w.pk for w in workers])
    for worker, say in zip(workers, (always_right, dispute), strict=False):
        vote_all(round, worker, say)
    made = aggregate_round(round)
    assert (made.exhausted, made.votes_asked) == (0, 8)  # one is left, whatever more is wished for
    set_suspended(workers[2], True)
    assert aggregate_round(round).exhausted == 8
    set_suspended(workers[2], False)
    assert aggregate_round(round).exhausted == 0
    vote_all(round, workers[2], always_right)
    assert aggregate_round(round).exhausted == 8


# --- confidence by category ---------------------------------------------------------------------------


def test_a_category_may_want_more_confidence_than_the_others():
    dataset = make_dataset(12)
    round = opened(dataset, confidence=0.8, wish=Wish(category_confidence={"cat": 0.999}))
    assert round.stopping == {"category_confidence": {"cat": 0.999}}
    crowd(round, [always_right] * 2)
    made = aggregate_round(round)
    assert (made.settled, made.asked_again) == (8, 4)
    assert {n for n, state in states(round).items() if state == Task.State.OPEN} == {0, 3, 6, 9}


def test_in_a_verify_round_it_is_the_proposed_category_that_wants_it():
    dataset = make_dataset(12)
    round = opened(dataset, "verify", confidence=0.8, wish=Wish(category_confidence={"dog": 0.999999}))
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    assert {n for n, state in states(round).items() if state == Task.State.OPEN} == {1, 4, 7, 10}


def test_an_expected_accuracy_stops_a_category_as_a_whole():
    dataset = make_dataset(24)
    says = [always_right, right_with(0.7, 1)]
    each, mean, never = (
        opened(dataset, confidence=0.65),
        opened(dataset, wish=Wish(expected_accuracy=0.65)),
        opened(dataset, wish=Wish(expected_accuracy=0.999)),
    )
    for round in (each, mean, never):
        crowd(round, says)
    assert 0 < aggregate_round(each).asked_again < 12  # pictures on which the two differ
    made = aggregate_round(mean)
    assert (made.settled, made.votes_asked) == (24, 0)
    assert (made.forecast["votes"], made.forecast["tasks"]) == (0, 0)
    made = aggregate_round(never)
    assert made.settled == 0
    assert made.forecast["tasks"] == 24
    assert 24 < made.forecast["lo"] <= made.forecast["votes"] <= made.forecast["hi"] <= 24 * 4


def test_what_is_never_asked_again_does_not_stand_in_the_way_of_what_may_be():
    """The "votes that save most" would be those on what experts decided, and no vote is asked for there."""
    dataset = make_dataset(24)
    round = opened(dataset, wish=Wish(expected_accuracy=0.9))
    crowd(round, [always_right, right_with(0.7, 1)])
    aggregate_round(round)
    split = [task for task in round.tasks.order_by("pk") if len({v.label for v in task.vote_set.all()}) > 1]
    assert len(split) > 4
    for task in split[:-2]:
        adjudicate(task, truth_of(task.image), "eve")
    for _ in range(12):
        made = aggregate_round(round)
        if not round.tasks.exclude(state=Task.State.SETTLED).exists():
            break
        assert round.tasks.filter(claimable=True).exists()
        crowd(round, [always_right])
    assert (made.settled, made.forecast["tasks"]) == (24, 0)


# --- prices and budgets -------------------------------------------------------------------------------


def test_no_vote_is_asked_that_costs_more_than_it_saves():
    dataset = make_dataset(12)
    round = opened(dataset, confidence=0.9999)
    crowd(round, [always_right, dispute])
    assert aggregate_round(round).asked_again == 12
    keep_least_gain(round, 0.05)
    priced = aggregate_round(round)
    assert priced.exhausted == 8  # what two agree on
    assert priced.asked_again == 4  # what they differ on: there a vote still pays
    assert aggregate_round(Round.objects.get(pk=round.pk)).pk == priced.pk  # it is kept with the round
    keep_least_gain(round, 0.0)
    assert aggregate_round(round).asked_again == 12


def test_a_budget_goes_where_votes_save_most():
    dataset = make_dataset(12)
    round = opened(dataset, confidence=0.9999)
    crowd(round, [always_right, dispute])
    aggregate_round(round, budget=0)
    assert not round.tasks.filter(claimable=True).exists()
    aggregate_round(round, budget=4)
    asked = round.tasks.filter(claimable=True)
    assert sum(t.wanted - t.votes for t in asked) == 4
    assert set(asked.values_list("image__phash", flat=True)) <= {0, 1, 2, 3}
    aggregate_round(round, budget=3)  # three more
    assert sum(t.wanted - t.votes for t in round.tasks.filter(claimable=True)) == 7


# --- as ImageNet did ----------------------------------------------------------------------------------


def preset(dataset, question="verify", **changes):
    settings = {"votes_min": 2, "votes_max": SAMPLE_VOTES, "wish": Wish(preset="imagenet"), **changes}
    return opened(dataset, question, **settings)


def test_the_first_sample_of_each_category_gets_ten_votes_before_the_others():
    dataset = make_dataset(3 * SAMPLE_TASKS + 9)
    round = preset(dataset)
    sample = round.tasks.filter(wanted=SAMPLE_VOTES)
    assert round.stopping == {"preset": "imagenet", "sample_below": 3 * SAMPLE_TASKS}
    assert sorted(sample.values_list("rank", flat=True)) == list(range(3 * SAMPLE_TASKS))
    by_category = [sample.filter(category__key=key).count() for key in ("cat", "dog", "eel")]
    assert by_category == [SAMPLE_TASKS] * 3
    assert sorted(round.tasks.values_list("rank", flat=True)) == list(range(3 * SAMPLE_TASKS + 9))


def test_a_category_is_settled_by_as_many_agreeing_votes_as_its_sample_says(monkeypatch):
    monkeypatch.setattr("quality.services.rounds.SAMPLE_TASKS", 5)
    dataset = make_dataset(24)
    round = preset(dataset, audit_rate=0.0)

    def says(seed):
        sees = right_with(0.72, seed)
        return lambda image, proposed: "yes" if proposed != "cat" or sees(image, "") == "cat" else "no"

    workers = [make_worker(f"w{n}") for n in range(SAMPLE_VOTES)]
    for number, worker in enumerate(workers[:5]):
        vote_all(round, worker, says(number))
    made = aggregate_round(round)
    assert (made.settled, made.asked_again, made.forecast) == (0, 0, None)  # the sample comes first
    for number, worker in enumerate(workers[5:], 5):
        vote_all(round, worker, says(number))
    made = aggregate_round(round)
    others = round.tasks.filter(rank__gte=round.stopping["sample_below"])
    assert set(others.exclude(category__key="cat").values_list("state", flat=True)) == {Task.State.SETTLED}
    cats = others.filter(category__key="cat")
    assert cats.filter(state=Task.State.OPEN).exists()
    assert made.votes_asked > 0
    assert made.forecast["lo"] <= made.forecast["votes"] <= made.forecast["hi"]
    for _ in range(8):
        for number, worker in enumerate(workers):
            vote_all(round, worker, says(number))
        aggregate_round(round)
    assert not round.tasks.filter(state=Task.State.OPEN).exists()


def test_in_a_classify_round_the_label_is_the_category(monkeypatch):
    monkeypatch.setattr("quality.services.rounds.SAMPLE_TASKS", 4)
    dataset = make_dataset(18)
    round = preset(dataset, "classify")
    assert round.tasks.filter(wanted=SAMPLE_VOTES).count() == 12
    crowd(round, [always_right] * SAMPLE_VOTES)
    assert aggregate_round(round).settled == 18


# --- what makes no sense ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wish": Wish(category_confidence={"cow": 0.9})}, "1 category with a confidence .* cow"),
        ({"wish": Wish(category_confidence={"cat": 1.5})}, "wanted of cat .* 1.5"),
        ({"wish": Wish(expected_accuracy=float("nan"))}, "expected accuracy .* nan"),
        ({"wish": Wish(least_gain=-1)}, "least gain .* -1"),
        ({"wish": Wish(preset="caltech")}, "only preset is imagenet"),
        ({"wish": Wish(preset="imagenet")}, "10 votes: votes max must be that or more; got 6"),
        ({"wish": Wish(preset="imagenet", expected_accuracy=0.9), "votes_max": 10}, "has its own rule"),
        ({"wish": Wish(preset="imagenet"), "votes_max": 10, "invited": [1, 2]}, "only 2 workers are invited"),
        ({"price": -1}, "price of a vote"),
    ],
)
def test_unusable_wishes_make_no_round(changes, words):
    dataset = make_dataset(3)
    with pytest.raises(UnusableRound, match=words):
        opened(dataset, **changes)
    assert not Round.objects.exists()


# --- the forecast that a pass keeps -------------------------------------------------------------------


def test_a_pass_keeps_its_forecast_and_its_price():
    dataset = make_dataset(30)
    add_gold(dataset, [("0.jpg", "cat"), ("1.jpg", "dog")])
    round = opened(dataset, gold_rate=0.2, price=2)
    vote_all(round, make_worker("one"), always_right, 10)
    made = aggregate_round(round)
    kept = made.forecast
    plain = Vote.objects.filter(task__gold=False).count()
    assert (kept["given"], kept["tasks"]) == (plain, 28)
    assert 56 - plain <= kept["lo"] <= kept["votes"] <= kept["hi"]
    told = pass_report(made).as_dict()["forecast"]
    assert told["cost"] == pytest.approx(2 / 0.8 * kept["votes"])  # a fifth of what is given out is gold
    crowd(round, [always_right] * 3)
    done = aggregate_round(round)
    assert done.forecast["tasks"] == done.forecast["votes"] == 0
    assert done.forecast["given"] <= kept["given"] + kept["hi"]


def test_audited_tasks_are_foretold_with_all_their_votes():
    dataset = make_dataset(40)
    round = opened(dataset, audit_rate=1.0, votes_max=5)
    vote_all(round, make_worker("one"), always_right, 3)
    kept = aggregate_round(round).forecast
    assert kept["lo"] >= 37 * 5
    assert kept["votes"] == pytest.approx(40 * 5 - 3, abs=5)


def test_stored_confidence_is_the_aggregates_not_the_rules():
    dataset = make_dataset(12)
    round = opened(dataset)
    crowd(round, [always_right, right_with(0.8, 3)])
    aggregate_round(round)
    for row in Consensus.objects.all():
        assert row.confidence == pytest.approx(row.posterior[row.label], abs=2e-6)
    assert np.isfinite(list(Consensus.objects.values_list("confidence", flat=True))).all()
