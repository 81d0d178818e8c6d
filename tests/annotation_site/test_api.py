"""The calls that outside programs rely on, and every way in which they say no."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from annotation_site.models import ApiToken, Round, Task, Vote
from annotation_site.services.logins import TRIES
from annotation_site.services.rounds import close_round
from tests.annotation_site.world import make_dataset, make_round, person

pytestmark = pytest.mark.django_db


def post(path: str, body: Any, token: str = "", client: Client | None = None, **more: Any) -> HttpResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return (client or Client()).post(
        f"/api/v1/{path}", data, content_type="application/json", headers=headers, **more
    )


def log_in(name: str) -> str:
    return post("login", {"username": name, "password": f"secret-{name}"}).json()["token"]


def is_problem(response: HttpResponse, status: int) -> str:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    return body["detail"]


@pytest.fixture
def round(db: None) -> Round:
    dataset = make_dataset()
    person("ann", dataset=dataset)
    return make_round(dataset, gold=2, gold_rate=0.2)


@pytest.fixture
def token(round: Round) -> str:
    return log_in("ann")


def test_the_whole_way_of_a_client(round: Round, token: str) -> None:
    claim = post(f"rounds/{round.pk}/claim", {"size": 4}, token)
    assert claim.status_code == 200
    batch = claim.json()
    assert set(batch) == {"assignment", "expires", "question", "choices", "tasks"}
    assert batch["question"] == "classify"
    assert batch["choices"] == ["cat", "dog", "eel", "__none__", "__unsure__"]
    assert len(batch["tasks"]) == 4
    for task in batch["tasks"]:  # nothing in it tells gold from others
        assert set(task) == {"task", "image_url", "thumbnail_url", "category"}
        assert task["category"] is None
        assert task["image_url"].startswith("/images/pets/")
    votes = [{"task": t["task"], "label": "dog", "seconds": 1.5} for t in batch["tasks"]]
    body = {"assignment": batch["assignment"], "key": "first", "votes": votes}
    sent = post("votes", body, token)
    assert sent.json() == {"results": [{"task": v["task"], "status": "stored"} for v in votes]}
    assert post("votes", body, token).content == sent.content
    assert Vote.objects.count() == 4
    other_key = post("votes", {**body, "key": "second"}, token).json()["results"]
    assert {r["status"] for r in other_key} == {"duplicate"}
    while (claim := post(f"rounds/{round.pk}/claim", {"size": 50}, token)).status_code == 200:
        tasks = claim.json()["tasks"]
        rest = [{"task": t["task"], "label": "__none__", "seconds": None} for t in tasks]
        post("votes", {"assignment": claim.json()["assignment"], "key": "rest", "votes": rest}, token)
    assert (claim.status_code, claim.content) == (204, b"")


def test_a_verify_round_names_the_category_proposed(round: Round, token: str) -> None:
    verify = make_round(round.dataset, "verify")
    batch = post(f"rounds/{verify.pk}/claim", {"size": 2}, token).json()
    assert (batch["question"], batch["choices"]) == ("verify", ["yes", "no", "unsure"])
    assert {t["category"] for t in batch["tasks"]} == {"cat"}
    votes = [{"task": t["task"], "label": "yes", "seconds": 1} for t in batch["tasks"]]
    sent = post("votes", {"assignment": batch["assignment"], "key": "k", "votes": votes}, token)
    assert {r["status"] for r in sent.json()["results"]} == {"stored"}


def test_only_a_hash_of_the_token_is_kept(token: str) -> None:
    assert token not in str(list(ApiToken.objects.values()))


def test_401_without_or_with_a_wrong_token(round: Round) -> None:
    for path in (f"rounds/{round.pk}/claim", "votes"):
        assert "Log in" in is_problem(post(path, {}), 401)
        is_problem(post(path, {}, "nonsense"), 401)
    assert "do not go together" in is_problem(post("login", {"username": "ann", "password": "x"}), 401)
    assert "do not go together" in is_problem(post("login", {"username": "a\0", "password": "x"}), 401)


def test_guessing_passwords_is_slowed_down(round: Round) -> None:
    for _ in range(TRIES):
        is_problem(post("login", {"username": "ann", "password": "guess"}), 401)
    right = {"username": "ann", "password": "secret-ann"}
    slowed = post("login", right)
    assert "Too many" in is_problem(slowed, 429)
    assert int(slowed["Retry-After"]) > 0
    assert post("login", right, REMOTE_ADDR="10.0.0.9").status_code == 200  # somebody else's guesses


def test_a_token_dies_with_the_account(round: Round, token: str) -> None:
    user = ApiToken.objects.get().user
    user.is_active = False
    user.save()
    is_problem(post(f"rounds/{round.pk}/claim", {"size": 1}, token), 401)


def test_403_for_people_without_a_role_here(round: Round) -> None:
    person("stranger", dataset=make_dataset("birds", images=1))
    person("reader", "researcher", round.dataset)
    for name in ("stranger", "reader"):
        assert "may not label" in is_problem(post(f"rounds/{round.pk}/claim", {"size": 1}, log_in(name)), 403)
    person("anywhere", "annotator")
    assert post(f"rounds/{round.pk}/claim", {"size": 1}, log_in("anywhere")).status_code == 200


def test_a_suspended_worker_gets_nothing(round: Round, token: str) -> None:
    user = ApiToken.objects.get().user
    user.worker.suspended = True
    user.worker.save()
    assert "suspended" in is_problem(post(f"rounds/{round.pk}/claim", {"size": 1}, token), 403)


def test_404_for_what_is_not_there_or_not_mine(round: Round, token: str) -> None:
    is_problem(post("rounds/99999/claim", {"size": 1}, token), 404)
    is_problem(post("nowhere", {}, token), 404)
    person("bob", dataset=round.dataset)
    batch = post(f"rounds/{round.pk}/claim", {"size": 1}, log_in("bob")).json()
    votes = [{"task": batch["tasks"][0]["task"], "label": "cat", "seconds": 1}]
    body = {"assignment": batch["assignment"], "key": "k", "votes": votes}
    is_problem(post("votes", body, token), 404)
    assert not Vote.objects.exists()


def test_409_for_a_closed_round_and_a_key_used_otherwise(round: Round, token: str) -> None:
    batch = post(f"rounds/{round.pk}/claim", {"size": 1}, token).json()
    vote = {"task": batch["tasks"][0]["task"], "label": "cat", "seconds": 1}
    body = {"assignment": batch["assignment"], "key": "k", "votes": [vote]}
    assert post("votes", body, token).status_code == 200
    changed = {**body, "votes": [{**vote, "label": "dog"}]}
    assert "key" in is_problem(post("votes", changed, token), 409)
    close_round(round)
    assert "closed" in is_problem(post(f"rounds/{round.pk}/claim", {"size": 1}, token), 409)


def test_422_names_what_is_wrong_and_stores_nothing(round: Round, token: str) -> None:
    batch = post(f"rounds/{round.pk}/claim", {"size": 2}, token).json()
    good = {"task": batch["tasks"][0]["task"], "label": "cat", "seconds": 1}
    body = {"assignment": batch["assignment"], "key": "k", "votes": [good]}
    for broken in (
        {**body, "votes": [good, {**good, "label": "lion"}]},
        {**body, "votes": []},
        {**body, "votes": [good] * 1001},
        {**body, "votes": [{**good, "task": "first"}]},
        {**body, "votes": [{**good, "task": 2**70}]},
        {**body, "assignment": 2**70},
        {**body, "key": ""},
        {**body, "key": "two words"},
        {**body, "key": "k" * 65},
        {"votes": [good]},
        [body],
        "no json",
        b"\xff\xfe",
    ):
        assert is_problem(post("votes", broken, token), 422)
    assert "lion" in is_problem(post("votes", {**body, "votes": [{**good, "label": "lion"}]}, token), 422)
    for size in (0, -1, "many", 10**30):
        is_problem(post(f"rounds/{round.pk}/claim", {"size": size}, token), 422)
    assert not Vote.objects.exists()
    assert Task.objects.filter(leases__gt=0, gold=False).count() <= 2


def test_odd_numbers_of_seconds_do_no_harm(round: Round, token: str) -> None:
    batch = post(f"rounds/{round.pk}/claim", {"size": 3}, token).json()
    odd = ["NaN", "-5", "1e300"]
    votes = ", ".join(
        f'{{"task": {t["task"]}, "label": "cat", "seconds": {s}}}'
        for t, s in zip(batch["tasks"], odd, strict=True)
    )
    raw = f'{{"assignment": {batch["assignment"]}, "key": "k", "votes": [{votes}]}}'
    assert post("votes", raw, token).status_code == 200
    assert sorted(Vote.objects.exclude(seconds=None).values_list("seconds", flat=True)) == [0.0, 3600.0]


def test_a_request_too_large_to_read(token: str) -> None:
    is_problem(post("votes", "[" + "1," * 1_500_000 + "1]", token), 413)


def test_pages_call_with_their_session_and_a_csrf_token(round: Round) -> None:
    client = Client(enforce_csrf_checks=True)
    client.login(username="ann", password="secret-ann")
    assert "CSRF" in is_problem(post(f"rounds/{round.pk}/claim", {"size": 1}, client=client), 403)
    client.get(f"/label/{round.pk}/")
    token = client.cookies["csrftoken"].value
    answered = client.post(
        f"/api/v1/rounds/{round.pk}/claim",
        "{}",
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert answered.status_code == 200


def test_the_api_describes_itself_without_another_host(client: Client) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert {"/api/v1/login", "/api/v1/rounds/{round_id}/claim", "/api/v1/votes"} <= set(paths)
    page = client.get("/api/v1/docs").content.decode()
    assert "/static/ninja/" in page
    assert "//cdn" not in page


def test_sign_of_life(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
