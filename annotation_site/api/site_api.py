"""django-ninja's API, made to keep this site's word: every error a problem document, every read an ETag."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.urls import URLPattern, URLResolver
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from ninja import NinjaAPI, Swagger
from ninja.openapi.schema import OpenAPISchema

from annotation_site.api.examples import fill_in
from annotation_site.api.problems import PROBLEM_JSON, logged_problem


class ApiPage(Swagger):
    """Swagger's page inside the site's own, from files of this site alone."""

    template = "annotation_site/api.html"


class SiteApi(NinjaAPI):
    """The API of this site; later stages add their routers to it."""

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        """The addresses, each one guarded by `_careful`."""
        patterns, app, namespace = super().urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = _careful(pattern.callback)
        return patterns, app, namespace

    def create_response(
        self,
        request: HttpRequest,
        data: Any,
        *,
        status: int | None = None,
        temporal_response: HttpResponse | None = None,
    ) -> HttpResponse:
        """What is read has an ETag, and is 304 for whoever has it; what was done is kept by nobody."""
        answer = super().create_response(request, data, status=status, temporal_response=temporal_response)
        if request.method != "GET" or answer.status_code != 200:
            answer["Cache-Control"] = "no-store"
            return answer
        tag = hashlib.sha256(answer.content).hexdigest()[:32]
        return tagged(request, f'W/"{tag}"', lambda: answer)

    def get_openapi_schema(self, **asked: Any) -> OpenAPISchema:
        """The description: errors have the content type that they are sent with, names an example."""
        schema = super().get_openapi_schema(**asked)
        fill_in(schema["paths"])
        for methods in schema["paths"].values():
            for operation in methods.values():
                for status, response in operation["responses"].items():
                    content = response.get("content", {})
                    if int(status) >= 400 and "application/json" in content:
                        content[PROBLEM_JSON] = content.pop("application/json")
        return schema


Answer = TypeVar("Answer", bound=HttpResponseBase)


def tagged(request: HttpRequest, tag: str, answer: Callable[[], Answer]) -> Answer | HttpResponseNotModified:
    """`answer()` with its ETag, or 304 where the caller has it already. Always asked for again."""
    known = {text.removeprefix("W/") for text in parse_etags(request.headers.get("If-None-Match", ""))}
    same = tag.removeprefix("W/") in known
    response: Answer | HttpResponseNotModified = HttpResponseNotModified() if same else answer()
    response["ETag"] = tag
    known_person = "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES
    response["Cache-Control"] = "private, no-cache" if known_person else "no-cache"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def _careful(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuse what no database column holds before it gets there; a wrong method gets our own words."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if "\x00" in request.path or "\x00" in unquote_plus(request.META.get("QUERY_STRING", "")):
            return logged_problem(request, 422, "The address holds a character (NUL) that no name has.")
        response = view(request, *args, **kwargs)
        if response.status_code == 405 and response.get("Content-Type") != PROBLEM_JSON:
            allowed = ", ".join(sorted(response.get("Allow", "").split(", ")))
            response = logged_problem(request, 405, f"This address takes {allowed}, not {request.method}.")
            response["Allow"] = allowed
        return response

    return guarded
