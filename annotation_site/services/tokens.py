"""A person's tokens for programs: made with a name and a scope, shown once, revoked by deleting."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation_site.models import ApiToken, User, Worker
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import prepared, row_of
from annotation_site.services.refusals import Refusal

MAX_NAMED = 50
"""Named tokens of one person."""


class TooManyTokens(Refusal):
    """The person has `MAX_NAMED` tokens already."""


def find_token(text: str) -> ApiToken | None:
    """The token with this text, with its person; of other columns only those of `FOUND` are at hand."""
    for row in _found(digest=ApiToken.digest(text)):
        token = row_of(ApiToken, FOUND, row)
        token.user = row_of(User, PERSON, row[len(FOUND) :])
        its_worker = row[len(FOUND) + len(PERSON) :]
        token.user.votes_as = row_of(Worker, WORKER, its_worker) if its_worker[0] else None
        return token
    return None


FOUND = ["id", "user_id", "scope", "last_used"]
PERSON = ["id", "username", "is_active", "is_superuser", "is_staff"]
WORKER = ["id", "user_id", "code", "suspended"]


@prepared()
def _found(digest: str) -> Any:
    rows = ApiToken.objects.filter(token_sha256=digest)
    person = [f"user__{name}" for name in PERSON]
    return rows.values_list(*FOUND, *person, *(f"user__worker__{name}" for name in WORKER))


def named_tokens(user: User) -> QuerySet[ApiToken]:
    """Tokens that this person made on the page."""
    return user.api_tokens.exclude(name="").order_by("-pk")


def password_tokens(user: User) -> QuerySet[ApiToken]:
    """Tokens that programs got for the person's password."""
    return user.api_tokens.filter(name="").order_by("-pk")


def make_token(user: User, name: str, scope: str) -> str:
    """A new token; gives its text, which is not kept.

    Raises:
        TooManyTokens: see there.
    """
    with short_write():
        if named_tokens(user).count() >= MAX_NAMED:
            raise TooManyTokens(_("You have too many tokens already: revoke some that you do not need."))
        return ApiToken.issue(user, name, ApiToken.Scope(scope))


def revoke_token(user: User, token_id: int) -> bool:
    """Delete one of the person's own tokens; False where there is none."""
    return bool(user.api_tokens.filter(pk=token_id).delete()[0])


def revoke_password_tokens(user: User) -> int:
    """Delete all tokens that the password gave: the page's button, and what a new password does."""
    return password_tokens(user).delete()[0]
