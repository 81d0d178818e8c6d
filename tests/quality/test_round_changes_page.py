"""Changing, pausing and previewing a round in the browser, and what a closed one offers: nothing."""

from decimal import Decimal

import pytest
from django.urls import reverse

from annotation_site.models import Assignment, Lease, Membership, Participation, Round, User, Vote, Worker
from annotation_site.services.rounds import close_round, settle_tasks
from quality import jobs
from quality.models import QCPass
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from quality.services.settling import Wish
from tests.quality.scenes import always_right, crowd, make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset():
    return make_dataset(12)


def round_of(dataset, question="classify", **numbers):
    plan = RoundPlan(
        **{"votes_min": 2, "votes_max": 4, "audit_rate": 0.0, "price": Decimal("0.05")} | numbers
    )
    return open_labelling_round(dataset, question, plan=plan)


def enter(client, dataset, role):
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def curator(client, dataset):
    return enter(client, dataset, "curator")


def at(name, round):
    return reverse(name, args=[round.dataset.name, round.pk])


def fields(round, **changes):
    usual = {
        "title": round.title, "votes_min": round.votes_min, "votes_max": round.votes_max, "confidence": 95,
        "price": "0.05", "batch_size": 20, "lease_minutes": 30, "tells_agreement": "on",
    }  # fmt: skip
    return usual | changes


def test_the_page_says_in_numbers_what_a_change_does_and_then_does_it(curator, dataset):
    round = round_of(dataset)
    crowd(round, [always_right])
    ids = list(round.tasks.values_list("pk", flat=True))
    settle_tasks(round, ids[:3], ids[3:5])
    form = fields(round, votes_max=9)
    text = curator.post(at("round_change", round), form).content.decode()
    assert "3 settled tasks stay settled; 7 open tasks may get up to 9 votes." in text
    assert "2 tasks that stayed unsure at 4 votes may be asked about again by the next pass." in text
    round.refresh_from_db()
    assert round.votes_max == 4
    answer = curator.post(at("round_change", round), form | {"apply": "1"}, follow=True)
    assert "The round is changed." in answer.content.decode()
    round.refresh_from_db()
    assert (round.votes_max, round.tasks_settled) == (9, 3)
    change = round.changes.get()
    assert (change.by, change.finished, change.after["votes_max"]) == ("curator", True, 9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"votes_min": 4}, "3 settled tasks are weighed again by the next pass"),
        ({"votes_min": 1}, "Tasks that wait for their first 2 votes wait for 1 only."),
        ({"votes_max": 2}, "Every vote that was given stays"),
        ({"confidence": 97}, "97% sure, instead of 95%"),
        ({"price": "0.07"}, "count each vote at $0.07; the 12 votes given so far, too."),
        ({"batch_size": 9}, "From the next batch on"),
        ({"title": "Other"}, "People see the new title at once."),
        ({"tells_agreement": ""}, "People are not told how often they were right on gold."),
        ({}, "Nothing: these are the numbers as they are."),
    ],
)  # fmt: skip
def test_each_number_says_what_it_does(curator, dataset, changes, said):
    round = round_of(dataset)
    crowd(round, [always_right])
    settle_tasks(round, list(round.tasks.values_list("pk", flat=True))[:3])
    assert said in curator.post(at("round_change", round), fields(round, **changes)).content.decode()


@pytest.mark.parametrize(
    "changes",
    [{"votes_max": 1}, {"votes_max": "x"}, {"confidence": 100}, {"confidence": "nan"}, {"price": "-1"},
     {"batch_size": 0}, {"lease_minutes": 0}, {"title": "x" * 201}, {"votes_min": ""}],
)  # fmt: skip
def test_bad_numbers_change_nothing(curator, dataset, changes, caplog):
    round = round_of(dataset)
    answer = curator.post(at("round_change", round), fields(round, **changes) | {"apply": "1"})
    assert answer.status_code in (400, 409)
    assert "was not changed" in caplog.text
    assert not round.changes.exists()


def test_the_preset_keeps_its_votes(curator, dataset):
    round = round_of(dataset, votes_max=10, wish=Wish(preset="imagenet"))
    answer = curator.post(at("round_change", round), fields(round, votes_max=5) | {"apply": "1"})
    assert answer.status_code == 409
    assert "first sample 10 votes" in answer.content.decode()


def test_pause_and_open_again(curator, dataset):
    round = round_of(dataset)
    text = curator.post(at("round_pause", round), follow=True).content.decode()
    assert "The round is paused" in text
    assert "Open it again" in text
    curator.post(at("round_reopen", round))
    round.refresh_from_db()
    assert round.state == "open"


def test_a_closed_round_offers_nothing_and_takes_nothing(curator, dataset, caplog):
    round = round_of(dataset)
    crowd(round, [always_right])
    close_round(round)
    text = curator.get(at("round", round)).content.decode()
    for words in ("Settle now", "Pause", "Change votes", "Close the round", "Instructions</a>"):
        assert words not in text
    for name in ("round_settle", "round_pause", "round_reopen", "round_close"):
        answer = curator.post(at(name, round))
        assert answer.status_code == 409
        assert "The round is closed" in answer.content.decode()
    assert curator.get(at("round_change", round)).status_code == 409
    assert curator.post(at("round_change", round), fields(round, votes_max=9, apply="1")).status_code == 409
    assert curator.get(at("round_instructions", round)).status_code == 409
    assert not QCPass.objects.exists()
    assert "closed" in caplog.text


def test_a_round_that_is_being_made_cannot_be_opened_by_hand(curator, dataset):
    half = Round.objects.create(dataset=dataset, question="classify", state="paused")
    for name in ("round_reopen", "round_close", "round_pause"):
        assert curator.post(at(name, half)).status_code == 409
    half.refresh_from_db()
    assert half.state == "paused"
    assert "It is being made" in curator.get(at("round", half)).content.decode()


def test_a_large_round_changes_in_the_background(curator, dataset, monkeypatch, run):
    told = []
    monkeypatch.setattr(jobs, "AT_ONCE_CHANGED", 5)
    monkeypatch.setattr(jobs, "start_process", lambda *words: told.append(words))
    round = round_of(dataset)
    answer = curator.post(at("round_change", round), fields(round, votes_min=4, apply="1"), follow=True)
    assert told == [("change_round", str(round.pk))]
    assert "has not reached all tasks yet" in answer.content.decode()
    curator.post(at("change_finish", round))
    assert len(told) == 2
    assert run("change_round", round.pk)[0] == 0
    assert set(round.tasks.values_list("wanted", flat=True)) == {4}
    assert "has not reached" not in curator.get(at("round", round)).content.decode()


def test_the_command_changes_what_it_is_told(dataset, run):
    round = round_of(dataset)
    code, out, _ = run(
        "change_round",
        round.pk,
        "--votes-max",
        6,
        "--price",
        "0.1",
        "--lease-minutes",
        5,
        "--pause",
        "--json",
    )
    assert code == 0
    assert '"state": "paused"' in out
    round.refresh_from_db()
    assert (round.votes_max, str(round.price), round.lease_seconds) == (6, "0.1000", 300)
    assert run("change_round", round.pk, "--reopen")[0] == 0
    assert run("change_round", round.pk, "--votes-max", 1)[0] == 2
    assert run("change_round", 999)[0] == 2
    close_round(round)
    assert run("change_round", round.pk, "--votes-max", 7)[0] == 2


@pytest.mark.parametrize("role", ["annotator", "reviewer", "researcher"])
def test_only_curators_change_rounds(client, dataset, role):
    round = round_of(dataset)
    enter(client, dataset, role)
    for name in ("round_change", "round_instructions"):
        assert client.get(at(name, round)).status_code == 403
    for name in ("round_change", "round_pause", "round_reopen", "change_finish", "round_instructions"):
        assert client.post(at(name, round), fields(round, apply="1")).status_code == 403
    assert client.get(at("round_preview", round)).status_code == (200 if role == "reviewer" else 403)


@pytest.mark.parametrize("question", ["classify", "verify"])
def test_a_preview_shows_the_labelling_page_and_stores_nothing(curator, dataset, question):
    add_gold(dataset, [(dataset.images.first().sha256, "cat")])
    round = round_of(dataset, question, gold_rate=0.2)
    answer = curator.get(at("round_preview", round))
    text = answer.content.decode()
    assert answer.status_code == 200
    assert '"preview": true' in text
    assert round.tasks.filter(gold=False).first().image.sha256 in text
    assert round.tasks.get(gold=True).image.sha256 not in text
    assert curator.post(at("round_preview", round), {"task": "1", "label": "cat"}).status_code == 302
    for model in (Assignment, Lease, Vote, Participation, Worker):
        assert not model.objects.exists()


def test_a_preview_of_a_closed_round_and_of_one_without_tasks(curator, dataset):
    round = round_of(dataset)
    settle_tasks(round, list(round.tasks.values_list("pk", flat=True)))
    close_round(round)
    assert curator.get(at("round_preview", round)).status_code == 200
    empty = Round.objects.create(dataset=dataset, question="classify", state="paused")
    assert curator.get(at("round_preview", empty)).status_code == 200
