"""What holds for every page: one header, and a language that the page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils import translation

POLICY = "; ".join(
    [
        "default-src 'self'",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


class ContentSecurityPolicy:
    """Scripts, styles and pictures come from this site alone, and none stand inside a page.

    Markup that slipped into a name or a caption then does nothing. A view that must serve something else
    (a self-contained report) sets the header itself, and is left alone.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Add the header where the view set none."""
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class TranslatedPages:
    """Pages of those who label, and of accounts, come in every language; those of curators in English.

    They are told apart by the stage that makes them. Half a page in another language would be read out by
    a screen reader in the wrong voice.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Nothing of its own."""
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Before the page is made."""
        request.is_translated = view.__module__.startswith(("annotation_site.", "ninja"))
        if not request.is_translated:
            translation.activate("en")
            request.LANGUAGE_CODE = "en"
