"""Which files show one picture, and what a person says about it. Groups of several files only."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Name, dataset_of, user_of
from annotation_site.api.cursors import By, Cursor, Limit, page
from annotation_site.api.examples import SHA256, shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import Role
from ingest.models import DuplicateGroup
from ingest.services.duplicates import CannotChange, distance, join_groups, split_off
from ingest.services.group_names import MOST_JOINED, groups_named

router = Router(tags=["duplicates"], auth=LOGGED_IN)
FIRST = 24
"""Files told of each group in the list."""
SHOWN = 500
"""Files told of one group."""
Key = Annotated[str, Field(min_length=1, max_length=4_096, pattern=NO_NUL)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class MemberFile(Schema):
    """A file of a group. `bits`: how far its perceptual hash is from the representative's, of 64."""

    image: str
    width: int
    height: int
    bytes: int
    bits: int
    image_url: str
    thumbnail_url: str


class GroupOut(Schema):
    """Files that show one picture; the representative, which is labelled and released, comes first.

    `widest`: the bits of the least alike file; `more`: files that are not told here.
    """

    group: int
    size: int
    widest: int
    representative: str | None
    files: list[MemberFile]
    more: int


class GroupsOut(Schema):
    """Groups; `next` is the address of the following ones, or null."""

    groups: list[GroupOut]
    next: str | None


class JoinGroupsIn(Schema):
    """Two groups or more, by number, or by a file (SHA-256, path, address) that is in them."""

    model_config = shown(groups=[58, 61], images=[])
    groups: Annotated[list[Id], Field(max_length=MOST_JOINED)] = []
    images: Annotated[list[Key], Field(max_length=MOST_JOINED)] = []


class SplitGroupIn(Schema):
    """The files that show another picture than those that stay."""

    model_config = shown(images=[SHA256])
    images: Annotated[list[Sha256], Field(min_length=1, max_length=SHOWN)]


@router.get("datasets/{name}/duplicates", response={200: GroupsOut, **READING}, url_name="duplicates")
def duplicates(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    order: Annotated[str, Query("largest", pattern="^(largest|widest)$", description="widest: least alike")],
) -> Any:
    """Groups of several files, the largest or the least alike first."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    found = dataset.groups.filter(size__gt=1, representative__isnull=False).select_related("representative")
    key = By("size" if order == "largest" else "widest", int, falling=True)
    rows, following = page(request, found, [key, By("pk", int, falling=True)], cursor, limit)
    return {"groups": [_group(row, name, FIRST) for row in rows], "next": following}


@router.post("datasets/{name}/duplicates/join", response={200: GroupOut, **PROBLEMS}, url_name="join_groups")
def join(request: HttpRequest, name: Name, body: JoinGroupsIn) -> Any:
    """Make one group of several: the most protected split wins, votes stay. Curators only."""
    dataset = dataset_of(request, name)
    ids = groups_named(dataset, body.groups, body.images)
    return _group(join_groups(dataset, ids, user_of(request).get_username()), name, SHOWN)


@router.get(
    "datasets/{name}/duplicates/{group_id}", response={200: GroupOut, **READING}, url_name="duplicate_group"
)
def group(request: HttpRequest, name: Name, group_id: Id) -> Any:
    """One group with its files, five hundred at most."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    found = dataset.groups.select_related("representative").filter(pk=group_id).first()
    if found is None:
        raise Http404("This dataset has no such duplicate group; it may have been joined to another.")
    return _group(found, name, SHOWN)


@router.post(
    "datasets/{name}/duplicates/{group_id}/split",
    response={201: GroupOut, **PROBLEMS},
    url_name="split_group",
)
def split(request: HttpRequest, name: Name, group_id: Id, body: SplitGroupIn) -> Any:
    """Make a group of its own of some files; both keep their votes and their split. Curators only."""
    dataset = dataset_of(request, name)
    going = dict(dataset.images.filter(sha256__in=body.images).values_list("sha256", "pk"))
    if missing := sorted(set(body.images) - going.keys()):
        raise CannotChange(f"The dataset has no image {missing[0]}.")
    new = split_off(dataset, group_id, going.values(), user_of(request).get_username())
    return Status(201, _group(new, name, SHOWN))


def _group(group: DuplicateGroup, name: str, most: int) -> dict[str, Any]:
    first = group.representative
    images = list(group.images.filter(taken_down=None).order_by("pk")[:most])
    if first is not None and first.taken_down is None:
        images = [first, *(image for image in images if image.pk != first.pk)][:most]
    mark = "0" * 64
    full, thumb = (reverse(n, args=[name, mark]) for n in ("image_full", "image_thumb"))
    return {
        "group": group.pk,
        "size": group.size,
        "widest": group.widest,
        "representative": first.sha256 if first else None,
        "files": [
            {
                "image": image.sha256,
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes,
                "bits": distance(image.phash, first.phash) if first else 0,
                "image_url": full.replace(mark, image.sha256),
                "thumbnail_url": thumb.replace(mark, image.sha256),
            }
            for image in images
        ],
        "more": max(0, group.size - len(images)),
    }
