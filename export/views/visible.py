"""The gate of the public pages: a release, for whoever may see it; everybody else gets a 404."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _

from annotation_site.api.auth import caller
from export.models import Release
from export.services.sharing import is_public, visible_release

View = Callable[..., HttpResponseBase]


def release_page(view: View) -> View:
    """Wrap `view(request, release, ...)`; the URL's `name` and `version` become the Release.

    What is not there, or not for the visitor, gets a page that leads to what is.
    """

    @wraps(view)
    def guarded(request: HttpRequest, name: str, version: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        release = None
        try:
            release = visible_release(caller(request), name, version)
            return view(request, release, *args, **kwargs)
        except Http404 as error:
            return refusal(request, 404, _("There is nothing at this address"), str(error), release)

    return guarded


def page(request: HttpRequest, template: str, release: Release, **more: Any) -> HttpResponse:
    """A public page of a release."""
    dataset = release.dataset
    context = {
        "release": release,
        "dataset": dataset,
        "title": dataset.title or dataset.name,
        "public": is_public(release),
    }
    return render(request, template, {**context, **more})


def refusal(
    request: HttpRequest, status: int, heading: str, words: str, release: Release | None = None
) -> HttpResponse:
    """A page that says why something cannot be had, and what to do."""
    context = {"heading": heading, "words": words, "release": release}
    return render(request, "export/refusal.html", context, status=status)
