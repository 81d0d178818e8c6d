"""Every error as a problem document (RFC 9457): type, title, status, detail."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError

from annotation_site.services import refusals
from annotation_site.services.joining import LinkClosed, NoEntrance
from annotation_site.services.logins import PAUSE, TooManyTries, WrongPassword
from annotation_site.services.members import NoSuchPerson

log = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"

_STATUS: dict[type[refusals.Refusal], int] = {
    refusals.RoundNotOpen: 409,
    refusals.NotAllowed: 403,
    refusals.TooMuchHeld: 409,
    refusals.NoSuchAssignment: 404,
    refusals.BadVotes: 422,
    refusals.KeyReused: 409,
    WrongPassword: 401,
    TooManyTries: 429,
    NoSuchPerson: 404,
    NoEntrance: 404,
    LinkClosed: 410,
}


class Fault(Schema):
    """One thing that is wrong with what was sent: `where` names the field."""

    where: str
    what: str


class Problem(Schema):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


READING = {401: Problem, 403: Problem, 404: Problem, 422: Problem}
"""How a call that reads may fail."""
PROBLEMS = {**READING, 409: Problem}
"""How a call that writes may fail."""
MUCH = {**PROBLEMS, 413: Problem}
"""How one may fail that is sent long lists."""


def problem(status: int, detail: str, **more: Any) -> JsonResponse:
    """A problem document as a response."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    response = JsonResponse({**body, **more}, status=status, content_type=PROBLEM_JSON)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response["Retry-After"] = str(PAUSE)
    return response


def logged_problem(request: HttpRequest, status: int, detail: str, **more: Any) -> JsonResponse:
    """`problem`, with one entry in the log that says why; Django's own, which says less, is left out."""
    response = problem(status, detail, **more)
    words = [text.encode("unicode_escape").decode("ascii") for text in (request.path, detail)]
    log.warning("%s %s: %d, %s", request.method, words[0], status, words[1])
    vars(response)["_has_been_logged"] = True
    return response


def answer_with(api: NinjaAPI, status: int, *kinds: type[Exception]) -> None:
    """Let `api` answer these refusals of a service with a problem document of this status."""

    def refused(request: HttpRequest, error: Any) -> HttpResponse:
        return logged_problem(request, status, str(error))

    for kind in kinds:
        api.add_exception_handler(kind, refused)


def install(api: NinjaAPI) -> None:
    """Let `api` answer every error with a problem document."""

    def refused(request: HttpRequest, error: Any) -> HttpResponse:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
        return logged_problem(request, status, str(error))

    def unauthenticated(request: HttpRequest, error: Any) -> HttpResponse:
        words = "Log in first: POST /api/v1/login, then send the token as a bearer token."
        return logged_problem(request, 401, words)

    def missing(request: HttpRequest, error: Any) -> HttpResponse:
        return logged_problem(request, 404, str(error) or "There is nothing here.")

    def invalid(request: HttpRequest, error: Any) -> HttpResponse:
        found = error.errors if isinstance(error, ValidationError) else []
        errors = [{"where": "/".join(map(str, e["loc"])), "what": str(e["msg"])} for e in found[:20]]
        first = f"{errors[0]['where']}: {errors[0]['what']}" if errors else "The request cannot be read."
        return logged_problem(request, 422, first, errors=errors)

    def http(request: HttpRequest, error: Any) -> HttpResponse:
        status = error.status_code if isinstance(error, HttpError) else 400
        # 400 is only ever a body that is no JSON: the same kind of fault as JSON of the wrong shape.
        return logged_problem(request, 422 if status == 400 else status, str(error))

    def too_big(request: HttpRequest, error: Any) -> HttpResponse:
        return logged_problem(request, 413, "The request is larger than this site reads.")

    api.add_exception_handler(refusals.Refusal, refused)
    api.add_exception_handler(AuthenticationError, unauthenticated)
    api.add_exception_handler(Http404, missing)
    api.add_exception_handler(ValidationError, invalid)
    api.add_exception_handler(HttpError, http)
    api.add_exception_handler(RequestDataTooBig, too_big)
