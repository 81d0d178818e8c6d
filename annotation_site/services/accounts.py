"""People: making accounts, giving roles, and the worker that a person votes as."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError

from annotation_site.models import Membership, Role, User, Worker
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import prepared, row_of
from ingest.models import Dataset


class BadAccount(ValueError):
    """An account that cannot be made; the message is one line for the user."""


@dataclass(frozen=True)
class AccountRow:
    """One account to make. No password: a new person gets a random one, an existing one keeps theirs."""

    username: str
    role: str
    dataset: Dataset | None = None
    password: str | None = None


def create_user(
    username: str, role: str, *, dataset: Dataset | None = None, password: str | None = None
) -> tuple[User, str]:
    """Make a person with a role, or give an existing person one more role.

    Returns:
        The user, and the password as text: as given, or drawn for a new person; empty where an existing
        person keeps the old one.

    Raises:
        BadAccount: an unusable name or role.
    """
    return create_users([AccountRow(username, role, dataset, password)])[0]


def create_users(rows: Iterable[AccountRow]) -> list[tuple[User, str]]:
    """`create_user` for many at once: all or none.

    A password hash costs about a third of a second by design; they are made on all cores before the
    transaction, so that 30 people take a few seconds and the database is held for none of them.

    Raises:
        BadAccount: an unusable name or role, with the name.
    """
    rows = list(rows)
    for row in rows:
        _check(row)
    known = set(
        User.objects.filter(username__in={r.username for r in rows}).values_list("username", flat=True)
    )
    passwords: dict[str, str] = {}
    for row in rows:
        if row.password:
            passwords[row.username] = row.password
        elif row.username not in known:
            passwords.setdefault(row.username, secrets.token_urlsafe(12))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # hashing lets go of the interpreter lock
        hashes = dict(zip(passwords, pool.map(make_password, passwords.values()), strict=True))
    with short_write():
        people = {row.username: _person(row.username, hashes.get(row.username)) for row in rows}
        for row in rows:
            Membership.objects.get_or_create(user=people[row.username], dataset=row.dataset, role=row.role)
            worker_of(people[row.username])
    return [(people[row.username], passwords.get(row.username, "")) for row in rows]


def worker_of(user: User) -> Worker:
    """The worker that this person votes as; made at the first call."""
    if user.votes_as is not None:
        return user.votes_as
    for row in _workers(user=user.pk):
        worker = row_of(Worker, WORKER, row)
        worker.user = user
        return worker
    return Worker.objects.get_or_create(user=user)[0]


WORKER = [column.attname for column in Worker._meta.concrete_fields]


@prepared()
def _workers(user: int) -> Any:
    return Worker.objects.filter(user=user).values_list(*WORKER)


def _check(row: AccountRow) -> None:
    if row.role not in Role.values:
        raise BadAccount(f"{row.username}: no role {row.role!r}; the roles are {', '.join(Role.values)}")
    field = User._meta.get_field("username")
    try:
        field.clean(row.username, None)
    except ValidationError as error:
        raise BadAccount(f"user name {row.username!r}: {' '.join(error.messages)}") from None


def _person(username: str, password_hash: str | None) -> User:
    user, created = User.objects.get_or_create(username=username, defaults={"password": password_hash or "!"})
    if password_hash and not created:
        user.password = password_hash
        user.save(update_fields=["password"])
    return user
