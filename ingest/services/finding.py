"""Writing down what a source was found to hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import F

from ingest.addresses import BadUrl, clean_url
from ingest.models import Candidate, Category, Dataset, Source
from ingest.sources.found import Found
from ingest.sources.kinds import REMOTE

State = Candidate.State


def url_key(url: str) -> str:
    """What `Candidate.url_sha256` holds of a URL or path: 128 bits in hex."""
    return hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:32]


def open_source(dataset: Dataset, kind: str, location: str, category: Category | None) -> Source:
    """The row of this source, made at its first run; unfinished from now until a run gets to its end."""
    source, _ = Source.objects.update_or_create(
        dataset=dataset,
        location=location,
        category=category,
        defaults={"finished": False},
        create_defaults={"kind": kind},
    )
    return source


def note_found(source: Source, found: Iterable[Found]) -> int:
    """Write what is new among `found`; returns how many that were. The same again changes nothing.

    One transaction with the dataset's counter, so that a kill leaves both or neither.
    """
    rows: dict[str, Candidate] = {}
    for record in found:
        candidate = _candidate(source, record)
        rows.setdefault(candidate.url_sha256, candidate)
    for last_try in (False, True):
        try:
            return _insert_new(source, rows)
        except IntegrityError:  # another run wrote some of them between our look and our insert
            if last_try:
                raise
    raise AssertionError


def _insert_new(source: Source, rows: dict[str, Candidate]) -> int:
    with transaction.atomic():
        known = set(source.candidates.filter(url_sha256__in=list(rows)).values_list("url_sha256", flat=True))
        new = [row for key, row in rows.items() if key not in known]
        Candidate.objects.bulk_create(new, batch_size=500)
        if new:
            Dataset.objects.filter(pk=source.dataset_id).update(
                candidates_found=F("candidates_found") + len(new)
            )
    return len(new)


def _candidate(source: Source, found: Found) -> Candidate:
    url, state, reason, detail = found.url, State.FOUND, "", ""
    if found.unusable:
        state, reason, detail = State.REJECTED, found.unusable, "its name or kind is not to be trusted"
    elif source.kind in REMOTE:
        try:
            url = clean_url(url)
        except BadUrl as error:
            state = State.FORBIDDEN if error.reason == "scheme" else State.REJECTED
            reason, detail = error.reason, str(error)[:200]
            url = url[:4096]
    return Candidate(
        source=source,
        url=url,
        url_sha256=url_key(url),
        page_url=found.page_url[:4096],
        licence=found.licence[:200],
        author=found.author[:200],
        caption=found.caption[:300],
        state=state,
        reason=reason,
        detail=detail,
    )
