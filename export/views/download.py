"""Downloading a release: terms first, then links that `curl` and `wget` can use for a week."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import parse_etags
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation_site.api.auth import caller
from export import layout
from export.archive import CHUNK, Archive, DamagedRelease
from export.byte_range import Unsatisfiable, parse_range
from export.forms import AcceptForm
from export.models import Acceptance, Release
from export.services.browsing import shown_image
from export.services.downloads import (
    BadLink,
    ExpiredLink,
    NotAccepted,
    TooManyAcceptances,
    Unavailable,
    accept_terms,
    check_available,
    count_download,
    ends,
    link_of,
    open_link,
)
from export.services.sharing import terms_of
from export.views.visible import page, refusal, release_page

AT_ONCE = 4
"""Archives that one web process sends at a time: half of its threads stay free for everything else."""
_places = threading.BoundedSemaphore(AT_ONCE)

Read = Callable[[int, int], Iterator[bytes]]
_PICTURE = re.compile(r"(?:train|val|test)/[^/]+/([0-9a-f]{64})\.(?:jpg|png|webp)")


@require_http_methods(["GET", "HEAD", "POST"])
@release_page
def terms(request: HttpRequest, release: Release) -> HttpResponse:
    """The terms of this release, and accepting them."""
    try:
        check_available(release)
    except Unavailable as error:
        return refusal(request, error.status, _("This release cannot be downloaded"), str(error), release)
    held = terms_of(release)
    form = AcceptForm(held.asks, request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        try:
            acceptance = _accepted(request, release, form)
        except TooManyAcceptances as error:
            return refusal(request, 429, _("Too many acceptances"), str(error), release)
        if acceptance:
            return redirect("download", release.dataset.name, release.version, link_of(acceptance))
        status = 422
    response = page(request, "export/public_terms.html", release, terms=held, form=form)
    response.status_code = status
    return response


def _accepted(request: HttpRequest, release: Release, form: AcceptForm) -> Acceptance | None:
    if not form.is_valid():
        return None
    answers = {name: value for name, value in form.cleaned_data.items() if isinstance(value, str)}
    try:
        return accept_terms(
            release,
            form.cleaned_data["terms"],
            answers=answers,
            user=caller(request),
            address=request.META.get("REMOTE_ADDR", ""),
        )
    except NotAccepted as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return None


def with_link(
    view: Callable[..., HttpResponseBase],
) -> Callable[[HttpRequest, str, str, str], HttpResponseBase]:
    """Wrap `view(request, acceptance, folder, ...)` for holders of a link; others learn what to do."""

    def guarded(request: HttpRequest, name: str, version: str, link: str, **kwargs: Any) -> HttpResponseBase:
        try:
            acceptance = open_link(name, version, link)
            folder = check_available(acceptance.release)
        except ExpiredLink as error:
            return _no_link(request, 410, name, version, str(error))
        except BadLink as error:
            return _no_link(request, 403, name, version, str(error))
        except Unavailable as error:
            return refusal(request, error.status, _("This release cannot be downloaded"), str(error))
        return view(request, acceptance, folder, **kwargs)

    return require_safe(guarded)


def _no_link(request: HttpRequest, status: int, name: str, version: str, words: str) -> HttpResponse:
    context = {"words": words, "address": reverse("terms", args=[name, version])}
    return render(request, "export/no_link.html", context, status=status)


@with_link
def link(request: HttpRequest, acceptance: Acceptance, folder: Path) -> HttpResponse:
    """What can be downloaded under this acceptance, and how."""
    release = acceptance.release
    try:
        size = _archive(release, folder).size
    except DamagedRelease:
        words = _("The files of this release are damaged on this machine. Tell those who run it.")
        return refusal(request, 503, _("This release cannot be downloaded"), words, release)
    files = [name for name in layout.FILES if (folder / name).is_file()]
    name = f"{layout.folder_name(release.dataset.name, release.version)}.tar"
    address = [release.dataset.name, release.version, link_of(acceptance)]
    archive_url = request.build_absolute_uri(reverse("archive", args=[*address, name]))
    response = page(
        request,
        "export/public_download.html",
        release,
        archive_name=name,
        archive_url=archive_url,
        archive_size=size,
        files=[(n, (folder / n).stat().st_size, reverse("release_file", args=[*address, n])) for n in files],
        ends=ends(acceptance),
    )
    # The address is a key: it goes to no other site, and into no index.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


@with_link
def archive(request: HttpRequest, acceptance: Acceptance, folder: Path, file: str) -> HttpResponseBase:
    """The whole release as one tar archive; a broken download goes on where it stopped (Range)."""
    release = acceptance.release
    if file != f"{layout.folder_name(release.dataset.name, release.version)}.tar":
        raise Http404(_("There is no such file."))
    try:
        held = _archive(release, folder)
    except DamagedRelease:
        words = _("The files of this release are damaged on this machine. Tell those who run it.")
        return refusal(request, 503, _("This release cannot be downloaded"), words, release)
    if request.method == "HEAD":
        return _send(request, held.size, held.read, release.fingerprint, "application/x-tar")
    if not _places.acquire(blocking=False):
        words = _("Others are downloading now. Try again in a minute (curl --retry does).")
        answer = refusal(request, 503, _("Too many downloads at once"), words, release)
        answer["Retry-After"] = "60"
        return answer
    body = _Held(_places.release)
    try:
        response = _send(request, held.size, held.read, release.fingerprint, "application/x-tar", body)
    except BaseException:
        body.close()
        raise
    if not isinstance(response, StreamingHttpResponse):
        body.close()
    elif response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-"):
        count_download(acceptance, archive=True)
    return response


@with_link
def file(request: HttpRequest, acceptance: Acceptance, folder: Path, path: str) -> HttpResponseBase:
    """One file of the release: a table, a description, a picture."""
    release = acceptance.release
    if not _belongs(release, path):
        raise Http404(_("This release has no such file."))
    whole = folder / path
    if whole.is_symlink() or not whole.is_file():
        raise Http404(_("This release has no such file."))
    tag = f"{release.fingerprint[:40]}-{path}" if path.isascii() and '"' not in path else release.fingerprint
    size = whole.stat().st_size

    def read(start: int, stop: int) -> Iterator[bytes]:
        with whole.open("rb") as source:
            source.seek(start)
            while start < stop and (piece := source.read(min(CHUNK, stop - start))):
                start += len(piece)
                yield piece

    response = _send(request, size, read, tag, "application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{whole.name}"'
    if request.method == "GET" and path in layout.FILES and response.status_code == 200:
        count_download(acceptance, archive=False)
    return response


def _belongs(release: Release, path: str) -> bool:
    """Whether the path is a file of a release: whatever else lies in the folder (sealed answers) is not."""
    if path in (*layout.FILES, *layout.FIGURES):
        return True
    match = _PICTURE.fullmatch(path)
    return match is not None and shown_image(release, match[1]) is not None


def _archive(release: Release, folder: Path) -> Archive:
    top = layout.folder_name(release.dataset.name, release.version)
    return Archive(folder, top, release.fingerprint, settings.DATA_DIR / "archives")


class _Held:
    """A stream that holds a place until it ends, or until the visitor goes away."""

    def __init__(self, free: Callable[[], object]) -> None:
        self._free: Callable[[], object] | None = free
        self.pieces: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        """Called by Django at the end of the response, whatever the end was."""
        free, self._free = self._free, None
        if free:
            free()


def _send(
    request: HttpRequest, size: int, read: Read, tag: str, kind: str, held: _Held | None = None
) -> HttpResponseBase:
    """Bytes that never change, whole or a range of them."""
    etag = f'"{tag}"'
    response: HttpResponseBase
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponseNotModified()
        response["ETag"] = etag
        return response
    asked = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        asked = ""
    try:
        span = parse_range(asked, size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = span or (0, size)
    if request.method == "HEAD":
        response = HttpResponse(content_type=kind)
    else:
        pieces = read(start, stop)
        if held is not None:
            held.pieces = pieces
        response = StreamingHttpResponse(held or pieces, content_type=kind)
    if span:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response["Content-Length"] = str(stop - start)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    return response
