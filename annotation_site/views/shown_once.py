"""A secret that a page shows once: carried from the POST to the page behind it, and kept by nobody here.

The database holds hashes only, so the text may not go through the session either. It travels in a signed
cookie of the person's own browser, for one page and at most two minutes.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

SECONDS = 120


def hand_over(response: HttpResponse, kind: str, text: str, path: str) -> HttpResponse:
    """Let the page at `path` show `text` the next time it is asked for."""
    response.set_signed_cookie(
        _name(kind),
        text,
        salt=kind,
        max_age=SECONDS,
        path=path,
        httponly=True,
        samesite="Strict",
        secure=settings.HTTPS,
    )
    return response


def handed_over(request: HttpRequest, kind: str) -> str:
    """What is to be shown; empty nearly always."""
    return request.get_signed_cookie(_name(kind), default="", salt=kind, max_age=SECONDS) or ""


def forget(response: HttpResponse, kind: str, path: str) -> HttpResponse:
    """It was shown: take it away."""
    response.delete_cookie(_name(kind), path=path, samesite="Strict")
    return response


def _name(kind: str) -> str:
    return f"assay_{kind}"
