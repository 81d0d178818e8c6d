import pytest

from quality.services import report
from quality.services.consensus import aggregate_round
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, right_with

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=2, votes_max=2, confidence=0.8, audit_rate=0.0)


def settled_round(dataset, says, **options):
    round = open_labelling_round(dataset, "classify", plan=PLAN, **options)
    crowd(round, says)
    aggregate_round(round)
    round.refresh_from_db()
    return round


def test_the_funnel_counts_each_picture_once():
    dataset = make_dataset(9)
    assert report.funnel(dataset) == {"asked": 0, "labelled": 0, "settled": 0, "unsure": 0}
    round = settled_round(dataset, [always_right, lambda image, _: "cat" if image.phash < 3 else "eel"])
    one = report.funnel(dataset)
    assert (one["asked"], one["labelled"]) == (9, 9)
    assert (one["settled"], one["unsure"]) == (round.tasks_settled, round.tasks_exhausted)
    assert one["unsure"] > 0
    settled_round(dataset, [always_right] * 2)
    assert report.funnel(dataset) == {"asked": 9, "labelled": 9, "settled": 9, "unsure": 0}


def test_categories_are_counted_by_name():
    dataset = make_dataset(7)
    settled_round(dataset, [always_right] * 2)
    counts = [(row["name"], row["images"], row["settled"]) for row in report.category_counts(dataset)]
    assert counts == [("Cat", 3, 3), ("Dog", 2, 2), ("Eel", 2, 2)]


def test_agreement_and_spread():
    dataset = make_dataset(12)
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    assert report.agreement(round) is None
    assert report.confidence_histogram(round).total == 0
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    assert report.agreement(round) == 1.0
    spread = report.confidence_histogram(round)
    assert (spread.total, spread.counts[-1], spread.sampled) == (12, 12, False)
    other = settled_round(dataset, [right_with(0.5, 1), right_with(0.5, 2)])
    assert report.agreement(other) < 0.6
