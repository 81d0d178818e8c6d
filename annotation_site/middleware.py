"""One header on every page. Pure: it needs nothing of Django."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
