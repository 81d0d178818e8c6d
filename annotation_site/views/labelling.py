"""The labelling pages: one picture and its answers, or a grid to tick every picture that shows a category.

They work as plain forms; label.js and grid.js make them fast and safe against a bad network.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.api.payloads import batch_payload
from annotation_site.choices import choice_keys, needs_search
from annotation_site.models import (
    NO,
    NONE,
    UNSURE,
    VERIFY_UNSURE,
    YES,
    Participation,
    Round,
    User,
    Worker,
    special_labels,
)
from annotation_site.services.access import round_for_labelling
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import claim_batch
from annotation_site.services.consent import ConsentMissing, require_consent
from annotation_site.services.instructions import Told, told
from annotation_site.services.quiz import QuizMissing, require_quiz
from annotation_site.services.refusals import NotAllowed, Refusal, RoundNotOpen
from annotation_site.services.votes import Answer, record_votes
from ingest.models import Category


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
        require_quiz(request.user, round)
        batch = claim_batch(worker, round)
    except ConsentMissing:
        consent = reverse("consent", args=[round.dataset.name])
        return redirect(f"{consent}?next={reverse('label', args=[round.pk])}")
    except QuizMissing:
        if round.state == Round.State.OPEN:
            return redirect("quiz", round.quiz_id)
        return _closed(request, worker, round)
    except NotAllowed as refusal:
        raise PermissionDenied(str(refusal)) from None
    except RoundNotOpen:
        return _closed(request, worker, round)
    template, context = label_context(worker, round, batch_payload(batch, round) if batch else None)
    return render(request, template, context)


def _closed(request: HttpRequest, worker: Worker, round: Round) -> HttpResponse:
    context = {"round": round, "closed": True, "own": _own_votes(worker, round)}
    return render(request, "annotation_site/label_closed.html", context)


def _vote(request: HttpRequest, worker: Worker, round: Round) -> HttpResponse:
    """Store the votes of a plain form and go on to what comes next."""
    try:
        assignment, answers = int(request.POST.get("assignment", "")), _answers(request)
        statuses = [s for _, s in record_votes(worker, assignment, request.POST.get("key", ""), answers)]
        if late := statuses.count("late"):
            messages.warning(
                request,
                ngettext(
                    "Your last answer came too late to count. It is kept.",
                    "%(n)s of your last answers came too late to count. They are kept.",
                    late,
                )
                % {"n": late},
            )
        if "rejected" in statuses:
            messages.error(request, _("Your last answer was not taken: the picture was no longer yours."))
    except (ValueError, OverflowError):
        messages.error(request, _("The form was incomplete. Please answer again."))
    except Refusal as refusal:
        messages.error(request, str(refusal))
    return redirect("label", round_id=round.pk)


def _answers(request: HttpRequest) -> list[Answer]:
    """What a form says: one picture's answer, or a grid's ticks; a picture without a tick is a no."""
    if "shown" not in request.POST:
        return [Answer(int(request.POST.get("task", "")), request.POST.get("label", ""))]
    ticked = dict.fromkeys(request.POST.getlist("yes"), YES)
    ticked |= dict.fromkeys(request.POST.getlist("unsure"), VERIFY_UNSURE)
    return [Answer(int(task), ticked.get(task, NO)) for task in request.POST.getlist("shown")]


def is_grid(payload: dict[str, Any]) -> bool:
    """Whether so many tasks of the batch ask about the same category that they are shown together."""
    asked = {task["category"] for task in payload["tasks"]}
    return None not in asked and 2 * len(asked) <= len(payload["tasks"])


def label_context(
    worker: Worker, round: Round, payload: dict[str, Any] | None, *, preview: bool = False
) -> tuple[str, dict[str, Any]]:
    """The template of the labelling page and what it needs, for a batch as the API gives it.

    No batch: nothing is left. A preview leases and stores nothing: its batch is made up by the caller.
    """
    choices = choice_buttons(round.question, round.categories())
    grid = payload is not None and is_grid(payload)
    tasks = payload["tasks"] if payload else []
    first = tasks[0] if tasks else None
    said = told(round)
    categories = _categories(round, said)
    context = {
        "round": round,
        "batch": payload,
        "first": first,
        "grid": [t for t in payload["tasks"] if first and t["category"] == first["category"]]
        if payload
        else [],
        "first_category": categories.get(first["category"]) if first else None,
        "choices": choices,
        "search": needs_search([choice["label"] for choice in choices]),
        "instructions": said.text,
        "examples": [c for c in categories.values() if c["examples"]],
        "own": _own_votes(worker, round),
        "key": uuid.uuid4().hex,
        "preview": preview,
        "page": {
            "worker": worker.code,
            "round": round.pk,
            "batch": payload,
            "now": timezone.now().isoformat(),
            "preview": preview,
            "categories": categories if round.question == Round.Question.VERIFY else {},
            "claim": reverse("api:claim", args=[round.pk]),
            "votes": reverse("api:votes"),
            "login": f"{reverse('login')}?next={reverse('home')}",
            "words": page_words(),
        },
    }
    return f"annotation_site/{'grid' if grid else 'label'}.html", context


def _categories(round: Round, said: Told) -> dict[str, dict[str, Any]]:
    """Category id -> what people are told of it."""
    rows = round.dataset.categories.all() if round.question == Round.Question.VERIFY else round.categories()
    language = get_language() or ""
    names = {row.key: row.said(language) for row in rows}
    return {
        row.key: {
            "name": names[row.key][0],
            "gloss": names[row.key][1],
            "synonyms": ", ".join(filter(None, names[row.key][2].split("|"))),
            "examples": [
                {"url": reverse("image_thumb", args=[round.dataset.name, sha]), "good": good, "note": words}
                for sha, good, words in said.examples.get(row.key, [])
            ],
        }
        for row in rows
    }


def _own_votes(worker: Worker, round: Round) -> int:
    part = Participation.objects.filter(worker=worker, round=round).first()
    return part.votes if part else 0


def choice_buttons(question: str, categories: Iterable[Category]) -> list[dict[str, str]]:
    """label, name, gloss, key, and names to search by, of each button, in order.

    `categories`: those that a classify question is answered with.
    """
    special = {
        NONE: _("None of these"),
        UNSURE: _("Can't tell"),
        YES: _("Yes"),
        NO: _("No"),
        VERIFY_UNSURE: _("Can't tell"),
    }
    rows = [(label, special[label], "", "") for label in special_labels(question)]
    if question == Round.Question.CLASSIFY:
        language = get_language() or ""
        rows = [*((row.key, *_searched(row, language)) for row in categories), *rows]
    keys = choice_keys([row[0] for row in rows])
    return [
        {
            "label": label,
            "name": name,
            "gloss": gloss,
            "key": keys[label],
            "names": "" if label in special else "|".join(filter(None, [name, synonyms])),
            "special": "1" if label in special else "",
        }
        for label, name, gloss, synonyms in rows
    ]


def _searched(category: Category, language: str) -> tuple[str, str, str]:
    """Name, gloss, and the other names that it is found by, those of the page's language first."""
    name, gloss, synonyms = category.said(language)
    others = dict.fromkeys([*synonyms.split("|"), category.name, *category.synonym_list])
    return name, gloss, "|".join(other for other in others if other and other != name)


def page_words() -> dict[str, str]:
    """What the page's script says. {n} is a number."""
    return {
        "saved": _("Saved"),
        "held": _("{n} answers are kept here and sent in a moment"),
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
        "ticked": _("{n} of {all} ticked"),
        "slow_pictures": _("{n} pictures are still loading."),
        "sent_already": _("Your last answers are with the site already: they stand."),
        "lease_ends": _("These pictures are kept for you for {n} more min."),
        "lease_over": _("The time for these pictures is over. Answers are taken as long as there is room."),
        "example": _("shows it"),
        "counterexample": _("does not show it"),
        "matches": _("{n} fit; Enter gives “{first}”"),
        "no_match": _("No category has such a name."),
    }
