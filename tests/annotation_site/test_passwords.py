"""A new password: by the old one, or by mail when it is forgotten; and what tells nothing about accounts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from annotation_site.models import ApiToken, User
from annotation_site.services import passwords
from annotation_site.services.logins import TRIES
from annotation_site.services.passwords import RESETS_BY_ADDRESS, RESETS_BY_MAIL
from annotation_site.services.tokens import make_token
from annotation_site.views import people
from tests.annotation_site.world import person

pytestmark = pytest.mark.django_db
RESET = "/password/reset/"
NEW = {"new_password1": "violet-otter-42", "new_password2": "violet-otter-42"}


@pytest.fixture
def ann(db: None) -> User:
    user = person("ann")
    user.email = "ann@example.org"
    user.save()
    return user


@pytest.fixture
def page(ann: User) -> Client:
    client = Client()
    client.login(username="ann", password="secret-ann")
    return client


@pytest.fixture
def mails(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A site with a mail server; what it sends. Nothing runs beside the test."""
    settings.EMAIL_HOST = "mail.example.org"

    def at_once(send: Callable[[], None]) -> None:
        send()

    monkeypatch.setattr(people, "in_background", at_once)
    return mail.outbox


def link_in(message: Any) -> str:
    [address] = re.findall(r"http://testserver(/password/\S+)", message.body)
    return str(address)


def test_the_password_is_changed_and_what_it_opened_ends(page: Client, ann: User) -> None:
    other = Client()
    other.login(username="ann", password="secret-ann")
    ApiToken.issue(ann)
    make_token(ann, "nightly", "read")
    assert page.post("/me/password/", {"old_password": "secret-ann", **NEW}).url == "/me/account/"
    said = page.get("/me/account/").content.decode()
    assert "Your password was changed" in said
    assert "tokens that you made yourself go on working" in said
    assert other.get("/me/").status_code == 302, "another browser is logged out"
    assert [token.name for token in ApiToken.objects.all()] == ["nightly"]
    ann.refresh_from_db()
    assert ann.check_password("violet-otter-42")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"old_password": "wrong", **NEW}, "do not go together"),
        ({"old_password": "secret-ann", **NEW, "new_password2": "x"}, "didn’t match"),
        (
            {"old_password": "secret-ann", "new_password1": "password", "new_password2": "password"},
            "too common",
        ),
        ({}, "This field is required"),
    ],
)
def test_refused_changes_say_why(page: Client, ann: User, form: dict[str, str], said: str) -> None:
    answer = page.post("/me/password/", form)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    ann.refresh_from_db()
    assert ann.check_password("secret-ann")


def test_the_old_password_cannot_be_guessed_there(page: Client) -> None:
    for _ in range(TRIES):
        page.post("/me/password/", {"old_password": "guess", **NEW})
    answer = page.post("/me/password/", {"old_password": "secret-ann", **NEW})
    assert "Too many wrong passwords" in answer.content.decode()
    answer = page.post("/me/account/", {"mail-email": "", "mail-current": "secret-ann"})
    assert "Too many wrong passwords" in answer.content.decode()


def test_the_address_is_changed_with_the_password_only(page: Client, ann: User) -> None:
    form = {"mail-email": "new@example.org", "mail-current": "wrong"}
    assert page.post("/me/account/", form).status_code == 422
    assert page.post("/me/account/", {**form, "mail-email": "no"}).status_code == 422
    ann.refresh_from_db()
    assert ann.email == "ann@example.org"
    assert page.post("/me/account/", {**form, "mail-current": "secret-ann"}).url == "/me/account/"
    ann.refresh_from_db()
    assert ann.email == "new@example.org"
    assert 'value="new@example.org"' in page.get("/me/account/").content.decode()
    assert Client().get("/me/account/").url == "/login/?next=/me/account/"


def test_a_forgotten_password_is_renewed_by_mail(mails: list[Any], ann: User) -> None:
    ApiToken.issue(ann)
    client = Client()
    assert RESET in client.get("/login/").content.decode()
    assert client.post(RESET, {"email": "Ann@Example.org"}).url == "/password/reset/sent/"
    [message] = mails
    assert message.to == ["ann@example.org"]
    assert message.subject == "A new password for testserver"
    assert "Hello ann" in message.body
    form = client.get(link_in(message), follow=True)
    assert "Choose a new password" in form.content.decode()
    assert client.post(form.redirect_chain[-1][0], {**NEW, "new_password2": "x"}).status_code == 200
    assert client.post(form.redirect_chain[-1][0], NEW).url == "/login/"
    ann.refresh_from_db()
    assert ann.check_password("violet-otter-42")
    assert not ApiToken.objects.exists(), "tokens that the lost password gave are gone"
    again = Client().get(link_in(message), follow=True)
    assert "This link is not good any more" in again.content.decode(), "once"


def test_nothing_tells_whether_an_account_exists(mails: list[Any], ann: User) -> None:
    answers = [
        re.sub(r'value="\w{64}"', "", Client().post(RESET, {"email": e}, follow=True).content.decode())
        for e in ("ann@example.org", "nobody@example.org")
    ]
    assert answers[0] == answers[1]
    assert len(mails) == 1


def test_who_may_not_log_in_gets_no_mail(mails: list[Any], ann: User) -> None:
    ann.is_active = False
    ann.save()
    Client().post(RESET, {"email": "ann@example.org"})
    assert mails == []


def test_nobody_is_flooded_and_the_refusal_tells_nothing_either(mails: list[Any], ann: User) -> None:
    for email in ("ann@example.org", "nobody@example.org"):
        for _ in range(RESETS_BY_MAIL.most):
            assert Client().post(RESET, {"email": email}).status_code == 302
        refused = Client().post(RESET, {"email": email.upper()}).content.decode()
        assert "Too many requests" in refused
    assert len(mails) == RESETS_BY_MAIL.most
    for number in range(RESETS_BY_ADDRESS.most):
        Client().post(RESET, {"email": f"x{number}@example.org"})
    assert "Too many requests" in Client().post(RESET, {"email": "fresh@example.org"}).content.decode()


def test_without_a_mail_server_the_page_says_whom_to_ask(settings: Any, ann: User) -> None:
    settings.EMAIL_HOST = ""
    page = Client().get(RESET).content.decode()
    assert "Ask its administrator" in page
    assert '<input type="email"' not in page
    assert Client().post(RESET, {"email": "ann@example.org"}).url == RESET
    assert mail.outbox == []


@pytest.mark.parametrize("form", [{}, {"email": "nobody"}, {"email": "a@b\x00.org"}, {"email": "x" * 999}])
def test_broken_addresses_are_refused(mails: list[Any], form: dict[str, str]) -> None:
    answer = Client().post(RESET, form)
    assert answer.status_code == 200
    assert 'aria-invalid="true"' in answer.content.decode()
    assert mails == []


@pytest.mark.parametrize("path", ["/password/x/y/", "/password/MQ/set-password/", "/password/%00/%00/"])
def test_broken_links_get_a_page(path: str, ann: User) -> None:
    answer = Client().get(path)
    assert answer.status_code == 200
    assert "This link is not good any more" in answer.content.decode()


def test_a_failing_mail_server_is_in_the_log_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[Any] = []

    class Here:
        """A thread that runs in this one."""

        def __init__(self, target: Callable[[], None], **_options: Any) -> None:
            self.start = target
            started.append(self)

    def broken() -> None:
        raise OSError("no route")

    monkeypatch.setattr(passwords.threading, "Thread", Here)
    monkeypatch.setattr(passwords, "AFTER", 0)
    monkeypatch.setattr(passwords.connection, "close", lambda: None)
    with caplog.at_level(logging.ERROR):
        passwords.in_background(broken)
    assert started
    assert "the mail for a new password was not sent" in caplog.text
