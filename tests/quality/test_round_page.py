"""What the round's page says about the votes still to come."""

from decimal import Decimal

import pytest
from django.urls import reverse

from annotation_site.models import Membership, User
from annotation_site.services.rounds import close_round
from quality.services.consensus import aggregate_round
from quality.services.forecast import outcomes
from quality.services.rounds import RoundPlan, open_labelling_round
from quality.services.settling import Wish
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, right_with, vote_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client):
    dataset = make_dataset(20)
    user = User.objects.create(username="curator")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    plan = RoundPlan(
        votes_min=2, votes_max=6, confidence=0.97, audit_rate=0.0, price=Decimal("0.05"),
        wish=Wish(category_confidence={"cat": 0.99}, least_gain=0.001),
    )  # fmt: skip
    round = open_labelling_round(dataset, "classify", plan=plan)

    def show():
        return client.get(reverse("round", args=[dataset.name, round.pk])).content.decode()

    return round, show


def test_the_page_foretells_votes_and_cost(page):
    round, show = page
    assert "more votes will finish it" not in show()
    vote_all(round, make_worker("one"), right_with(0.7, 1))
    kept = aggregate_round(round).forecast
    text = show()
    assert f"About {kept['votes']} more votes will finish it ({kept['lo']} to {kept['hi']})." in text
    assert f"They cost ${kept['votes'] * 0.05:.2f}" in text
    assert f"{20 + kept['lo']} to {20 + kept['hi']}" in text
    assert "Cat 99%" in text
    assert "errors that a vote must save" in text


def test_a_finished_round_says_whether_it_was_foretold(page):
    round, show = page
    vote_all(round, make_worker("one"), always_right)
    aggregate_round(round)
    for _ in range(8):
        crowd(round, [always_right] * 2)
        aggregate_round(round)
    assert not round.tasks.filter(claimable=True).exists()
    first = outcomes(list(round.qc_passes.all()))[0]
    assert first.took == round.votes_counted
    text = show()
    assert "more votes will finish it" not in text
    assert f"it took {first.took}" in text
    assert ("as foretold" in text) == first.held


def test_a_closed_round_foretells_nothing(page):
    round, show = page
    vote_all(round, make_worker("one"), right_with(0.7, 1))
    aggregate_round(round)
    close_round(round)
    assert "more votes will finish it" not in show()


def test_a_round_that_wants_an_accuracy_of_each_category_foretells_too(client):
    dataset = make_dataset(30)
    user = User.objects.create(username="curator")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    plan = RoundPlan(
        votes_min=2, votes_max=6, audit_rate=0.0, price=Decimal("0.05"), wish=Wish(expected_accuracy=0.9)
    )
    round = open_labelling_round(dataset, "classify", plan=plan)
    crowd(round, [always_right, right_with(0.6, 1)])
    kept = aggregate_round(round).forecast
    page = reverse("round", args=[dataset.name, round.pk])
    text = client.get(page).content.decode()
    assert kept["tasks"] > 0
    assert f"About {kept['votes']} more votes will finish it ({kept['lo']} to {kept['hi']})." in text
    assert f"They cost ${kept['votes'] * 0.05:.2f}" in text
    assert "once 90% of its labels are expected to be right" in text
    assert "90% of each category" in client.get(reverse("rounds", args=[dataset.name])).content.decode()
    for _ in range(6):
        crowd(round, [always_right])
        aggregate_round(round)
    assert not round.tasks.filter(claimable=True).exists()
    first = outcomes(list(round.qc_passes.all()))[0]
    assert first.took == round.votes_counted
    assert f"it took {first.took}" in client.get(page).content.decode()
