"""Which files show the same picture? Duplicate groups side by side, to be joined and split by a person."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from ingest.duplicates import DEFAULT_RADIUS
from ingest.models import Dataset, DuplicateGroup, Image
from ingest.services.duplicates import CannotChange, distance, join_groups, split_off
from ingest.services.group_names import groups_named
from ingest.views.access import CURATOR, READERS, dataset_for, has_role

log = logging.getLogger(__name__)
PAGE = 20
MEMBERS = 24
"""Members shown of a group: a multiple of 2, 3, 4 and 6 columns."""
COUNTED_TO = 1_000
LARGEST, WIDEST = "largest", "widest"
ORDERS = {
    LARGEST: ("size", gettext_lazy("the largest first")),
    WIDEST: ("widest", gettext_lazy("the least alike first")),
}


@dataclass(frozen=True)
class Member:
    """A file of a group; `bits`: how far its hash is from the representative's."""

    image: Image
    bits: int
    first: bool


@require_safe
@login_required
def duplicates(request: HttpRequest, name: str) -> HttpResponse:
    """Groups with several members, a page at a time; `?group=` shows one."""
    dataset = dataset_for(request, name, *READERS)
    order = request.GET.get("order", LARGEST)
    if order not in ORDERS:
        order = LARGEST
    held = dataset.groups.filter(size__gt=1, representative__isnull=False)
    one = request.GET.get("group", "")
    if one:
        held = held.filter(pk=int(one) if _is_number(one) else 0)
    many = held[: COUNTED_TO + 1].count()
    place = _place(request.GET.get("after", ""))
    field = ORDERS[order][0]
    if place:
        below, pk = place
        held = held.filter(**{f"{field}__lte": below}).exclude(**{field: below, "pk__gte": pk})
    rows = list(held.order_by(f"-{field}", "-pk").select_related("representative")[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    context = {
        "dataset": dataset,
        "section": "duplicates",
        "groups": [_card(group) for group in rows],
        "one": one,
        "many": min(many, COUNTED_TO),
        "capped": many > COUNTED_TO,
        "order": order,
        "orders": [(key, words) for key, (_field, words) in ORDERS.items()],
        "radius": DEFAULT_RADIUS,
        "may_act": has_role(request, dataset, *CURATOR),
        "here": request.get_full_path(),
        "first": request.GET.get("first", ""),
        "next": urlencode({"order": order, "after": _token(rows[-1], field)}) if more else "",
        "first_page": urlencode({"order": order}) if place else None,
    }
    return render(request, "ingest/duplicates.html", context)


@require_POST
@login_required
def join(request: HttpRequest, name: str) -> HttpResponse:
    """Make one group of several: asks once, says what it will do, then does it."""
    dataset = dataset_for(request, name, *CURATOR)
    try:
        ids = _chosen_groups(request, dataset)
        if "confirmed" not in request.POST:
            held = dataset.groups.filter(pk__in=ids)
            groups = list(held.select_related("representative").order_by("draw", "pk"))
            files = sum(group.size for group in groups)
            context = {
                "dataset": dataset,
                "section": "duplicates",
                "groups": [_card(group) for group in groups],
                "files": files,
            }
            return render(request, "ingest/duplicates_join.html", context)
        group = join_groups(dataset, ids, request.user.get_username())
    except CannotChange as error:
        return _refused(request, dataset, error)
    messages.success(
        request,
        ngettext("%(n)s file shows one picture now.", "%(n)s files show one picture now.", group.size)
        % {"n": group.size},
    )
    return _back(dataset, group)


@require_POST
@login_required
def split(request: HttpRequest, name: str) -> HttpResponse:
    """Make a group of its own of the files that were ticked."""
    dataset = dataset_for(request, name, *CURATOR)
    going = request.POST.getlist("image")[: MEMBERS + 1]
    try:
        numbers = [int(text) for text in (request.POST.get("group", ""), *going) if _is_number(text)]
        if len(numbers) != len(going) + 1:
            raise CannotChange(_("Choose files of this group to split off."))
        new = split_off(dataset, numbers[0], numbers[1:], request.user.get_username())
    except CannotChange as error:
        return _refused(request, dataset, error)
    messages.success(
        request,
        ngettext(
            "%(n)s file is a picture of its own now; both keep their votes and their split.",
            "%(n)s files are a picture of their own now; both groups keep their votes and their split.",
            new.size,
        )
        % {"n": new.size},
    )
    left = dataset.groups.filter(pk=numbers[0]).first()
    return _back(dataset, left or new)


def _card(group: DuplicateGroup) -> dict[str, Any]:
    first = group.representative
    images = list(group.images.filter(taken_down=None).order_by("id")[:MEMBERS])
    if first is not None:
        images = [first, *(image for image in images if image.pk != first.pk)][:MEMBERS]
    members = [
        Member(
            image, distance(image.phash, first.phash) if first else 0, bool(first and image.pk == first.pk)
        )
        for image in images
    ]
    return {"group": group, "members": members, "more": max(0, group.size - len(members))}


def _chosen_groups(request: HttpRequest, dataset: Dataset) -> list[int]:
    """Groups that were ticked, and the groups of files that were named by SHA-256 or address."""
    ids = {int(text) for text in request.POST.getlist("group") if _is_number(text)}
    # Without NUL, which a database may refuse to look for.
    given = [text.replace("\0", "�").strip()[:4096] for text in request.POST.getlist("file")[:2]]
    return groups_named(dataset, ids, [text for text in given if text])


def _refused(request: HttpRequest, dataset: Dataset, error: CannotChange) -> HttpResponse:
    log.info("duplicates of %s: %s", dataset.name, error)
    context = {"dataset": dataset, "section": "duplicates", "problem": _(str(error))}
    return render(request, "ingest/duplicates_refused.html", context, status=400)


def _back(dataset: Dataset, group: DuplicateGroup) -> HttpResponse:
    answer = redirect("duplicates", dataset.name)
    if group.size > 1:
        answer["Location"] += f"?group={group.pk}"
    return answer


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _token(group: DuplicateGroup, field: str) -> str:
    return f"{getattr(group, field)},{group.pk}"


def _place(token: str) -> tuple[int, int] | None:
    """Read a token `number,id`; None for anything else, which means the first page."""
    number, _comma, pk = token.partition(",")
    return (int(number), int(pk)) if _is_number(number) and _is_number(pk) else None
