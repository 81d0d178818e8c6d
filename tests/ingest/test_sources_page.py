"""The page that says where the pictures come from."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from ingest.categories import CategoryRow
from ingest.models import Candidate, Dataset, Source
from ingest.services.datasets import create_dataset
from ingest.services.finding import url_key

pytestmark = pytest.mark.django_db
ADDRESS = "/d/birds/sources/"


@pytest.fixture
def dataset() -> Dataset:
    return create_dataset("birds", [CategoryRow("owl", "Owl")])


@pytest.fixture
def curator(dataset: Dataset) -> Client:
    return client_of(dataset, "curator")


def client_of(dataset: Dataset, role: str) -> Client:
    user = get_user_model().objects.create_user(f"a-{role}")
    user.memberships.create(dataset=dataset, role=role)
    client = Client()
    client.force_login(user)
    return client


def test_it_opens_for_those_with_a_role_in_this_dataset(dataset: Dataset, curator: Client) -> None:
    create_dataset("fish", [CategoryRow("eel", "Eel")])
    assert Client().get(ADDRESS).status_code == 302
    assert curator.get(ADDRESS).status_code == 200
    assert curator.get("/d/fish/sources/").status_code == 403
    assert curator.get("/d/nothing/sources/").status_code == 404
    for role, status in (("researcher", 200), ("reviewer", 200), ("annotator", 403)):
        assert client_of(dataset, role).get(ADDRESS).status_code == status


def test_an_empty_dataset_says_the_next_command(curator: Client) -> None:
    assert b"manage.py ingest birds" in curator.get(ADDRESS).content


def test_outcomes_and_reasons_are_shown_and_nothing_found_is_trusted(
    dataset: Dataset, curator: Client
) -> None:
    source = Source.objects.create(dataset=dataset, kind="list", location="/home/me/urls.csv")
    evil = "javascript:alert('<b>')"
    for url, state, reason in (
        ("http://h.example/1.jpg", Candidate.State.STORED, ""),
        ("http://h.example/2.jpg", Candidate.State.FORBIDDEN, "robots"),
        (evil, Candidate.State.FORBIDDEN, "scheme"),
    ):
        Candidate.objects.create(
            source=source, url=url, url_sha256=url_key(url), state=state, reason=reason, page_url=evil
        )
    response = curator.get(ADDRESS, {"state": "forbidden", "reason": "scheme"})
    page = response.content.decode()
    assert "1 source held 3 candidates; 1 became images" in " ".join(page.split())
    assert "robots.txt forbids it" in page
    assert "urls.csv" in page
    assert "/home/me" not in page
    assert "javascript:alert" in page
    assert 'href="javascript' not in page
    assert "<b>'" not in page
    assert [row["url"] for row in response.context["examples"]] == [evil]
    assert curator.get(ADDRESS, {"state": "nonsense"}).context["examples"] == []
