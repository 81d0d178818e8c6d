"""Consent of labellers: a text in versions, of which the newest counts, and who accepted it.

Votes are never refused for want of consent: what somebody has answered is stored. Only new pictures wait.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import IntegrityError
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.models import Consent, ConsentText, User
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import prepared
from annotation_site.services.refusals import NotAllowed, Refusal
from ingest.models import Dataset

log = logging.getLogger(__name__)

MAX_TEXT = 20_000
"""Characters."""


class ConsentMissing(NotAllowed):
    """The person has not accepted the newest version of what the dataset asks (403)."""


class TextChanged(Refusal):
    """Somebody saved another version meanwhile."""


def newest_text(dataset: Dataset) -> ConsentText | None:
    """The version that counts (asking nothing, where its text is empty); None where there never was one."""
    return ConsentText.objects.filter(dataset=dataset).order_by("-version").first()


def require_consent(user: User, dataset: Dataset) -> None:
    """Let pass whoever accepted what the dataset asks now. One indexed query.

    Raises:
        ConsentMissing: with the address where the text stands.
    """
    for text, given in _asked(user=user.pk, dataset=dataset.pk):
        if text and not given:
            where = reverse("consent", args=[dataset.name])
            raise ConsentMissing(_("Read and accept what this dataset asks of you first: %s") % where)


@prepared()
def _asked(user: int, dataset: int) -> Any:
    """The newest text, and whether it was accepted."""
    given = Consent.objects.filter(text=OuterRef("pk"), user=user, withdrawn=None)
    newest = ConsentText.objects.filter(dataset=dataset).order_by("-version")
    return newest.annotate(given=Exists(given)).values_list("text", "given")[:1]


def given_by(user: User, text: ConsentText) -> Consent | None:
    """The person's acceptance of this version, if it stands."""
    return Consent.objects.filter(text=text, user=user, withdrawn=None).first()


def accept(user: User, dataset: Dataset, version: int) -> Consent:
    """Record that the person accepts this version; twice is once.

    Raises:
        TextChanged: it is not the newest, which is to be read first.
    """
    with short_write():
        text = newest_text(dataset)
        if text is None or text.version != version:
            raise TextChanged(_("The text was changed while you read it. This is the new one."))
        consent, _new = Consent.objects.get_or_create(text=text, user=user, withdrawn=None)
    return consent


def withdraw(user: User, dataset: Dataset) -> bool:
    """Take acceptance back, of all versions; what was done under it stays. False where none stood."""
    standing = Consent.objects.filter(text__dataset=dataset, user=user, withdrawn=None)
    return bool(standing.update(withdrawn=timezone.now()))


def versions(dataset: Dataset) -> QuerySet[ConsentText]:
    """All versions, newest first, with `.accepted`: people whose acceptance stands."""
    standing = Count("consents", filter=Q(consents__withdrawn=None))
    return ConsentText.objects.filter(dataset=dataset).annotate(accepted=standing).order_by("-version")


def save_text(by: User, dataset: Dataset, text: str, *, seen: int) -> ConsentText | None:
    """Make `text` the newest version; None where nothing changed. An empty text ends the asking.

    Args:
        seen: the version that the writer had before them, 0 for none.

    Raises:
        TextChanged: another version came meanwhile; nothing was saved.
    """
    changed = TextChanged(_("Somebody saved another version meanwhile. Yours was not saved: compare them."))
    text = text.replace("\r\n", "\n").strip()
    newest = newest_text(dataset)
    if (newest.version if newest else 0) != seen:
        raise changed
    if text == (newest.text if newest else ""):
        return None
    try:
        with short_write():
            saved = ConsentText.objects.create(dataset=dataset, version=seen + 1, text=text, created_by=by)
    except IntegrityError:
        raise changed from None
    log.info("%s saved version %d of the consent text of %s", by, saved.version, dataset)
    return saved
