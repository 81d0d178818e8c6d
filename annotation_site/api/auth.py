"""Who calls: a bearer token, or the session of a page (which must also send its CSRF token)."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from annotation_site.models import ApiToken, User
from annotation_site.services.tokens import find_token

log = logging.getLogger(__name__)


LABELLING = {"claim", "votes", "quiz_answer"}
"""Calls (by the names of their addresses) that a token of scope `label` is for; it opens pictures, too."""
PICTURES = {"image_full", "image_thumb"}
ASKED = {"open_rounds", "asked", "own_rounds", "quiz"}
"""What can be labelled, and how: any token may know it, one to read and one to label."""


def user_of_token(request: HttpRequest, text: str) -> User | None:
    """The active person behind a token, or None.

    Raises:
        PermissionDenied: the token's scope does not reach as far as this request.
    """
    if not 1 <= len(text) <= 200:
        return None
    row = find_token(text)
    if row is None or not row.user.is_active:
        return None
    _check_scope(request, row)
    now = timezone.now()
    if row.last_used is None or now - row.last_used > timedelta(hours=1):  # not a write for every call
        stale = Q(last_used=None) | Q(last_used__lt=now - timedelta(hours=1))
        ApiToken.objects.filter(stale, pk=row.pk).update(last_used=now)
    return row.user


def _check_scope(request: HttpRequest, token: ApiToken) -> None:
    """Reading wants `read`, claims and votes want `label`, whatever else changes something wants `full`."""
    match = request.resolver_match
    call = match.url_name if match else ""
    if call in PICTURES or call in ASKED:
        return
    scope = ApiToken.Scope.FULL
    if call in LABELLING:
        scope = ApiToken.Scope.LABEL
    elif request.method in ("GET", "HEAD", "OPTIONS"):
        scope = ApiToken.Scope.READ
    if not token.allows(scope):
        log.warning(
            "%s %s refused: token %s has the scope %s", request.method, request.path, token.pk, token.scope
        )
        raise PermissionDenied(
            f"This token has the scope “{token.scope}”, and this call wants “{scope}”: "
            f"make another token at {reverse('tokens')}"
        )


def caller(request: HttpRequest) -> User | None:
    """Who asks for a page that programs read too (pictures): by bearer token, else by session."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return user_of_token(request, text.strip())
    return request.user if isinstance(request.user, User) else None


class Token(HttpBearer):
    """`Authorization: Bearer TOKEN`."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """See `user_of_token`."""
        try:
            return user_of_token(request, token)
        except PermissionDenied as refusal:
            raise HttpError(403, str(refusal)) from None


class Session(APIKeyCookie):
    """The session cookie of a logged-in page."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> User | None:
        """The person of the session. Nobody logged in is 401, not a complaint about a CSRF token."""
        if not isinstance(request.user, User):
            return None
        if check_csrf(request):
            raise HttpError(403, "The CSRF token is missing or old: load the page again.")
        return request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        """Not used: `__call__` decides."""
        return None
