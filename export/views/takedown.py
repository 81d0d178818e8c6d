"""Does a picture have to go? What that would do, in numbers; then, asked once, it is done."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.decorators import dataset_page
from export.services.image_takedown import MOST_REASON, Foreseen, TakedownRefused, foresee, take_picture_down
from ingest.models import Dataset, NearTakedown

log = logging.getLogger(__name__)
LISTED = 100
SHOWN = 24
"""Pictures shown before they go: a multiple of 2, 3, 4 and 6 columns."""


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def takedown(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Name a picture, see what its takedown does, confirm it. Below: what was taken down, what is near."""
    asked = request.POST if request.method == "POST" else request.GET
    named = {key: asked.get(key, "").strip() for key in ("image", "url", "reason")}
    context: dict[str, Any] = {**named, "copies": "only" not in asked, "most_reason": MOST_REASON}
    if not named["image"] and not named["url"] and request.method != "POST":
        return _page(request, dataset, context)
    try:
        foreseen = foresee(dataset, hashes=[named["image"]], urls=[named["url"]], copies=context["copies"])
        if request.method == "POST":
            take_picture_down(foreseen, named["reason"], request.user.get_username())
            return _done(request, foreseen, named["reason"])
    except TakedownRefused as error:
        log.info("takedown in %s: %s", dataset.name, error)
        return _page(request, dataset, {**context, "problem": _(str(error))}, status=400)
    context |= {"foreseen": foreseen, "pictures": _still_there(foreseen)[:SHOWN]}
    return _page(request, dataset, context)


@require_POST
@dataset_page()
def keep_near(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Somebody looked: this picture is another one than that which was taken down."""
    near = get_object_or_404(NearTakedown, pk=pk, takedown__dataset=dataset)
    near.kept_by = request.user.get_username()[:150]
    near.save(update_fields=["kept_by"])
    messages.success(request, _("The picture stays."))
    return redirect("takedown", dataset.name)


def _still_there(foreseen: Foreseen) -> list[Any]:
    return [image for image in foreseen.images if image.taken_down is None]


def _done(request: HttpRequest, foreseen: Foreseen, reason: str) -> HttpResponse:
    number = len(foreseen.images)
    if number:
        text = ngettext("%(n)s file was taken down.", "%(n)s files were taken down.", number) % {"n": number}
    else:
        text = _("It is refused from now on.")
    messages.success(request, text)
    commands = foreseen.commands(" ".join(reason.split()))
    if not commands:
        return redirect("takedown", foreseen.dataset.name)
    context = {"commands": commands, "releases": foreseen.releases}
    return _page(request, foreseen.dataset, context)


def _page(request: HttpRequest, dataset: Dataset, context: dict[str, Any], status: int = 200) -> HttpResponse:
    near = NearTakedown.objects.filter(takedown__dataset=dataset, kept_by="", image__taken_down=None)
    context |= {
        "dataset": dataset,
        "section": "images",
        "near": near.select_related("image", "takedown").order_by("id")[:LISTED],
        "entries": dataset.takedowns.prefetch_related("urls").order_by("-id")[:LISTED],
        "listed": LISTED,
    }
    return render(request, "export/takedown.html", context, status=status)
