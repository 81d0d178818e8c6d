"""What workers of a round are told: a text and example pictures, each change a new version."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from annotation_site.models import Round
from annotation_site.services.instructions import (
    BadInstructions,
    ChangedMeanwhile,
    NewExample,
    Told,
    tell,
    told,
)
from ingest.models import Category, Dataset
from quality.forms import InstructionsForm
from quality.services.examples import Offer, offers
from quality.services.report import label_names
from quality.views.round_changes import refused

log = logging.getLogger(__name__)
ROWS = 3_000
"""Rows of the form that are read: more than the page ever shows."""


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def instructions(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """GET: what is told now, and pictures to choose from. POST: a new version."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    if round.state == Round.State.CLOSED:
        return refused(request, dataset, round, _("The round is closed: nobody is told anything any more."))
    now = told(round)
    if request.method != "POST":
        form = InstructionsForm(initial={"text": now.text})
        return _page(request, dataset, round, form, now, _listed(now))
    form = InstructionsForm(request.POST)
    examples = _examples(request.POST)
    if not form.is_valid():
        return _page(request, dataset, round, form, now, examples, status=400)
    text = form.cleaned_data["text"].replace("\r\n", "\n")
    try:
        version = tell(round, text, examples, read=_number(request.POST.get("read", "")))
    except (BadInstructions, ChangedMeanwhile) as refusal:
        form.add_error(None, str(refusal))
        status = 409 if isinstance(refusal, ChangedMeanwhile) else 400
        return _page(request, dataset, round, form, now, examples, status=status)
    if version == now.version:
        messages.info(request, _("Nothing was changed: this is what people are told already."))
    else:
        messages.success(
            request, _("People are told this from their next batch on (version %(n)s).") % {"n": version}
        )
    shown = request.POST.get("category", "")
    address = reverse("round_instructions", args=[dataset.name, round.pk])
    return redirect(f"{address}?{_query(shown)}" if shown else address)


def _query(category: str) -> str:
    query = QueryDict(mutable=True)
    query["category"] = category
    return query.urlencode()


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _examples(form: QueryDict) -> list[NewExample]:
    """The rows of the form that are to be examples. A row that names no picture or no kind is left out."""
    found = []
    for n in range(ROWS):
        sha = form.get(f"sha-{n}")
        if sha is None:
            break
        kind = form.get(f"kind-{n}", "")
        if sha.strip() and kind in ("good", "bad"):
            words = " ".join(form.get(f"note-{n}", "").split())
            category = form.get(f"category-{n}", "")
            found.append(NewExample(category, sha.strip().lower(), kind == "good", words))
    return found


def _listed(now: Told) -> list[NewExample]:
    return [
        NewExample(category, sha, good, note)
        for category, rows in now.examples.items()
        for sha, good, note in rows
    ]


def _page(
    request: HttpRequest, dataset: Dataset, round: Round, form: InstructionsForm, now: Told,
    examples: Sequence[NewExample], status: int = 200,
) -> HttpResponse:  # fmt: skip
    if status >= 400:
        log.warning("instructions of round %s: %s", round.pk, form.errors.as_json(escape_html=True))
    categories = list(round.categories())
    wanted = request.POST.get("category") or request.GET.get("category", "")
    chosen = next((c for c in categories if c.key == wanted), categories[0] if categories else None)
    rows = [_row(e.category, e.sha256, "good" if e.good else "bad", e.note) for e in examples]
    taken = {(e.category, e.sha256) for e in examples}
    offered = _offered(round, chosen, taken)
    every = [*rows, *offered[0], *offered[1]]
    if chosen:
        every.append(_row(chosen.key, "", ""))
    for n, row in enumerate(every):
        row["n"] = n
    context = {
        "dataset": dataset,
        "section": "rounds",
        "round": round,
        "form": form,
        "version": now.version,
        "read": request.POST.get("read", now.version) if status == 400 else now.version,
        "categories": categories,
        "chosen": chosen,
        "rows": rows,
        "good": offered[0],
        "bad": offered[1],
        "named": every[-1] if chosen else None,
        "names": label_names(dataset),
    }
    return render(request, "quality/round_instructions.html", context, status=status)


def _row(
    category: str, sha: str, kind: str, note: str = "", label: str = "", origin: str = ""
) -> dict[str, Any]:
    """One picture of the form; `valid`: it can be shown."""
    return {
        "category": category,
        "sha": sha,
        "valid": re.fullmatch("[0-9a-f]{64}", sha) is not None,
        "kind": kind,
        "note": note,
        "label": label,
        "origin": origin,
    }


def _offered(
    round: Round, category: Category | None, taken: set[tuple[str, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if category is None:
        return [], []

    def rows(found: list[Offer]) -> list[dict[str, Any]]:
        return [
            _row(category.key, o.sha256, "", label=o.label, origin=o.origin)
            for o in found
            if (category.key, o.sha256) not in taken
        ]

    good, bad = offers(round, category)
    return rows(good), rows(bad)
