"""Every error as a problem document (RFC 9457): type, title, status, detail."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from annotation_site.services import refusals
from annotation_site.services.logins import PAUSE, TooManyTries, WrongPassword

log = logging.getLogger(__name__)

_STATUS: dict[type[refusals.Refusal], int] = {
    refusals.RoundNotOpen: 409,
    refusals.NotAllowed: 403,
    refusals.TooMuchHeld: 409,
    refusals.NoSuchAssignment: 404,
    refusals.BadVotes: 422,
    refusals.KeyReused: 409,
    WrongPassword: 401,
    TooManyTries: 429,
}


def problem(status: int, detail: str, **more: Any) -> JsonResponse:
    """A problem document as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    response = JsonResponse({**body, **more}, status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response["Retry-After"] = str(PAUSE)
    return response


def install(api: NinjaAPI) -> None:
    """Let `api` answer every error with a problem document."""

    def refused(request: HttpRequest, error: Any) -> HttpResponse:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
        log.info("%s %s refused: %s", request.method, request.path, error)
        return problem(status, str(error))

    def unauthenticated(request: HttpRequest, error: Any) -> HttpResponse:
        return problem(401, "Log in first: POST /api/v1/login, then send the token as a bearer token.")

    def missing(request: HttpRequest, error: Any) -> HttpResponse:
        return problem(404, str(error) or "There is nothing here.")

    def invalid(request: HttpRequest, error: Any) -> HttpResponse:
        found = error.errors if isinstance(error, ValidationError) else []
        errors = [{"where": "/".join(map(str, e["loc"])), "what": str(e["msg"])} for e in found[:20]]
        first = f"{errors[0]['where']}: {errors[0]['what']}" if errors else "The request cannot be read."
        log.info("%s %s unreadable: %s", request.method, request.path, first)
        return problem(422, first, errors=errors)

    def http(request: HttpRequest, error: Any) -> HttpResponse:
        status = error.status_code if isinstance(error, HttpError) else 400
        # 400 is only ever a body that is no JSON: the same kind of fault as JSON of the wrong shape.
        return problem(422 if status == 400 else status, str(error))

    def too_big(request: HttpRequest, error: Any) -> HttpResponse:
        return problem(413, "The request is larger than this site reads.")

    api.add_exception_handler(refusals.Refusal, refused)
    api.add_exception_handler(AuthenticationError, unauthenticated)
    api.add_exception_handler(Http404, missing)
    api.add_exception_handler(ValidationError, invalid)
    api.add_exception_handler(HttpError, http)
    api.add_exception_handler(RequestDataTooBig, too_big)
