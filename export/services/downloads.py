"""Accepting the terms of a release, and the links that this gives.

Order of steps: the terms are shown with their SHA-256; an acceptance names that SHA-256, so that nobody
accepts what they did not see; the acceptance is a row; its signed link works for a week, as long as the
release can be seen and its terms have not changed. A link is all that `curl` needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.signing import BadSignature, Signer
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from annotation_site.models import User
from annotation_site.services.access import LOOKERS
from export import layout
from export.models import Acceptance, Release
from export.services.browsing import withdrawals_of
from export.services.sharing import is_public, save_terms, terms_of
from export.sharing.archive import Archive
from export.sharing.opened import Opened, open_release

LIFETIME = 7 * 24 * 3600
"""Seconds that a link works."""
MOST = 300
"""Acceptances from one address in an hour: room for many people behind one proxy, none for a flood."""
LONGEST = {"name": 200, "email": 254, "purpose": 1000}


class NotAccepted(ValueError):
    """The acceptance cannot be kept; `field` is what is wrong: terms, name, email or purpose."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TooManyAcceptances(RuntimeError):
    """One address accepts again and again."""


class BadLink(ValueError):
    """A link that was never given out, or no longer counts. One line for the user."""


class Unavailable(RuntimeError):
    """The release cannot be downloaded here, now: an HTTP status and words for people."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class ExpiredLink(BadLink):
    """It was good once."""


def files_of(release: Release) -> Opened:
    """The files of a release, wherever it was published."""
    return open_release(release.location, settings.DATA_DIR / "archives" / release.fingerprint)


def check_available(release: Release) -> Opened:
    """The files that downloads are read from.

    Raises:
        Unavailable: a picture of it was taken down (410), or the files are not to be had (503).
    """
    if withdrawals_of(release).exists():
        raise Unavailable(
            410,
            _("Pictures of this release were taken down, so it is given out no more. Use a newer version."),
        )
    files = files_of(release)
    if files.local(layout.SUMS) is None:
        raise Unavailable(503, _("The files of this release are not to be had now. Come back later."))
    return files


def archive_of(release: Release, files: Opened) -> Archive:
    """The release as one archive. The first time, every file's size is looked at: seconds for 10^5 files.

    Raises:
        DamagedRelease: a file is gone, or it is not this release any more.
    """
    top = layout.folder_name(release.dataset.name, release.version)
    return Archive(files, top, release.fingerprint, settings.DATA_DIR / "archives")


def accept_terms(
    release: Release, sha256: str, *, answers: dict[str, str], user: User | None, address: str
) -> Acceptance:
    """Keep that somebody accepted the terms.

    Args:
        sha256: of the terms that they saw.
        answers: what the terms ask for: name, email, purpose. What was not asked is not kept.
        address: network address; only a keyed hash of it is kept.

    Raises:
        NotAccepted: other terms than the release has now, or an answer is missing.
        TooManyAcceptances: see `MOST`.
    """
    terms = terms_of(release)
    if sha256 != terms.sha256:
        raise NotAccepted(
            "terms", _("These are not the terms of this release now: read them and accept again.")
        )
    told = {ask: " ".join(answers.get(ask, "").split()) for ask in terms.asks}
    for ask, answer in told.items():
        if not answer or "\x00" in answer:
            raise NotAccepted(ask, _("The terms ask for this: {ask}.").format(ask=ask))
        if len(answer) > LONGEST[ask]:
            raise NotAccepted(ask, _("At most {n} characters.").format(n=LONGEST[ask]))
    if "@" not in told.get("email", "@"):
        raise NotAccepted("email", _("This is no email address."))
    hashed = salted_hmac("export.acceptance", address, algorithm="sha256").hexdigest()
    slot = f"acceptances:{hashed}"
    if not cache.add(slot, 1, 3600) and cache.incr(slot) > MOST:
        raise TooManyAcceptances(_("Too many acceptances from your address. Use the link you were given."))
    return Acceptance.objects.create(
        release=release, terms=save_terms(terms), user=user, address_hash=hashed, **told
    )


def link_of(acceptance: Acceptance) -> str:
    """The signed part of the download addresses of an acceptance."""
    until = int(acceptance.created.timestamp()) + LIFETIME
    return _signer().sign_object({"a": acceptance.pk, "t": until})


def ends(acceptance: Acceptance) -> datetime:
    """When its link stops working."""
    return datetime.fromtimestamp(int(acceptance.created.timestamp()) + LIFETIME, UTC)


def open_link(release_name: str, version: str, link: str) -> Acceptance:
    """The acceptance behind a link to this release.

    Raises:
        BadLink: forged, of another release, or of a release that its holder may no longer see.
        ExpiredLink: too old, or the terms have changed.
    """
    try:
        told: Any = _signer().unsign_object(link)
        key, until = int(told["a"]), int(told["t"])
    except (BadSignature, ValueError, TypeError, KeyError):
        raise BadLink(_("This link was not given out by this site, or a part of it was lost.")) from None
    found = Acceptance.objects.select_related("release__dataset", "release__share__terms", "terms", "user")
    acceptance = found.filter(pk=key, release__dataset__name=release_name, release__version=version).first()
    if acceptance is None or not _may_hold(acceptance):
        raise BadLink(_("This link is not for this release."))
    if until < time.time():
        raise ExpiredLink(_("This link has expired: links work for a week."))
    if acceptance.terms.sha256 != terms_of(acceptance.release).sha256:
        raise ExpiredLink(_("The terms of this release have changed since this link was given out."))
    return acceptance


def count_download(acceptance: Acceptance, *, archive: bool) -> None:
    """Remember that a download began."""
    column = "archives" if archive else "files"
    Acceptance.objects.filter(pk=acceptance.pk).update(
        **{column: F(column) + 1, "last_download": timezone.now()}
    )


def forget_downloaders(
    *, emails: Sequence[str] = (), usernames: Sequence[str] = (), before: datetime | None = None
) -> int:
    """Forget who accepted terms: what they told, their account, the hash of their address; how many rows.

    That terms were accepted, when, and what was downloaded stays, about nobody. Links to releases that are
    public go on working.

    Args:
        emails: as told at the acceptance or of their account, whatever the case of the letters.
        before: every acceptance older than this.
    """
    asked = Q(user__username__in=usernames)
    for email in emails:
        asked |= Q(email__iexact=email) | Q(user__email__iexact=email)
    if before is not None:
        asked |= Q(created__lt=before)
    known = ~Q(name="", email="", purpose="", address_hash="", user=None)
    rows = Acceptance.objects.filter(asked, known).values("pk")
    return Acceptance.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(
        name="", email="", purpose="", address_hash="", user=None
    )


def _may_hold(acceptance: Acceptance) -> bool:
    """A stranger's link counts while the release is public; a colleague's while they have the role."""
    release, user = acceptance.release, acceptance.user
    return is_public(release) or (user is not None and user.has_role(release.dataset, *LOOKERS))


def _signer() -> Signer:
    return Signer(sep=".", salt="export.downloads")
