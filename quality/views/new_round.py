"""Making a round: a form, what it would ask and cost in numbers, and only then the round."""

from __future__ import annotations

import logging
import re
import secrets

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation_site.decorators import dataset_page
from ingest.models import Dataset
from quality.forms import RoundForm
from quality.jobs import begin
from quality.models import PlannedRound
from quality.services.followups import UnusableRound
from quality.services.foresight import Asked, Foreseen, foresee
from quality.services.planned import is_stuck, plan_round

log = logging.getLogger(__name__)
State = PlannedRound.State


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def new_round(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """GET: the form. POST: what the round would be, in numbers; with `open`, after that: the round."""
    if request.method != "POST":
        return _page(request, dataset, RoundForm(dataset))
    form = RoundForm(dataset, request.POST)
    if not form.is_valid():
        return _page(request, dataset, form, status=400)
    try:
        asked = form.asked()
        foreseen = foresee(dataset, Asked.of(asked))
        key = request.POST.get("key", "")
        if "open" not in request.POST:
            return _page(request, dataset, form, foreseen)
        if request.POST.get("seen") != _seen(foreseen):
            messages.warning(request, _("Something has changed since: look at the numbers once more."))
            return _page(request, dataset, form, foreseen)
        if not re.fullmatch("[0-9a-f]{32}", key):
            raise UnusableRound("this form has lost its key: look at the numbers once more")
        planned = plan_round(dataset, key, asked, request.user.get_username(), foreseen.tasks + foreseen.gold)
    except UnusableRound as error:
        form.add_error(None, str(error))
        return _page(request, dataset, form, status=400)
    if planned.state == State.WAITING:
        planned = begin(planned)
    if planned.state == State.FAILED:
        form.add_error(None, planned.error)
        return _page(request, dataset, form, status=400)
    return _where_it_is(request, dataset, planned)


def _page(
    request: HttpRequest,
    dataset: Dataset,
    form: RoundForm,
    foreseen: Foreseen | None = None,
    status: int = 200,
) -> HttpResponse:
    if status >= 400:
        log.warning("a round of %s was not opened: %s", dataset, form.errors.as_json(escape_html=True))
        form.described()
    context = {
        "dataset": dataset,
        "section": "rounds",
        "form": form,
        "foreseen": foreseen,
        "seen": _seen(foreseen) if foreseen else "",
        "key": secrets.token_hex(16),
    }
    return render(request, "quality/round_new.html", context, status=status)


def _seen(foreseen: Foreseen) -> str:
    return f"{foreseen.tasks}-{foreseen.gold}-{foreseen.votes_most}"


def _where_it_is(request: HttpRequest, dataset: Dataset, planned: PlannedRound) -> HttpResponse:
    if planned.state == State.OPEN and planned.round_id:
        messages.success(request, _("The round is open: people can vote."))
        return redirect("round", dataset.name, planned.round_id)
    return redirect("round_planned", dataset.name, planned.pk)


@require_safe
@dataset_page()
def planned_round(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """How far the making of a round is."""
    planned = get_object_or_404(dataset.planned_rounds.select_related("round"), pk=pk)
    if planned.state == State.OPEN:
        return _where_it_is(request, dataset, planned)
    context = {
        "dataset": dataset,
        "section": "rounds",
        "planned": planned,
        "stuck": is_stuck(planned),
        "live": planned.state in (State.WAITING, State.MAKING),
        "share": planned.made / planned.tasks if planned.tasks else None,
    }
    return render(request, "quality/round_planned.html", context)


@require_POST
@dataset_page()
def make_again(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Go on with a round whose making was killed or failed; nothing where somebody is at it."""
    planned = get_object_or_404(dataset.planned_rounds, pk=pk)
    if planned.state == State.FAILED or is_stuck(planned):
        planned = begin(planned)
    return _where_it_is(request, dataset, planned)
