"""The labelling page. It works as a plain form; label.js makes it fast and safe against a bad network."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.api.payloads import batch_payload
from annotation_site.choices import choice_keys
from annotation_site.models import (
    NO,
    NONE,
    UNSURE,
    VERIFY_UNSURE,
    YES,
    Instructions,
    Participation,
    Round,
    User,
    Worker,
)
from annotation_site.services.access import round_for_labelling
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import Batch, claim_batch
from annotation_site.services.consent import ConsentMissing, require_consent
from annotation_site.services.refusals import NotAllowed, Refusal, RoundNotOpen
from annotation_site.services.votes import Answer, record_votes


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def label(request: HttpRequest, round_id: int) -> HttpResponse:
    """GET: the next batch, its first picture drawn by the server. POST: one vote, without JavaScript."""
    assert isinstance(request.user, User)
    try:
        round = round_for_labelling(request.user, round_id)
        worker = worker_of(request.user)
        if request.method == "POST":
            return _vote(request, worker, round)
        require_consent(request.user, round.dataset)
        batch = claim_batch(worker, round)
    except ConsentMissing:
        consent = reverse("consent", args=[round.dataset.name])
        return redirect(f"{consent}?next={reverse('label', args=[round.pk])}")
    except NotAllowed as refusal:
        raise PermissionDenied(str(refusal)) from None
    except RoundNotOpen:
        context = {"round": round, "closed": True, "own": _own_votes(worker, round)}
        return render(request, "annotation_site/label_closed.html", context)
    return render(request, "annotation_site/label.html", _context(worker, round, batch))


def _vote(request: HttpRequest, worker: Worker, round: Round) -> HttpResponse:
    """Store one vote of the plain form and go on to the next picture."""
    try:
        task, assignment = int(request.POST.get("task", "")), int(request.POST.get("assignment", ""))
        answer = Answer(task, request.POST.get("label", ""))
        [(_task, status)] = record_votes(worker, assignment, request.POST.get("key", ""), [answer])
        if status == "late":
            messages.warning(request, _("Your last answer came too late to count. It is kept."))
        elif status == "rejected":
            messages.error(request, _("Your last answer was not taken: the picture was no longer yours."))
    except (ValueError, OverflowError):
        messages.error(request, _("The form was incomplete. Please answer again."))
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("label", round_id=round.pk)


def _context(worker: Worker, round: Round, batch: Batch | None) -> dict[str, Any]:
    choices = _choices(round)
    payload = batch_payload(batch, round) if batch else None
    names = {choice["label"]: choice for choice in choices}
    if round.question == Round.Question.VERIFY:
        names = {c.key: {"name": c.name, "gloss": c.gloss} for c in round.dataset.categories.all()}
    told = Instructions.objects.filter(round=round, version=round.instructions_version).first()
    return {
        "round": round,
        "batch": payload,
        "first": payload["tasks"][0] if payload else None,
        "first_category": names.get(payload["tasks"][0]["category"]) if payload else None,
        "choices": choices,
        "instructions": told.text if told else "",
        "own": _own_votes(worker, round),
        "key": uuid.uuid4().hex,
        "page": {
            "worker": worker.code,
            "round": round.pk,
            "batch": payload,
            "categories": names,
            "claim": reverse("api:claim", args=[round.pk]),
            "votes": reverse("api:votes"),
            "login": f"{reverse('login')}?next={reverse('home')}",
            "words": _words(),
        },
    }


def _own_votes(worker: Worker, round: Round) -> int:
    part = Participation.objects.filter(worker=worker, round=round).first()
    return part.votes if part else 0


def _choices(round: Round) -> list[dict[str, str]]:
    """label, name, gloss and key of each button, in order."""
    special = {
        NONE: _("None of these"),
        UNSURE: _("Can't tell"),
        YES: _("Yes"),
        NO: _("No"),
        VERIFY_UNSURE: _("Can't tell"),
    }
    rows = [(label, special[label], "") for label in round.special_labels()]
    if round.question == Round.Question.CLASSIFY:
        rows = [*round.categories().values_list("key", "name", "gloss"), *rows]
    keys = choice_keys([label for label, _name, _gloss in rows])
    return [
        {
            "label": label,
            "name": name,
            "gloss": gloss,
            "key": keys[label],
            "special": "1" if label in special else "",
        }
        for label, name, gloss in rows
    ]


def _words() -> dict[str, str]:
    """What the page's script says. {n} is a number."""
    return {
        "saved": _("Saved"),
        "saving": _("Saving…"),
        "waiting": _("Waiting for the network: {n} answers are kept on this device"),
        "login": _("You are logged out. Your {n} answers are kept on this device."),
        "login_link": _("Log in in a new tab"),
        "refused": _("{n} answers could not be stored: {why}"),
        "late": _("{n} answers came too late to count. They are kept."),
        "broken_picture": _("This picture cannot be shown. Load the page again, or answer “Can't tell”."),
        "slow_picture": _("The picture is loading."),
        "fetching": _("Getting the next pictures…"),
        "no_more_now": _("No new pictures could be fetched: {why} Trying again…"),
        "offline": _("the network does not answer."),
        "count": _("{n} of {all}"),
        "picture": _("Picture {n} of {all}"),
    }
