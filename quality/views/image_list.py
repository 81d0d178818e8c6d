"""Which pictures does this dataset hold? A grid with filters that stand in the address."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import NONE, Role, User
from ingest.models import Candidate, Dataset, Source
from quality.paging import place_after, token
from quality.services import report
from quality.services.browsing import page_of_pictures
from quality.services.image_filters import (
    ASKING,
    DISPUTED,
    NEWEST,
    NO_LICENCE,
    ORDERS,
    SETTLED,
    STATES,
    SURE,
    UNLABELLED,
    VOTES,
    BadFilter,
    Shown,
    Wanted,
    sensible,
)

log = logging.getLogger(__name__)
SIZES = (48, 96, 240)
"""Pictures on a page: multiples of 2, 3, 4, 6 and 8 columns."""
SOURCES = 200
LICENCES = 2_000
"""Candidates whose licences are proposed."""
STATE_NAMES = {
    UNLABELLED: gettext_lazy("without a label"),
    ASKING: gettext_lazy("collecting votes"),
    SETTLED: gettext_lazy("settled"),
    DISPUTED: gettext_lazy("disputed: still unsure"),
}
ORDER_NAMES = {
    NEWEST: gettext_lazy("newest first"),
    SURE: gettext_lazy("least sure first"),
    VOTES: gettext_lazy("most votes first"),
}


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def image_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Thumbnails with what is known of each, a page at a time."""
    sources = list(dataset.sources.select_related("category").order_by("-id")[:SOURCES])
    names = report.label_names(dataset)
    labels = dict(_labels(dataset, names))
    asked = {key: value for key, value in request.GET.items() if value}
    context: dict[str, Any] = {
        "dataset": dataset,
        "section": "images",
        "labels": labels,
        "names": names,
        "sources": [(source.pk, _source_name(source)) for source in sources],
        "licences": _licences(sources),
        "no_licence": NO_LICENCE,
        "states": [(state, STATE_NAMES[state]) for state in STATES],
        "orders": [(order, ORDER_NAMES[order]) for order in ORDERS],
        "sizes": SIZES,
        "size": SIZES[0],
        "asked": asked,
        "may_take_down": isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR),
    }
    try:
        wanted, size = _wanted(request, dataset), _size(request)
        after = request.GET.get("after", "")
        place = place_after(after)
        if after and place is None:
            raise BadFilter(_("The address is damaged after “after=”: begin with the first page."))
    except BadFilter as error:
        log.info("images of %s: %s", dataset.name, error)
        context |= {"problem": str(error), "wanted": Wanted(), "filtered": True}
        return render(request, "quality/images.html", context, status=400)
    page = page_of_pictures(dataset, wanted, size, place)
    kept = {key: value for key, value in asked.items() if key in FILTERS}
    context |= {
        "wanted": wanted,
        "size": size,
        "filtered": wanted != Wanted(order=wanted.order),
        "cards": [_card(shown, names) for shown in page.pictures],
        "page": page,
        "next": urlencode({**kept, "after": token(*page.after)}) if page.after else "",
        "first_page": urlencode(kept) if place else None,
    }
    return render(request, "quality/images.html", context)


FILTERS = (
    "category", "least", "most", "source", "licence", "state", "group", "once", "order", "n",
)  # fmt: skip


def _wanted(request: HttpRequest, dataset: Dataset) -> Wanted:
    """What the address asks for.

    Raises:
        BadFilter: a filter that makes no sense.
    """
    asked = {key: request.GET.get(key, "").strip() for key in FILTERS}
    wanted = Wanted(
        category=asked["category"],
        least=_share(asked["least"]),
        most=_share(asked["most"]),
        source=_number(asked["source"]),
        licence=asked["licence"][:200],
        state=asked["state"],
        group=_number(asked["group"]),
        once=bool(asked["once"]),
        order=asked["order"] or NEWEST,
    )
    return sensible(dataset, wanted)


def _share(text: str) -> float | None:
    """A percentage as a fraction."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise BadFilter(_("A confidence is a number from 0 to 100."))
    return number / 100


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadFilter(_("Sources and duplicate groups have whole numbers."))
    return int(text)


def _size(request: HttpRequest) -> int:
    text = request.GET.get("n", "")
    if not text:
        return SIZES[0]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= SIZES[-1]:
        raise BadFilter(_("A page shows from 1 to %(most)s pictures.") % {"most": SIZES[-1]})
    return int(text[:9])


def _labels(dataset: Dataset, names: dict[str, str]) -> list[tuple[str, str]]:
    current = dataset.categories.current().values_list("key", flat=True)
    return [*((key, names[key]) for key in current), (NONE, names[NONE])]


def _source_name(source: Source) -> str:
    name = source.location if len(source.location) <= 60 else f"…{source.location[-59:]}"
    return f"{name} ({source.category})" if source.category else name


def _licences(sources: list[Source]) -> list[str]:
    """Licences to choose from: those of some pictures; any other can be typed."""
    rows = Candidate.objects.filter(source__in=[s.pk for s in sources[:20]], image__isnull=False)
    return sorted({licence for licence in rows.values_list("licence", flat=True)[:LICENCES] if licence})[:50]


def _card(shown: Shown, names: dict[str, str]) -> dict[str, Any]:
    label = names.get(shown.label or "", shown.label)
    return {"image": shown, "label": label, "state": STATE_NAMES[shown.state]}
