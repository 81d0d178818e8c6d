"""Error pages that say what to do; programs get a problem document."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from annotation_site.api.problems import problem


def forbidden(request: HttpRequest, exception: PermissionDenied) -> HttpResponse:
    """403."""
    return _answer(request, 403, str(exception))


def not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    """404. Only our own words are shown, not the resolver's."""
    detail = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    return _answer(request, 404, "" if detail.startswith("No ") else detail)


def broken(request: HttpRequest) -> HttpResponse:
    """500. Nothing here may touch the database: it may be what failed."""
    if _for_program(request):
        return problem(500, "Something failed here. Votes that were confirmed are safe; try again later.")
    return HttpResponse(render(None, "annotation_site/500.html").content, status=500)


def _for_program(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _answer(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    if _for_program(request):
        return problem(status, detail or "There is nothing at this address.")
    return render(request, f"annotation_site/{status}.html", {"detail": detail}, status=status)
