"""The page of duplicates: what it lists, joining asks once, splitting, who may, and bad input."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from ingest.models import Candidate, Dataset, DuplicateDecision, Source
from ingest.services.duplicates import join_groups
from ingest.services.finding import url_key
from tests.ingest.test_duplicate_decisions import add, alone, check, make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def address(dataset: Dataset, rest: str = "") -> str:
    return f"/d/{dataset.name}/duplicates/{rest}"


def client_of(dataset: Dataset, role: str) -> Client:
    user = get_user_model().objects.create_user(f"a-{role}")
    user.memberships.create(dataset=dataset, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def curator(dataset: Dataset) -> Client:
    return client_of(dataset, "curator")


def joined(dataset: Dataset, *sizes: int) -> list:
    images = alone(dataset, sum(sizes))
    groups = []
    for size in sizes:
        part, images = images[:size], images[size:]
        groups.append(join_groups(dataset, [i.group_id for i in part], "ada") if size > 1 else part[0].group)
    return groups


def test_the_largest_come_first_and_pages_join_up(dataset, curator, monkeypatch):
    monkeypatch.setattr("ingest.views.duplicates.PAGE", 2)
    groups = joined(dataset, 2, 4, 1, 3, 2)
    seen, query = [], ""
    while query is not None:
        page = curator.get(address(dataset, query))
        seen += [card["group"].pk for card in page.context["groups"]]
        query = f"?{page.context['next']}" if page.context["next"] else None
    many = sorted((g for g in groups if g.size > 1), key=lambda g: (-g.size, -g.pk))
    assert seen == [g.pk for g in many]
    assert "4 pictures were found as several files" in page.content.decode()


def test_the_least_alike_come_first(dataset, curator):
    groups = joined(dataset, 2, 2, 3)
    page = curator.get(address(dataset, "?order=widest"))
    wanted = sorted(groups, key=lambda g: (-g.widest, -g.pk))
    assert [card["group"].pk for card in page.context["groups"]] == [g.pk for g in wanted]
    assert f"{wanted[0].widest} bits apart" in page.content.decode()


def test_joining_asks_once_and_then_does_it(dataset, curator):
    one, two = joined(dataset, 2, 2)
    asked = curator.post(address(dataset, "join"), {"group": [one.pk, two.pk]})
    assert "2 groups become one of 4 files." in " ".join(asked.content.decode().split())
    assert dataset.groups.count() == 2
    done = curator.post(address(dataset, "join"), {"group": [one.pk, two.pk], "confirmed": "1"}, follow=True)
    assert "4 files show one picture now." in done.content.decode()
    assert dataset.groups.get().size == 4
    assert DuplicateDecision.objects.last().by == "a-curator"
    check(dataset)


def test_two_files_are_named_by_hash_and_address(dataset, curator):
    one, two = alone(dataset, 2)
    source = Source.objects.create(dataset=dataset, kind="list", location="x")
    url = "https://a.example/2.jpg"
    Candidate.objects.create(source=source, url=url, url_sha256=url_key(url), image=two, state=1)
    body = {"file": [one.sha256, url], "confirmed": "1"}
    assert curator.post(address(dataset, "join"), body).status_code == 302
    assert dataset.groups.get().size == 2


def test_splitting_off(dataset, curator):
    (group,) = joined(dataset, 3)
    going = group.images.order_by("pk").last()
    done = curator.post(address(dataset, "split"), {"group": group.pk, "image": [going.pk]}, follow=True)
    assert "1 file is a picture of its own now" in done.content.decode()
    group.refresh_from_db()
    assert group.size == 2
    check(dataset)


@pytest.mark.parametrize(
    ("what", "body", "says"),
    [
        ("join", {}, "from two to fifty"),
        ("join", {"group": ["1e3", "x"]}, "from two to fifty"),
        ("join", {"group": ["999999", "999998"]}, "from two to fifty"),
        ("join", {"file": ["nothing", "0" * 64]}, "No single picture"),
        ("join", {"file": ["a\0b", "\0"]}, "No single picture"),
        ("split", {}, "Choose files"),
        ("split", {"group": "999999", "image": ["1"]}, "no such duplicate group"),
        ("split", {"group": "x", "image": ["-1"]}, "Choose files"),
    ],
)
def test_bad_input_changes_nothing_and_says_why(dataset, curator, what, body, says):
    joined(dataset, 2, 2)
    before = DuplicateDecision.objects.count()
    answer = curator.post(address(dataset, what), body)
    assert (answer.status_code, says in answer.content.decode()) == (400, True)
    assert DuplicateDecision.objects.count() == before
    assert dataset.groups.count() == 2


def test_another_datasets_groups_are_out_of_reach(dataset, curator):
    theirs = joined(make_dataset(), 2, 2)
    ids = [g.pk for g in theirs]
    assert curator.post(address(dataset, "join"), {"group": ids, "confirmed": "1"}).status_code == 400
    member = theirs[0].images.first()
    body = {"group": theirs[0].pk, "image": [member.pk]}
    assert curator.post(address(dataset, "split"), body).status_code == 400
    assert curator.get(address(dataset, f"?group={ids[0]}")).context["groups"] == []


@pytest.mark.parametrize(
    ("role", "read", "write"),
    [("annotator", 403, 403), ("researcher", 200, 403), ("reviewer", 200, 403), ("curator", 200, 400)],
)
def test_who_may(dataset, role, read, write):
    client = client_of(dataset, role)
    joined(dataset, 2)
    page = client.get(address(dataset))
    assert page.status_code == read
    assert (b"Split off" in page.content) == (role == "curator")
    assert client.post(address(dataset, "join")).status_code == write
    assert client.post(address(dataset, "split")).status_code == write


def test_without_a_log_in_one_is_sent_there(dataset):
    assert Client().get(address(dataset)).status_code == 302
    assert Client().post(address(dataset, "join")).status_code == 302


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=1,", "?order=odd", "?group=x", "?group=99999999999999999999"]
)
def test_odd_addresses_do_no_harm(dataset, curator, query):
    joined(dataset, 2)
    assert curator.get(address(dataset, query)).status_code == 200


def test_an_empty_page_says_what_to_do(dataset, curator):
    add(dataset, 1)
    assert f"dedup {dataset.name}" in curator.get(address(dataset)).content.decode()
