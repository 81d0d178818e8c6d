"""Logging in by password, slowed down where somebody is guessing."""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _

from annotation_site.models import User
from annotation_site.services.refusals import Refusal
from annotation_site.services.throttle import Limit

TRIES = 10
"""Wrong passwords for one name from one address before a pause."""
PAUSE = 15 * 60
"""Seconds until the count starts over."""
GUESSES = Limit("login", TRIES, PAUSE)


class WrongPassword(Refusal):
    """No such name, or not its password: which of the two is not said (401)."""


class TooManyTries(Refusal):
    """A pause after `TRIES` wrong passwords; the right one is refused too (429)."""


def check_password(request: HttpRequest, username: str, password: str) -> User:
    """The person with this name and password.

    Raises:
        WrongPassword, TooManyTries: see there.
    """
    who = username.casefold(), request.META.get("REMOTE_ADDR", "")
    if GUESSES.reached(*who):
        raise TooManyTries(_("Too many wrong passwords. Wait a quarter of an hour, then try again."))
    user = (
        None if "\x00" in username + password else authenticate(request, username=username, password=password)
    )
    if not isinstance(user, User):
        GUESSES.spend(*who)
        raise WrongPassword(_("This user name and password do not go together."))
    GUESSES.forget(*who)
    return user
