"""Who may see a release, and on which terms it is given away.

A release is seen by the people who look after its dataset, and by everyone once a curator has shared it.
Whoever may not see it learns nothing, not even that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from annotation_site.models import User
from annotation_site.services.access import LOOKERS, datasets_for
from export.models import Release, Share, Terms
from export.sharing.terms import clean_asks, clean_text, default_terms, terms_sha256
from ingest.models import Dataset


def visible_releases(user: User | None) -> QuerySet[Release]:
    """Every release that this person (None: a stranger) may see, the newest first."""
    may_see = Q(share__public=True)
    if user is not None:
        may_see |= Q(dataset__in=datasets_for(user, *LOOKERS))
    return Release.objects.filter(may_see).select_related("dataset", "share__terms", "parent")


def visible_release(user: User | None, name: str, version: str) -> Release:
    """One release, for somebody who may see it.

    Raises:
        Http404: there is none, or not for this person: the same answer for both.
    """
    release = visible_releases(user).filter(dataset__name=name, version=version).first()
    if release is None:
        raise Http404(_("There is no such release, or it is not shared."))
    return release


def is_public(release: Release) -> bool:
    """Whether everyone may see it."""
    share = share_of(release)
    return share is not None and share.public


def share_of(release: Release) -> Share | None:
    """How it is shared; None where nobody has ever shared it."""
    share: Share | None = getattr(release, "share", None)
    return share


@transaction.atomic
def share_release(
    release: Release,
    *,
    text: str | None = None,
    asks: Iterable[str] | None = None,
    authors: str | None = None,
) -> Share:
    """Let everyone see and download a release.

    Args:
        text, asks: the terms; what is left out stays as it was, in this release or else in the one of this
            dataset that was shared last, or else the usual terms that ask for nothing.
        authors: as a citation names them (`A. Ngo and B. Ruiz`).

    Raises:
        BadTerms: terms that nobody could accept.
    """
    usual = terms_of(release)
    terms = _kept_terms(
        release.dataset,
        usual.text if text is None else clean_text(text),
        usual.asks if asks is None else clean_asks(asks),
    )
    share = share_of(release) or Share(release=release)
    share.public, share.terms = True, terms
    if authors is not None:
        share.authors = " ".join(authors.split())[:500]
    share.save()
    return share


def unshare_release(release: Release) -> None:
    """Show a release to nobody but those who look after its dataset; links given out stop working."""
    Share.objects.filter(release=release).update(public=False)


def terms_of(release: Release) -> Terms:
    """The terms on which this release is given away, now. A row that is not saved where nobody needed one."""
    share = (
        share_of(release)
        or (
            Share.objects.filter(release__dataset=release.dataset)
            .select_related("terms")
            .order_by("-changed")
        ).first()
    )
    if share is not None:
        return share.terms
    dataset = release.dataset
    text = clean_text(default_terms(dataset.title or dataset.name, dataset.licence))
    return Terms(dataset=dataset, text=text, asks=[], sha256=terms_sha256(text, []))


def save_terms(terms: Terms) -> Terms:
    """The row of these terms."""
    return terms if terms.pk else _kept_terms(terms.dataset, terms.text, terms.asks)


def _kept_terms(dataset: Dataset, text: str, asks: list[str]) -> Terms:
    known = {"text": text, "asks": asks}
    return Terms.objects.get_or_create(dataset=dataset, sha256=terms_sha256(text, asks), defaults=known)[0]
