"""Pausing a round, opening it again, and changing its numbers, with what that does told first."""

from __future__ import annotations

import logging

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.decorators import dataset_page
from annotation_site.models import Round
from annotation_site.services.changing import NotChangeable, pause_round, reopen_round
from ingest.models import Dataset
from quality.forms import ChangeForm
from quality.jobs import begin_change
from quality.services.round_changes import apply_change, foretell

log = logging.getLogger(__name__)
LISTED = 20


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def change(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """GET: the numbers as they are. POST: what the change would do; with `apply`, after that: the change."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    if round.state == Round.State.CLOSED or not round.tasks_total:
        return refused(
            request, dataset, round, _("This round cannot be changed: it is closed or not made yet.")
        )
    if request.method != "POST":
        return _page(request, dataset, round, ChangeForm(round))
    form = ChangeForm(round, request.POST)
    if not form.is_valid():
        return _page(request, dataset, round, form, status=400)
    wanted = form.wanted()
    try:
        told = foretell(round, wanted)
        if "apply" not in request.POST:
            return _page(request, dataset, round, form, told)
        made = apply_change(round, wanted, request.user.get_username())
    except NotChangeable as error:
        form.add_error(None, str(error))
        return _page(request, dataset, round, form, status=409)
    if made is None:
        messages.info(request, _("Nothing was changed: these are the numbers as they were."))
    elif begin_change(made):
        messages.success(request, _("The round is changed."))
    else:
        messages.info(request, _("The round is changed; its tasks follow in the background."))
    return redirect("round", dataset.name, round.pk)


def _page(
    request: HttpRequest, dataset: Dataset, round: Round, form: ChangeForm, told: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    if status >= 400:
        log.warning("round %s was not changed: %s", round.pk, form.errors.as_json(escape_html=True))
        form.described()
    context = {
        "dataset": dataset,
        "section": "rounds",
        "round": round,
        "form": form,
        "told": told,
        "changes": list(round.changes.order_by("-pk")[:LISTED]),
    }
    return render(request, "quality/round_change.html", context, status=status)


def refused(request: HttpRequest, dataset: Dataset, round: Round, why: str) -> HttpResponse:
    """One page with one sentence (409), and an entry in the log."""
    log.warning("round %s: %s", round.pk, why)
    context = {"dataset": dataset, "section": "rounds", "round": round, "why": why}
    return render(request, "quality/round_refused.html", context, status=409)


@require_POST
@dataset_page()
def pause(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Hand out no more work for now."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    try:
        pause_round(round)
    except NotChangeable as error:
        return refused(request, dataset, round, str(error))
    messages.success(
        request, _("The round is paused: it hands out no work. Batches that people hold can be finished.")
    )
    return redirect("round", dataset.name, round.pk)


@require_POST
@dataset_page()
def reopen(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Hand out work again."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    try:
        reopen_round(round)
    except NotChangeable as error:
        return refused(request, dataset, round, str(error))
    messages.success(request, _("The round is open again."))
    return redirect("round", dataset.name, round.pk)


@require_POST
@dataset_page()
def finish_change(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Go on with a change whose job was killed."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    for left in round.changes.filter(finished=False):
        begin_change(left)
    return redirect("round", dataset.name, round.pk)
