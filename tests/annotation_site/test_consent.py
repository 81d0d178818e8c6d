"""Consent: asked before the first pictures, by version; refusing does no harm, and loses no vote."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from annotation_site.models import Assignment, Consent, ConsentText, Round, User, Vote
from annotation_site.services.consent import MAX_TEXT, require_consent, save_text
from tests.annotation_site.world import make_dataset, make_round, person

pytestmark = pytest.mark.django_db
HERE = "/d/pets/consent/"
EDIT = "/d/pets/members/consent/"


@pytest.fixture
def round(db: None) -> Round:
    return make_round(make_dataset(images=4), title="Whose pet is it?")


@pytest.fixture
def cora(round: Round) -> User:
    return person("cora", "curator", round.dataset)


@pytest.fixture
def ann(round: Round) -> Client:
    person("ann", dataset=round.dataset)
    client = Client()
    client.login(username="ann", password="secret-ann")
    return client


def ask(cora: User, round: Round, text: str = "We keep votes.\n\nAsk <b>Cora</b>.", seen: int = 0) -> None:
    assert save_text(cora, round.dataset, text, seen=seen)


def accept(client: Client, version: int, **more: Any) -> Any:
    return client.post(HERE, {"version": version, "accept": "1", **more})


def claim(client: Client, round: Round) -> Any:
    return client.post(f"/api/v1/rounds/{round.pk}/claim", {"size": 2}, content_type="application/json")


def test_who_has_not_accepted_is_led_there_and_back(ann: Client, cora: User, round: Round) -> None:
    label = f"/label/{round.pk}/"
    assert ann.get(label).status_code == 200, "nothing is asked yet"
    Assignment.objects.all().delete()
    ask(cora, round)
    led = ann.get(label)
    assert led.url == f"{HERE}?next={label}"
    assert not Assignment.objects.exists(), "nothing was leased"
    page = ann.get(led.url).content.decode()
    assert "Ask &lt;b&gt;Cora&lt;/b&gt;." in page
    assert f'name="next" value="{label}"' in page
    assert accept(ann, 1, next=label).url == label
    assert ann.get(label).status_code == 200
    kept = Consent.objects.get()
    assert (kept.user.username, kept.text.version, kept.withdrawn) == ("ann", 1, None)
    assert f"{kept.created:%Y-%m-%d %H:%M}" in ann.get(HERE).content.decode()
    accept(ann, 1)
    assert Consent.objects.count() == 1, "twice is once"


def test_claims_wait_and_say_where_to_go(ann: Client, cora: User, round: Round) -> None:
    assert claim(ann, round).status_code == 200, "a dataset without a text asks nothing"
    ask(cora, round)
    refused = claim(ann, round)
    assert refused.status_code == 403
    assert refused["Content-Type"] == "application/problem+json"
    assert HERE in refused.json()["detail"]
    accept(ann, 1)
    assert claim(ann, round).status_code == 200


def test_votes_of_a_batch_at_hand_are_stored_whatever_is_asked_meanwhile(
    ann: Client, cora: User, round: Round
) -> None:
    batch = claim(ann, round).json()
    page = ann.get(f"/label/{round.pk}/").content.decode()
    ask(cora, round)
    [first, second] = [task["task"] for task in batch["tasks"]]
    body = {"assignment": batch["assignment"], "key": "k", "votes": [{"task": first, "label": "cat"}]}
    sent = ann.post("/api/v1/votes", body, content_type="application/json")
    assert sent.json()["results"][0]["status"] == "stored"
    fields = dict(re.findall(r'name="(assignment|key)" value="(\w+)"', page))
    ann.post(f"/label/{round.pk}/", {**fields, "task": second, "label": "dog"})
    assert Vote.objects.count() == 2


def test_refusing_leads_home_and_changes_nothing(ann: Client, cora: User, round: Round) -> None:
    ask(cora, round)
    answer = ann.post(HERE, {"version": 1, "refuse": "1"}, follow=True)
    page = answer.content.decode()
    assert "You did not accept. Nothing of Pets at home is given to you" in page
    assert "Whose pet is it?" in page, "it can be thought over"
    assert not Consent.objects.exists()
    assert claim(ann, round).status_code == 403


def test_consent_can_be_taken_back_and_given_again(ann: Client, cora: User, round: Round) -> None:
    ask(cora, round)
    accept(ann, 1)
    ann.post(HERE, {"version": 1, "refuse": "1"})
    assert "took your consent" in ann.get("/").content.decode()
    assert claim(ann, round).status_code == 403
    assert Consent.objects.get().withdrawn is not None
    accept(ann, 1)
    assert claim(ann, round).status_code == 200
    assert Consent.objects.count() == 2, "the record says both"


def test_a_new_version_is_asked_of_everybody_and_an_empty_one_of_nobody(
    ann: Client, cora: User, round: Round
) -> None:
    ask(cora, round)
    accept(ann, 1)
    ask(cora, round, "We publish them, too.", seen=1)
    assert claim(ann, round).status_code == 403
    assert accept(ann, 1).status_code == 200, "the old one is not enough"
    assert "The text was changed while you read it" in accept(ann, 1).content.decode()
    assert not Consent.objects.filter(text__version=2).exists()
    ask(cora, round, "", seen=2)
    assert claim(ann, round).status_code == 200
    assert "you can begin right away" in ann.get(HERE).content.decode()


@pytest.mark.parametrize("version", ["", "x", "-1", "²", "9" * 50, "0"])
def test_broken_forms_accept_nothing(ann: Client, cora: User, round: Round, version: str) -> None:
    ask(cora, round)
    assert ann.post(HERE, {"version": version, "accept": "1"}).status_code == 200
    assert ann.post(HERE, {"version": 1}).status_code == 200
    assert not Consent.objects.exists()


def test_nobody_is_led_to_another_site(ann: Client, cora: User, round: Round) -> None:
    ask(cora, round)
    for there in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        assert accept(ann, 1, next=there).url == "/"
        page = ann.get(HERE, {"next": there}).content.decode()
        assert re.search(r'name="version".*name="next" value="/"', page)
        assert f'href="{there}"' not in page


def test_only_labellers_are_asked(cora: User, round: Round) -> None:
    person("rita", "researcher", round.dataset)
    client = Client()
    assert client.get(HERE).url == f"/login/?next={HERE}"
    client.login(username="rita", password="secret-rita")
    assert client.get(HERE).status_code == 403


def test_another_datasets_text_asks_nothing_here(ann: Client, cora: User, round: Round) -> None:
    save_text(cora, make_dataset("birds", images=0), "Swear!", seen=0)
    assert claim(ann, round).status_code == 200


@pytest.fixture
def curator(cora: User) -> Client:
    client = Client()
    client.login(username="cora", password="secret-cora")
    return client


def test_curators_write_versions_and_see_who_accepted(ann: Client, curator: Client, round: Round) -> None:
    assert "Nothing: people begin right away" in curator.get(EDIT).content.decode()
    curator.post(EDIT, {"text": "First.\r\n\r\nSecond.", "seen": 0})
    assert ConsentText.objects.get().text == "First.\n\nSecond."
    accept(ann, 1)
    page = curator.get(EDIT).content.decode()
    assert "Version 1 is asked of everybody" in page
    assert re.search(r'<td class="num">1</td>', page)
    curator.post(EDIT, {"text": "First.\n\nSecond.", "seen": 1})
    assert "Nothing was changed" in curator.get(EDIT).content.decode()
    assert ConsentText.objects.count() == 1
    members = curator.get("/d/pets/members/").content.decode()
    assert re.search(r"ann.*accepted", members, re.S)


def test_two_curators_do_not_overwrite_each_other(curator: Client, cora: User, round: Round) -> None:
    ask(cora, round, "Mine.")
    answer = curator.post(EDIT, {"text": "Yours.", "seen": 0})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Somebody saved another version" in page
    assert "Yours." in page
    assert "Mine." in page
    assert ConsentText.objects.count() == 1


@pytest.mark.parametrize(("text", "seen"), [("x" * (MAX_TEXT + 1), "0"), ("a\x00", "0"), ("a", "z")])
def test_refused_texts_stay_in_the_field(curator: Client, text: str, seen: str) -> None:
    assert curator.post(EDIT, {"text": text, "seen": seen}).status_code == 422
    assert not ConsentText.objects.exists()


def test_one_query_for_a_claim(ann: Client, cora: User, round: Round, django_assert_num_queries: Any) -> None:
    ask(cora, round)
    accept(ann, 1)
    user = User.objects.get(username="ann")
    with django_assert_num_queries(1):
        require_consent(user, round.dataset)
