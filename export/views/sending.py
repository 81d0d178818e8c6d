"""Bytes that never change, sent whole or in the range that was asked for, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.utils.http import parse_etags

from export.sharing.byte_range import Unsatisfiable, parse_range

Read = Callable[[int, int], Iterable[bytes]]
"""Gives the bytes from one place to before another, in pieces."""


class Stream:
    """Pieces of a response; `at_end` is called once, when the last was sent or the visitor went away."""

    def __init__(self, pieces: Iterator[bytes], at_end: Callable[[], object]) -> None:
        self.pieces = pieces
        self._at_end: Callable[[], object] | None = at_end

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        """Called by Django at the end of the response, whatever the end was."""
        at_end, self._at_end = self._at_end, None
        if at_end:
            at_end()


def send(request: HttpRequest, size: int, read: Read, tag: str, kind: str) -> HttpResponseBase:
    """A response for `size` bytes under an ETag: 200, 206, 304 or 416, as the request's headers ask."""
    etag = f'"{tag}"'
    response: HttpResponseBase
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponseNotModified()
        response["ETag"] = etag
        return response
    asked = request.headers.get("Range", "") if request.headers.get("If-Range", etag) == etag else ""
    try:
        span = parse_range(asked, size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = span or (0, size)
    if request.method == "HEAD":
        response = HttpResponse(content_type=kind)
    else:
        response = StreamingHttpResponse(read(start, stop), content_type=kind)
    if span:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Content-Length"] = str(stop - start)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def begins(response: HttpResponseBase) -> bool:
    """Whether this is the beginning of a download, and not a later part, a refusal or only its head."""
    first = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return response.streaming and first
