"""The pictures of a release: by category along the tree, one by one, and the figures of its card."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.views.pictures import send_picture
from export import layout
from export.models import Release, ReleaseImage
from export.services.browsing import (
    category_images,
    hides_pictures,
    pictures_below,
    shown_image,
    tree_of,
    unlabelled_images,
    with_provenance,
)
from export.services.downloads import files_of
from export.services.sharing import is_public
from export.sharing.category_tree import Node
from export.views.visible import page, release_page

PAGE = 60
"""Pictures on a page: a multiple of 2, 3, 4, 5 and 6 columns."""
NODES = 60
"""Categories on a page."""
GLIMPSE = 4
"""Pictures shown of a category in a list of categories."""
SPLITS = {split.label: split for split in ReleaseImage.Split}
KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}


@require_safe
@release_page
def category(request: HttpRequest, release: Release, key: str = "") -> HttpResponse:
    """A node of the category tree: what is below it, and its own pictures page by page."""
    tree = tree_of(release)
    node = tree.nodes.get(key)
    if key and node is None:
        raise Http404(_("This release has no pictures of such a category."))
    children = node.children if node else tree.roots
    first = _whole_number(request.GET.get("from", ""))
    split = request.GET.get("split", "")
    split = split if split in SPLITS else ""
    pictures, after = _pictures(release, node, split, request.GET.get("after", "")) if node else ([], "")
    return page(
        request,
        "export/public_category.html",
        release,
        node=node,
        known=release.dataset.categories.filter(key=key).first() if node else None,
        children=[_glimpse(release, child) for child in children[first : first + NODES]],
        number=len(children),
        next_children=first + NODES if first + NODES < len(children) else 0,
        first=first,
        pictures=pictures,
        split=split,
        splits=[name for name in SPLITS if not (release.sealed and name == "test")],
        next=urlencode({**({"split": split} if split else {}), "after": after}) if after else "",
        beyond_first="after" in request.GET,
        classes=len(tree.classes()),
    )


@require_safe
@release_page
def unlabelled(request: HttpRequest, release: Release) -> HttpResponse:
    """The test pictures of a sealed release, page by page: no label, and in an order that tells none."""
    if not release.sealed:
        raise Http404(_("The labels of this release are not kept back."))
    held = unlabelled_images(release)
    after = _whole_number(request.GET.get("after", ""))
    rows = list(held.filter(pk__gt=after).select_related("image", "category")[: PAGE + 1])
    shown = with_provenance(rows[:PAGE], release)
    return page(
        request,
        "export/public_unlabelled.html",
        release,
        pictures=shown,
        number=held.count(),
        next=str(shown[-1].id) if len(rows) > PAGE else "",
        beyond_first=after > 0,
        answers=f"{release}-answers.csv",
    )


def _pictures(release: Release, node: Node, split: str, after: str) -> tuple[list[Any], str]:
    """One page of a category's own pictures, and where the next page begins (empty: nowhere)."""
    if not node.own:
        return [], ""
    held = category_images(release, node).filter(pk__gt=_whole_number(after))
    if split:
        held = held.filter(split=SPLITS[split])
    rows = list(held.select_related("image", "category")[: PAGE + 1])
    shown = with_provenance(rows[:PAGE], release)
    return shown, str(shown[-1].id) if len(rows) > PAGE else ""


def _glimpse(release: Release, node: Node) -> dict[str, Any]:
    return {"node": node, "pictures": pictures_below(release, node, GLIMPSE)}


def _whole_number(text: str) -> int:
    """What a link carries; anything else is the beginning."""
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0


@require_safe
@release_page
def picture(request: HttpRequest, release: Release, sha256: str) -> HttpResponse:
    """One picture: its label, how sure that is, and where it comes from."""
    row = _row(release, sha256)
    shown = with_provenance([row], release)[0]
    known = row.category if shown.category else None
    return page(request, "export/public_picture.html", release, picture=shown, category=known)


@require_safe
@release_page
def picture_file(request: HttpRequest, release: Release, sha256: str, size: str) -> HttpResponseBase:
    """Its bytes, as a thumbnail or large. Kept for an hour only: a picture taken down is soon gone."""
    row = _row(release, sha256)
    cache = "public, max-age=3600" if is_public(release) else "private, max-age=3600"
    return send_picture(request, row.image.sha256, size, cache=cache)


def _row(release: Release, sha256: str) -> ReleaseImage:
    row = shown_image(release, sha256)
    if row is None:
        raise Http404(_("There is no such picture in this release, or it was taken down."))
    return row


def figure_url(release: Release, path: str, *, plots_only: bool) -> str:
    """Where a figure of the card is seen; empty for anything that is none, or shows pictures but may not."""
    if path not in layout.FIGURES or (plots_only and path == layout.SAMPLES):
        return ""
    name = path.removeprefix("figures/")
    return reverse("public_figure", args=[release.dataset.name, release.version, name])


@require_safe
@release_page
def figure(request: HttpRequest, release: Release, file: str) -> HttpResponseBase:
    """A figure of the card, from the release's folder. Nothing inside it can run or load anything."""
    name = f"figures/{file}"
    hidden = name == layout.SAMPLES and hides_pictures(release)
    path = files_of(release).local(name) if name in layout.FIGURES and not hidden else None
    if path is None:
        raise Http404(_("There is no such figure."))
    response = FileResponse(path.open("rb"), content_type=KINDS[path.suffix])
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "public, max-age=3600" if is_public(release) else "private, max-age=3600"
    return response
