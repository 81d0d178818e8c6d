"""Where do the pictures come from? Every source, and what became of what it held."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from ingest.models import Candidate, Dataset, Source
from ingest.reasons import meaning
from ingest.services.outcomes import Tally, tally
from ingest.sources.kinds import REMOTE
from ingest.views.access import READERS, dataset_for

MOST_SHOWN = 200
BAR = 120
"""Width of a bar in pixels."""


@dataclass(frozen=True)
class Line:
    """One source in the table.

    Attributes:
        label: how it is written: a URL whole, a path by its last part.
        other: neither stored nor found again nor still to fetch.
        stored_px, again_px: widths in its bar.
    """

    source: Source
    label: str
    is_url: bool
    tally: Tally
    other: int
    stored_px: float
    again_px: float


@dataclass(frozen=True)
class Reason:
    """Why some candidates are no images of the dataset."""

    state: str
    reason: str
    words: str
    count: int
    chosen: bool


@login_required
def sources(request: HttpRequest, name: str) -> HttpResponse:
    """The sources of a dataset; `?state=…&reason=…` lists candidates that ended so."""
    dataset = dataset_for(request, name, *READERS)
    rows = list(dataset.sources.select_related("category").order_by("pk"))
    total, by_source = tally(rows)
    state, reason = request.GET.get("state", ""), request.GET.get("reason", "")
    context = {
        "dataset": dataset,
        "section": "sources",
        "total": total,
        "lines": [_line(source, by_source[source.pk]) for source in rows],
        "reasons": _reasons(total, state, reason),
        "examples": _examples(dataset, state, reason),
        "most_shown": MOST_SHOWN,
        "bar": BAR,
    }
    return render(request, "ingest/sources.html", context)


def _line(source: Source, counts: Tally) -> Line:
    is_url = source.location.startswith(("http://", "https://"))
    scale = BAR / max(1, counts.found)
    return Line(
        source=source,
        label=source.location if is_url else PurePath(source.location).name,
        is_url=is_url,
        tally=counts,
        other=counts.found - counts.stored - counts.same_bytes - counts.pending,
        stored_px=round(counts.stored * scale, 1),
        again_px=round(counts.same_bytes * scale, 1),
    )


def _reasons(total: Tally, state: str, reason: str) -> list[Reason]:
    """Every reason that occurred, the most frequent first."""
    counted = [
        (word, slug, count)
        for word in ("rejected", "forbidden", "failed")
        for slug, count in getattr(total, word).items()
    ]
    if total.gone:
        counted.append(("gone", "", total.gone))
    counted.sort(key=lambda entry: -entry[2])
    return [
        Reason(
            word,
            slug,
            _(meaning(slug)) if slug else _("it is not there any more"),
            count,
            (word, slug) == (state, reason),
        )
        for word, slug, count in counted
    ]


def _examples(dataset: Dataset, state: str, reason: str) -> list[dict[str, str | bool]]:
    """The first candidates that ended in this state for this reason."""
    states = {label: value for value, label in Candidate.State.choices}
    if state not in states:
        return []
    rows = Candidate.objects.filter(source__in=dataset.sources.all(), state=states[state])
    if reason:
        rows = rows.filter(reason=reason)
    return [
        {
            "url": row.url,
            "is_url": row.source.kind in REMOTE and row.url.startswith(("http://", "https://")),
            "page_url": row.page_url if row.page_url.startswith(("http://", "https://")) else "",
            "detail": row.detail,
        }
        for row in rows.select_related("source").order_by("pk")[:MOST_SHOWN]
    ]
