"""What a dataset asks of its labellers: read and answered by them, written by curators."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, User
from annotation_site.services.consent import (
    MAX_TEXT,
    TextChanged,
    accept,
    given_by,
    newest_text,
    save_text,
    versions,
    withdraw,
)
from ingest.models import Dataset

SHOWN = 20
"""Versions in the curators' list."""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page(Role.ANNOTATOR, Role.REVIEWER)
def consent(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """`/d/NAME/consent/`: the newest text; accepting leads on to `next`, refusing to the first page."""
    assert isinstance(request.user, User)
    text = newest_text(dataset)
    onwards = request.POST.get("next") or request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(onwards, {request.get_host()}, request.is_secure()):
        onwards = reverse("home")
    if request.method == "POST" and text is not None and text.text:
        if "refuse" in request.POST:
            return _refused(request, request.user, dataset)
        if "accept" in request.POST:
            try:
                accept(request.user, dataset, _number(request.POST.get("version")))
                return redirect(onwards)
            except TextChanged as refusal:
                messages.warning(request, str(refusal))
    given = given_by(request.user, text) if text else None
    context = {"dataset": dataset, "text": text, "given": given, "next": onwards}
    return render(request, "annotation_site/consent.html", context)


def _refused(request: HttpRequest, user: User, dataset: Dataset) -> HttpResponse:
    name = dataset.title or dataset.name
    if withdraw(user, dataset):
        said = _("You took your consent for %s back. You are given no more of its pictures; your votes stay.")
    else:
        said = _("You did not accept. Nothing of %s is given to you, and nothing else changes.")
    messages.success(request, said % name)
    return redirect("home")


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def consent_text(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """`/d/NAME/members/consent/`: the text, for curators; each change is a new version."""
    assert isinstance(request.user, User)
    newest = newest_text(dataset)
    draft, error = newest.text if newest else "", ""
    if request.method == "POST":
        draft = request.POST.get("text", "")
        error = _draft_error(draft)
        if not error:
            try:
                saved = save_text(request.user, dataset, draft, seen=_number(request.POST.get("seen")))
            except TextChanged as refusal:
                error = str(refusal)
            else:
                if saved is None:
                    messages.warning(request, _("Nothing was changed, so there is no new version."))
                else:
                    messages.success(request, _("Saved as version %d.") % saved.version)
                return redirect("consent_text", name=dataset.name)
    context = {
        "dataset": dataset,
        "section": "members",
        "newest": newest,
        "draft": draft,
        "error": error,
        "most": MAX_TEXT,
        "versions": versions(dataset)[:SHOWN],
    }
    return render(request, "annotation_site/consent_text.html", context, status=422 if error else 200)


def _draft_error(draft: str) -> str:
    if "\x00" in draft:
        return _("The text has a character in it that cannot be stored.")
    if len(draft) > MAX_TEXT:
        return _("The text is longer than %d characters.") % MAX_TEXT
    return ""


def _number(text: str | None) -> int:
    """The number that a hidden field carries; -1, which no version has, for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else -1
