"""Coming to a dataset: links, open sign-up, and what happens when a link is closed."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation_site.models import Entrance, InvitationLink, Membership, Role, User
from annotation_site.services import joining
from annotation_site.services.joining import FAILED_FORMS, NEW_ACCOUNTS, LinkClosed, door_of_link, join
from annotation_site.services.members import make_link, revoke_link, set_sign_up
from ingest.models import Dataset
from tests.annotation_site.world import make_dataset, make_round, person

pytestmark = pytest.mark.django_db
FORM = {"username": "newbie", "password": "violet-otter-42", "again": "violet-otter-42", "email": ""}


@pytest.fixture
def pets(db: None) -> Dataset:
    return make_dataset(images=1)


@pytest.fixture
def cora(pets: Dataset) -> User:
    return person("cora", "curator", pets)


def path(token: str) -> str:
    return f"/join/{token}/"


def test_a_stranger_makes_an_account_by_a_link_and_may_label(
    client: Client, pets: Dataset, cora: User
) -> None:
    make_round(pets, title="Whose pet is it?")
    token = make_link(cora, pets, Role.ANNOTATOR, note="the Tuesday class")
    page = client.get(path(token)).content.decode()
    assert "Pets at home" in page
    assert "You are invited as annotator" in page
    assert "Tuesday" not in page, "the note is the curators' own"
    done = client.post(path(token), FORM, follow=True).content.decode()
    assert "Welcome to Pets at home" in done
    assert "Whose pet is it?" in done
    newbie = User.objects.get(username="newbie")
    assert newbie.check_password("violet-otter-42")
    assert [(m.dataset, m.role) for m in newbie.memberships.all()] == [(pets, "annotator")]
    assert not newbie.is_staff


def test_only_a_hash_of_the_token_is_kept(pets: Dataset, cora: User) -> None:
    token = make_link(cora, pets, Role.REVIEWER)
    [row] = InvitationLink.objects.values()
    assert token not in str(row)
    assert row["token_sha256"] == InvitationLink.digest(token)


def test_somebody_logged_in_joins_with_one_click_and_keeps_their_account(
    client: Client, pets: Dataset, cora: User
) -> None:
    birds = make_dataset("birds", images=0)
    ann = person("ann", dataset=birds)
    token = make_link(cora, pets, Role.REVIEWER)
    asked = client.get(path(token)).content.decode()
    assert f"/login/?next=/join/{token}/" in asked
    client.login(username="ann", password="secret-ann")
    assert "Join as ann" in client.get(path(token)).content.decode()
    assert client.post(path(token)).url == "/"
    assert ann.has_role(pets, Role.REVIEWER)
    assert client.get(path(token)).status_code == 410


def test_who_has_the_role_uses_nothing_up(client: Client, pets: Dataset, cora: User) -> None:
    person("ann", dataset=pets)
    token = make_link(cora, pets, Role.ANNOTATOR)
    client.login(username="ann", password="secret-ann")
    assert "You have this role already" in client.get(path(token)).content.decode()
    client.post(path(token))
    assert InvitationLink.objects.get().uses_left == 1


@pytest.mark.parametrize("how", ["expired", "used up", "revoked"])
def test_closed_links_say_so_and_make_no_account(
    client: Client, pets: Dataset, cora: User, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = make_link(cora, pets, Role.ANNOTATOR)
    link = InvitationLink.objects.get()
    if how == "expired":
        InvitationLink.objects.update(expires=timezone.now() - timedelta(seconds=1))
    elif how == "used up":
        InvitationLink.objects.update(uses_left=0)
    else:
        revoke_link(cora, pets, link.pk)
    said = {"expired": "It has expired", "used up": "used as often", "revoked": "It was revoked"}[how]
    with caplog.at_level(logging.WARNING):
        for response in (client.get(path(token)), client.post(path(token), FORM)):
            assert response.status_code == 410
            assert said in response.content.decode()
    assert f"invitation link {link.pk} is closed" in caplog.text
    assert not User.objects.filter(username="newbie").exists()


def test_unknown_links_and_closed_datasets_say_the_same_to_everybody(client: Client, pets: Dataset) -> None:
    for there in (path("x" * 32), path("\x00"), path("é" * 900), "/d/pets/join/", "/d/no-such/join/"):
        response = client.get(there)
        assert response.status_code == 404, there
        assert "Pets at home" not in response.content.decode()
    closed, missing = (client.get(f"/d/{n}/join/").content.decode() for n in ("pets", "no-such"))
    main = re.compile(r"<main.*</main>", re.S)
    assert main.findall(closed) == main.findall(missing) != []


def test_a_link_lets_in_as_many_as_it_says(client: Client, pets: Dataset, cora: User) -> None:
    token = make_link(cora, pets, Role.ANNOTATOR, uses=2)
    for number in range(2):
        assert Client().post(path(token), {**FORM, "username": f"new{number}"}).url == "/"
    assert Client().post(path(token), {**FORM, "username": "new2"}).status_code == 410
    assert Membership.objects.filter(dataset=pets, role="annotator").count() == 2
    link = InvitationLink.objects.get()
    assert (link.uses, link.uses_left) == (2, 0)


def test_a_lost_race_for_the_last_use_changes_nothing(pets: Dataset, cora: User) -> None:
    door = door_of_link(make_link(cora, pets, Role.ANNOTATOR))
    assert join(person("ann", "researcher", pets), door)
    with pytest.raises(LinkClosed):
        join(person("bob", "researcher", pets), door)
    with pytest.raises(LinkClosed):
        joining.sign_up(door, "carl", "violet-otter-42")
    assert not User.objects.filter(username="carl").exists()
    assert not Membership.objects.filter(user__username="bob", role="annotator").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"username": "CORA"}, "Somebody has this user name already"),
        ({"username": "a b"}, "Enter a valid username"),
        ({"username": ""}, "This field is required"),
        ({"username": "x" * 151}, "at most 150 characters"),
        ({"username": "nul\x00"}, "Null characters are not allowed"),
        ({"password": "12345678", "again": "12345678"}, "too common"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "newbie12", "again": "newbie12"}, "too similar to the username"),
        ({"again": "another-otter-42"}, "not the same password"),
        ({"email": "nowhere"}, "Enter a valid email address"),
    ],
)
def test_refused_forms_keep_what_was_typed_and_make_nothing(
    client: Client, pets: Dataset, cora: User, change: dict[str, str], said: str
) -> None:
    token = make_link(cora, pets, Role.ANNOTATOR)
    response = client.post(path(token), {**FORM, "email": "n@example.org", **change})
    assert response.status_code == 422
    page = response.content.decode()
    assert said in page
    assert 'aria-invalid="true"' in page
    if "email" not in change:
        assert 'value="n@example.org"' in page
    assert "violet-otter" not in page
    assert User.objects.count() == 1
    assert InvitationLink.objects.get().uses_left == 1


def test_open_datasets_take_everybody_as_annotators_and_only_so(
    client: Client, pets: Dataset, cora: User
) -> None:
    set_sign_up(cora, pets, Entrance.SignUp.OPEN)
    assert "Join Pets at home" in client.get("/login/").content.decode()
    assert client.post("/d/pets/join/", {**FORM, "role": "curator", "email": "n@example.org"}).url == "/"
    newbie = User.objects.get(username="newbie")
    assert newbie.email == "n@example.org"
    assert list(newbie.memberships.values_list("role", flat=True)) == ["annotator"]
    set_sign_up(cora, pets, Entrance.SignUp.INVITATION)
    assert Client().post("/d/pets/join/", {**FORM, "username": "late"}).status_code == 404
    assert "Join Pets" not in Client().get("/login/").content.decode()


def test_sign_up_is_slowed_down(client: Client, pets: Dataset, cora: User) -> None:
    set_sign_up(cora, pets, Entrance.SignUp.OPEN)
    for _ in range(FAILED_FORMS.most):
        client.post("/d/pets/join/", {**FORM, "username": "cora"})
    page = client.post("/d/pets/join/", FORM)
    assert page.status_code == 422
    assert "Too many sign-ups" in page.content.decode()
    assert client.post("/d/pets/join/", FORM, REMOTE_ADDR="10.0.0.9").status_code == 302, (
        "others are not held up"
    )
    for _ in range(NEW_ACCOUNTS.most):
        NEW_ACCOUNTS.spend("10.0.0.8")
    crowd = Client(REMOTE_ADDR="10.0.0.8").post("/d/pets/join/", {**FORM, "username": "bot"})
    assert "Too many sign-ups" in crowd.content.decode()
    assert not User.objects.filter(username="bot").exists()


def test_markup_in_names_stays_text(client: Client, pets: Dataset, cora: User) -> None:
    Dataset.objects.update(title="<script>alert(1)</script>", description="<img src=x>")
    page = client.get(path(make_link(cora, pets, Role.ANNOTATOR))).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_the_first_page_names_open_datasets_one_button_each(
    client: Client, pets: Dataset, cora: User
) -> None:
    ada = person("ada", "annotator", make_dataset("birds", images=1))
    client.force_login(ada)
    assert "Datasets you may join" not in client.get("/").content.decode()
    set_sign_up(cora, pets, Entrance.SignUp.OPEN)
    page = client.get("/").content.decode()
    assert "Datasets you may join" in page
    assert page.count('action="/d/pets/join/"') == 1
    done = client.post("/d/pets/join/", follow=True).content.decode()
    assert "Welcome to Pets at home" in done
    assert "Datasets you may join" not in done
    assert ada.memberships.filter(dataset=pets, role=Role.ANNOTATOR).exists()
