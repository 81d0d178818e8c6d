"""Pictures, for those who may see the dataset. Made once, kept on disk, and by browsers for good."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotModified,
)
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.api.auth import caller
from annotation_site.api.problems import problem
from annotation_site.models import Role
from annotation_site.pictures import large, thumbnail
from ingest.decode import RejectedPicture
from ingest.models import Image
from ingest.storage import MissingBytes, open_store

# What is asked for -> (end of the kept file's name, content type, how it is made).
SIZES: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "thumb": ("320.webp", "image/webp", thumbnail),
    "full": ("2048.jpg", "image/jpeg", large),
}


@require_safe
def image_thumb(request: HttpRequest, name: str, sha256: str) -> HttpResponseBase:
    """A WebP of at most 320 pixels a side."""
    return _picture(request, name, sha256, "thumb")


@require_safe
def image_full(request: HttpRequest, name: str, sha256: str) -> HttpResponseBase:
    """A JPEG large enough for any screen, without camera data."""
    return _picture(request, name, sha256, "full")


def _picture(request: HttpRequest, name: str, sha256: str, size: str) -> HttpResponseBase:
    user = caller(request)
    if user is None:
        return problem(401, _("Log in to see pictures."))
    image = Image.objects.select_related("dataset").filter(dataset__name=name, sha256=sha256).first()
    if image is None or image.taken_down is not None or not user.has_role(image.dataset, *Role.values):
        # The same answer for both: whether a picture exists is nobody else's business.
        return problem(404, _("There is no such picture, or not for you."))
    return send_picture(request, sha256, size, cache="private, max-age=31536000, immutable")


def send_picture(request: HttpRequest, sha256: str, size: str, *, cache: str) -> HttpResponseBase:
    """A picture in one of `SIZES`, for somebody who may see it. `cache`: who may keep it, for how long.

    Raises:
        Http404: its bytes are missing or damaged.
    """
    ending, kind, make = SIZES[size]
    tag = f'"{sha256[:32]}-{ending}"'
    response: HttpResponseBase
    if request.headers.get("If-None-Match") == tag:
        response = HttpResponseNotModified()
    else:
        try:
            response = FileResponse(_kept(sha256, ending, make).open("rb"), content_type=kind)
        except (MissingBytes, RejectedPicture):
            raise Http404(_("The bytes of this picture are missing or damaged.")) from None
    response["ETag"] = tag
    response["Cache-Control"] = cache
    response["X-Content-Type-Options"] = "nosniff"
    return response


def forget_picture(sha256: str) -> None:
    """Remove every size of a picture that was made."""
    for ending, _kind, _make in SIZES.values():
        _path(sha256, ending).unlink(missing_ok=True)


def _path(sha256: str, ending: str) -> Path:
    folder: Path = settings.DATA_DIR / "thumbs" / sha256[:2] / sha256[2:4]
    return folder / f"{sha256}.{ending}"


def _kept(sha256: str, ending: str, make: Callable[[bytes], bytes]) -> Path:
    """The file of this size, made at the first call. Renamed into place: nobody ever reads half of one."""
    path = _path(sha256, ending)
    if path.exists():
        return path
    data = make(open_store(settings.STORAGE_URL).get(sha256))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
