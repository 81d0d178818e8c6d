"""Tokens for programs: made, shown once, limited by their scope, revoked."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.test import Client

from annotation_site.models import ApiToken, Round, User
from annotation_site.services.tokens import MAX_NAMED, make_token
from ingest.services.images import store_image
from tests.annotation_site.world import jpeg, make_dataset, make_round, person

pytestmark = pytest.mark.django_db
HERE = "/me/tokens/"


@pytest.fixture
def round(db: None) -> Round:
    return make_round(make_dataset(images=3))


@pytest.fixture
def cora(round: Round) -> User:
    return person("cora", "curator", round.dataset)


@pytest.fixture
def page(cora: User) -> Client:
    client = Client()
    client.login(username="cora", password="secret-cora")
    return client


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def claim(text: str, round: Round) -> Any:
    path = f"/api/v1/rounds/{round.pk}/claim"
    return Client().post(path, {"size": 1}, content_type="application/json", headers=bearer(text))


def vote(text: str, batch: dict[str, Any]) -> Any:
    body = {
        "assignment": batch["assignment"],
        "key": "k",
        "votes": [{"task": batch["tasks"][0]["task"], "label": "cat"}],
    }
    return Client().post("/api/v1/votes", body, content_type="application/json", headers=bearer(text))


def test_a_token_is_shown_once_and_works(page: Client, round: Round) -> None:
    assert "You have made no token yet" in page.get(HERE).content.decode()
    assert page.post(HERE, {"name": "nightly", "scope": "label"}).url == HERE
    shown = page.get(HERE).content.decode()
    [text] = re.findall(r'id="new_token" value="([\w-]+)"', shown)
    assert "nightly" in shown
    assert text not in page.get(HERE).content.decode()
    assert text not in str(list(ApiToken.objects.values())) + str(dict(page.session))
    assert claim(text, round).status_code == 200
    row = ApiToken.objects.get()
    assert row.last_used is not None
    page.post(HERE, {"revoke": row.pk})
    assert "The token was revoked" in page.get(HERE).content.decode()
    assert claim(text, round).status_code == 401


def test_a_reading_token_cannot_claim_vote_or_change_anything(
    cora: User, round: Round, caplog: pytest.LogCaptureFixture
) -> None:
    read, label = (make_token(cora, scope, scope) for scope in ("read", "label"))
    batch = claim(label, round).json()
    with caplog.at_level(logging.WARNING):
        for answer in (claim(read, round), vote(read, batch)):
            assert answer.status_code == 403
            assert answer["Content-Type"] == "application/problem+json"
            assert "has the scope “read”, and this call wants “label”" in answer.json()["detail"]
    assert "has the scope read" in caplog.text
    assert vote(label, batch).json()["results"][0]["status"] == "stored"
    assert Client().get("/api/v1/releases", headers=bearer(read)).status_code == 200


def test_a_labelling_token_reads_pictures_and_what_is_asked_alone(cora: User, round: Round) -> None:
    label = make_token(cora, "bot", "label")
    image, _ = store_image(round.dataset, jpeg())
    assert Client().get(f"/images/pets/{image.sha256}/thumb", headers=bearer(label)).status_code == 200
    for path in ("/api/v1/rounds", f"/api/v1/rounds/{round.pk}"):
        assert Client().get(path, headers=bearer(label)).status_code == 200, path
    for path in ("/api/v1/releases", "/api/v1/runs/1"):
        answer = Client().get(path, headers=bearer(label))
        assert answer.status_code in (403, 404), path
    refused = Client().get("/api/v1/releases", headers=bearer(label))
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")


def test_the_token_of_a_log_in_does_everything(cora: User, round: Round) -> None:
    body = {"username": "cora", "password": "secret-cora"}
    text = Client().post("/api/v1/login", body, content_type="application/json").json()["token"]
    assert vote(text, claim(text, round).json()).status_code == 200
    assert Client().get("/api/v1/releases", headers=bearer(text)).status_code == 200


def test_a_scope_never_widens_roles(round: Round) -> None:
    stranger = person("eve", dataset=make_dataset("birds", images=0))
    assert claim(make_token(stranger, "x", "full"), round).status_code == 403


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "", "scope": "read"}, "This field is required"),
        ({"name": "x" * 101, "scope": "read"}, "at most 100 characters"),
        ({"name": "x", "scope": "root"}, "not one of the available choices"),
        ({"name": "x"}, "This field is required"),
        ({"name": "\x00", "scope": "read"}, "Null characters"),
    ],
)
def test_refused_forms_make_nothing(page: Client, form: dict[str, str], said: str) -> None:
    answer = page.post(HERE, form)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_nobody_revokes_anothers_token(page: Client, round: Round) -> None:
    ann = person("ann", dataset=round.dataset)
    make_token(ann, "mine", "read")
    for which in (str(ApiToken.objects.get().pk), "", "x", "²", "9" * 40):
        page.post(HERE, {"revoke": which})
        assert "There is no such token of yours" in page.get(HERE).content.decode()
    assert ApiToken.objects.count() == 1


def test_tokens_of_log_ins_are_counted_and_revoked_together(page: Client, cora: User) -> None:
    for _ in range(3):
        ApiToken.issue(cora)
    make_token(cora, "kept", "read")
    assert "hold 3 tokens" in page.get(HERE).content.decode()
    page.post(HERE, {"revoke": "passwords"})
    shown = page.get(HERE).content.decode()
    assert "3 tokens from log-ins were revoked" in shown
    assert [t.name for t in ApiToken.objects.all()] == ["kept"]


def test_there_is_an_end_to_tokens(page: Client, cora: User) -> None:
    for number in range(MAX_NAMED):
        make_token(cora, str(number), "read")
    answer = page.post(HERE, {"name": "one more", "scope": "read"})
    assert "too many tokens" in answer.content.decode()
    assert ApiToken.objects.count() == MAX_NAMED


def test_the_page_is_for_its_owner(page: Client) -> None:
    assert Client().get(HERE).url == f"/login/?next={HERE}"
    assert 'href="/me/tokens/"' in page.get("/me/").content.decode()
    assert "no-store" in page.get(HERE)["Cache-Control"]
