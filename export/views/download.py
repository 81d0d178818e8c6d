"""Downloading a release: terms first, then links that `curl` and `wget` can use for a week."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation_site.api.auth import caller
from export import layout
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
    archive_of,
    check_available,
    count_download,
    ends,
    link_of,
    open_link,
)
from export.services.sharing import terms_of
from export.sharing.archive import CHUNK
from export.sharing.opened import DamagedRelease, Opened
from export.views.sending import Stream, begins, send
from export.views.visible import page, refusal, release_page

AT_ONCE = 4
"""Archives that one web process sends at a time: half of its threads stay free for everything else."""
_places = threading.BoundedSemaphore(AT_ONCE)

log = logging.getLogger(__name__)
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
    """Wrap `view(request, acceptance, files, ...)` for holders of a link; others learn what to do."""

    def guarded(request: HttpRequest, name: str, version: str, link: str, **kwargs: Any) -> HttpResponseBase:
        try:
            acceptance = open_link(name, version, link)
            files = check_available(acceptance.release)
        except ExpiredLink as error:
            return _no_link(request, 410, name, version, str(error))
        except BadLink as error:
            return _no_link(request, 403, name, version, str(error))
        except Unavailable as error:
            return refusal(request, error.status, _("This release cannot be downloaded"), str(error))
        return view(request, acceptance, files, **kwargs)

    return require_safe(guarded)


def _no_link(request: HttpRequest, status: int, name: str, version: str, words: str) -> HttpResponse:
    context = {"words": words, "address": reverse("terms", args=[name, version])}
    return render(request, "export/no_link.html", context, status=status)


@with_link
def link(request: HttpRequest, acceptance: Acceptance, files: Opened) -> HttpResponse:
    """What can be downloaded under this acceptance, and how."""
    release = acceptance.release
    try:
        size = archive_of(release, files).size
    except DamagedRelease as error:
        return _damaged(request, release, error)
    address = [release.dataset.name, release.version, link_of(acceptance)]
    archive_url = request.build_absolute_uri(reverse("archive", args=[*address, f"{_top(release)}.tar"]))
    held = [(name, files.local(name)) for name in (*layout.FILES, *layout.FIGURES)]
    response = page(
        request,
        "export/public_download.html",
        release,
        archive_name=f"{_top(release)}.tar",
        archive_url=archive_url,
        archive_size=size,
        files=[(n, f.stat().st_size, reverse("release_file", args=[*address, n])) for n, f in held if f],
        ends=ends(acceptance),
    )
    # The address is a key: it goes to no other site, and into no index.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


@with_link
def archive(request: HttpRequest, acceptance: Acceptance, files: Opened, file: str) -> HttpResponseBase:
    """The whole release as one tar archive; a broken download goes on where it stopped (Range)."""
    release = acceptance.release
    if file != f"{_top(release)}.tar":
        raise Http404(_("There is no such file."))
    try:
        held = archive_of(release, files)
    except DamagedRelease as error:
        return _damaged(request, release, error)
    if request.method == "GET" and not _places.acquire(blocking=False):
        words = _("Others are downloading now. Try again in a minute (curl --retry does).")
        answer = refusal(request, 503, _("Too many downloads at once"), words, release)
        answer["Retry-After"] = "60"
        return answer
    body = Stream(iter(()), _places.release if request.method == "GET" else lambda: None)

    def read(start: int, stop: int) -> Stream:
        body.pieces = held.read(start, stop)
        return body

    try:
        response = send(request, held.size, read, release.fingerprint, "application/x-tar")
        if begins(response):
            count_download(acceptance, archive=True)
    except BaseException:
        body.close()
        raise
    if not response.streaming:
        body.close()
    return response


@with_link
def file(request: HttpRequest, acceptance: Acceptance, files: Opened, path: str) -> HttpResponseBase:
    """One file of the release: a table, a description, a picture."""
    release = acceptance.release
    if not _belongs(release, path):
        raise Http404(_("This release has no such file."))
    try:
        source = next(files.open_each([path]))
    except DamagedRelease:
        raise Http404(_("This release has no such file.")) from None
    size = source.seek(0, os.SEEK_END)

    def read(start: int, stop: int) -> Iterator[bytes]:
        source.seek(start)
        while start < stop and (piece := source.read(min(CHUNK, stop - start))):
            start += len(piece)
            yield piece

    def stream(start: int, stop: int) -> Stream:
        return Stream(read(start, stop), source.close)

    tag = f"{release.fingerprint[:40]}-{hashlib.sha256(path.encode()).hexdigest()[:24]}"
    response = send(request, size, stream, tag, "application/octet-stream")
    if not response.streaming:
        source.close()
    response["Content-Disposition"] = f'attachment; filename="{path.rpartition("/")[2]}"'
    if path in layout.FILES and begins(response):
        count_download(acceptance, archive=False)
    return response


def _belongs(release: Release, path: str) -> bool:
    """Whether the path is a file of a release: whatever else lies in the folder (sealed answers) is not."""
    if path in (*layout.FILES, *layout.FIGURES):
        return True
    match = _PICTURE.fullmatch(path)
    return match is not None and shown_image(release, match[1]) is not None


def _top(release: Release) -> str:
    return layout.folder_name(release.dataset.name, release.version)


def _damaged(request: HttpRequest, release: Release, error: DamagedRelease) -> HttpResponse:
    log.error("%s cannot be given out: %s", release, error)
    words = _("The files of this release are damaged on this machine. Tell those who run it.")
    return refusal(request, 503, _("This release cannot be downloaded"), words, release)
