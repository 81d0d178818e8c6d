"""The dataset's page: each picture once, yield, pace, and when and at what cost the open rounds end."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation_site.models import Assignment, Membership, Round, User
from annotation_site.services.rounds import close_round
from export.services import outlook as looking
from export.services.outlook import outlook, throughput
from quality.services import label_figures as counting
from quality.services.consensus import aggregate_round
from quality.services.label_figures import label_figures
from quality.services.report import category_counts, funnel
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, vote_all

pytestmark = pytest.mark.django_db
NUMBERS = {"votes_min": 2, "votes_max": 4, "audit_rate": 0.0, "price": Decimal("0.05")}


@pytest.fixture
def dataset():
    return make_dataset(12)


def settled_round(dataset, say=always_right, **changes):
    made = open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS | changes))
    crowd(made, [say] * 4)
    aggregate_round(made)
    return made


def page(client, dataset):
    user, _ = User.objects.get_or_create(username="curator")
    Membership.objects.get_or_create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    return client.get(reverse("dataset", args=[dataset.name])).content.decode()


def odd_one(image, proposed):
    """Right, but for one picture that was found as a cat: everybody says dog."""
    return "dog" if image.phash == 0 else always_right(image, proposed)


def test_a_picture_taken_up_by_a_second_round_counts_once_by_its_newest_word(dataset):
    settled_round(dataset, odd_one)
    assert {r["label"]: r["images"] for r in category_counts(dataset)} == {"dog": 5, "eel": 4, "cat": 3}
    settled_round(dataset)
    found = label_figures(dataset)
    assert {key: (row.images, row.settled) for key, row in found.categories.items()} == {
        "cat": (4, 4), "dog": (4, 4), "eel": (4, 4),
    }  # fmt: skip
    assert funnel(dataset) == {"asked": 12, "labelled": 12, "settled": 12, "unsure": 0}


def test_a_round_that_still_collects_takes_nothing_from_one_that_settled(dataset):
    settled_round(dataset)
    second = open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS))
    vote_all(second, make_worker("odd"), lambda image, proposed: "eel")
    aggregate_round(second)
    assert {key: row.images for key, row in label_figures(dataset).categories.items()} == {
        "cat": 4, "dog": 4, "eel": 4,
    }  # fmt: skip


def test_yield_is_the_share_of_judged_candidates_that_are_confirmed(client, dataset):
    settled_round(dataset, odd_one)
    cats = label_figures(dataset).categories["cat"]
    assert (cats.found, cats.judged, cats.confirmed) == (4, 4, 3)
    text = page(client, dataset)
    assert "92% of the judged candidates are what they were searched for: 11 of 12." in text
    assert "3 (75%)" in text


def test_a_verify_round_judges_its_proposals(dataset):
    made = open_labelling_round(dataset, "verify", plan=RoundPlan(**NUMBERS))
    crowd(made, [lambda image, proposed: "no" if image.phash == 1 else "yes"] * 4)
    aggregate_round(made)
    dogs = label_figures(dataset).categories["dog"]
    assert (dogs.found, dogs.judged, dogs.confirmed, dogs.settled) == (4, 4, 3, 3)


def test_a_large_dataset_reads_what_the_last_pass_counted(
    client, dataset, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(counting, "COUNTED", 5)
    made = open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS))
    assert not label_figures(dataset).known
    assert "counted by the next quality-control pass" in page(client, dataset)
    crowd(made, [always_right] * 4)
    aggregate_round(made)
    monkeypatch.setattr(counting, "_pictures", None)  # whoever walked through the pictures now would fail
    found = label_figures(dataset)
    assert (found.known, found.labelled, found.categories["cat"].confirmed) == (True, 12, 4)
    with django_assert_max_num_queries(45):
        assert "Counted at" in page(client, dataset)


def spread(per_day):
    """Finished batches of 10 answers; `per_day`: how many so many days ago."""
    made = Round.objects.order_by("pk").first()
    worker = make_worker("paced")
    now = timezone.now()
    for back in sorted(per_day, reverse=True):
        for _ in range(per_day[back]):
            row = Assignment.objects.create(round=made, worker=worker, state=1, tasks_given=10, expires=now)
            Assignment.objects.filter(pk=row.pk).update(created=now - timedelta(days=back))


def test_the_pace_is_the_mean_of_the_last_whole_days(dataset):
    open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS))
    other = make_dataset(3, "others")
    open_labelling_round(other, "classify", plan=RoundPlan(**NUMBERS))
    assert throughput(dataset).per_day == 0
    spread({30: 9, 13: 1, 3: 4, 2: 2, 0: 7})
    found = throughput(dataset)
    assert [n for _, n in found.days] == [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 20, 0, 70]
    assert found.per_day == pytest.approx(20)  # 60 votes in the three days since they began anew
    assert throughput(other).votes == 0


def test_of_many_batches_a_sample_tells_about_as_much(dataset, monkeypatch):
    open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS))
    spread({20: 50, 5: 120, 1: 60})
    monkeypatch.setattr(looking, "SAMPLE", 30)
    found = throughput(dataset)
    assert found.sampled
    days = dict(enumerate(n for _, n in reversed(found.days)))
    assert days[5] == pytest.approx(1200, rel=0.15)
    assert days[1] == pytest.approx(600, rel=0.15)


def test_bounds_before_a_pass_and_its_forecast_after(client, dataset):
    made = open_labelling_round(dataset, "classify", plan=RoundPlan(**NUMBERS))
    vote_all(made, make_worker("one"), always_right)
    found = outlook(dataset, [made], 12.0)
    assert (found.lo, found.hi, found.foretold) == (12, 36, False)
    assert (found.days_lo, found.days_hi) == (1, 3)
    assert (found.cost_lo, found.spent) == (pytest.approx(0.6), pytest.approx(0.6))
    kept = aggregate_round(made).forecast
    found = outlook(dataset, [made], 12.0)
    assert (found.votes, found.lo, found.hi, found.foretold) == (kept["votes"], kept["lo"], kept["hi"], True)
    vote_all(made, make_worker("two"), always_right, most=5)
    assert outlook(dataset, [made], 12.0).votes == kept["votes"] - 5
    text = page(client, dataset)
    assert "more votes finish the open rounds" in text
    assert "is spent" in text
    close_round(made)
    made.refresh_from_db()
    assert outlook(dataset, [made], 12.0) is None
