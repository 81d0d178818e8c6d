"""The gate of the public pages: a release, for whoever may see it; everybody else gets a 404."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from annotation_site.api.auth import caller
from export.models import Release
from export.services.sharing import is_public, visible_release

View = Callable[..., HttpResponseBase]


def release_page(view: View) -> View:
    """Wrap `view(request, release, ...)`; the URL's `name` and `version` become the Release."""

    @wraps(view)
    def guarded(request: HttpRequest, name: str, version: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, visible_release(caller(request), name, version), *args, **kwargs)

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
