"""Pictures that have to go: what a takedown would do, doing it, and the block list. For curators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Name, Reason, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, OLDEST, Cursor, Limit, page
from annotation_site.api.examples import SHA256, shown
from annotation_site.api.problems import MUCH, PROBLEMS, READING
from export.services.image_takedown import MOST_NAMES, foresee, take_picture_down
from ingest.models import NearTakedown

router = Router(tags=["takedowns"], auth=LOGGED_IN)
MOST_URLS = 200
"""Addresses told of one entry of the block list."""
Sha256 = Annotated[str, Field(max_length=64, pattern="^[0-9a-f]{64}$")]
Url = Annotated[str, Field(min_length=1, max_length=4_096, pattern=NO_NUL)]


class NamedIn(Schema):
    """Pictures by SHA-256 or address, `copies`: and all files that show the same. Unknown ones are refused
    in advance: no later crawl takes them."""

    model_config = shown(images=[SHA256], urls=["https://photos.example/1.jpg"], copies=True)
    images: Annotated[list[Sha256], Field(max_length=MOST_NAMES)] = []
    urls: Annotated[list[Url], Field(max_length=MOST_NAMES)] = []
    copies: bool = True


class TakedownIn(NamedIn):
    """The same, with the reason, which is kept."""

    model_config = shown(images=[SHA256], urls=[], copies=True, reason="asked for by its author")
    reason: Reason


class TakedownOut(Schema):
    """What a takedown does. `other_files`: files of the same pictures that stay.

    `bytes_held_elsewhere`: files whose bytes other datasets need; `releases`: those that hold one of the
    files; `commands`: what an administrator types next, for a new version without them.
    """

    images: list[str]
    copies: int
    other_files: int
    refused_hashes: list[str]
    refused_urls: list[str]
    tasks: int
    votes_kept: int
    gold: int
    references: int
    bytes_held_elsewhere: int
    releases: list[str]
    commands: list[str]


class BlockedOut(Schema):
    """An entry of the block list; `image` is empty where only addresses are refused."""

    takedown: int
    image: str
    urls: list[str]
    reason: str
    by: str
    created: datetime


class BlockListOut(Schema):
    """What was taken down, the newest first; `next` is the address of the following ones, or null."""

    takedowns: list[BlockedOut]
    next: str | None


class NearOut(Schema):
    """A picture that came later and looks like one that was taken down: `bits` of 64 differ."""

    near: int
    image: str
    like: str
    bits: int


class NearListOut(Schema):
    """Pictures to look at; `next` is the address of the following ones, or null."""

    near: list[NearOut]
    next: str | None


@router.post(
    "datasets/{name}/takedowns/preview", response={200: TakedownOut, **MUCH}, url_name="takedown_foreseen"
)
def preview(request: HttpRequest, name: Name, body: NamedIn) -> Any:
    """What a takedown would do, in numbers; nothing is done. Curators only."""
    found = foresee(dataset_of(request, name), hashes=body.images, urls=body.urls, copies=body.copies)
    return found.as_dict("")


@router.post("datasets/{name}/takedowns", response={201: TakedownOut, **MUCH}, url_name="takedowns")
def take_down(request: HttpRequest, name: Name, body: TakedownIn) -> Any:
    """Take pictures down: they leave every page and task, their bytes go, they never come back.

    Curators only. The same again changes nothing. Published releases are folders that this does not touch.
    """
    dataset = dataset_of(request, name)
    found = foresee(dataset, hashes=body.images, urls=body.urls, copies=body.copies)
    take_picture_down(found, body.reason, user_of(request).get_username())
    return Status(201, found.as_dict(" ".join(body.reason.split())))


@router.get("datasets/{name}/takedowns", response={200: BlockListOut, **READING}, url_name="takedowns")
def block_list(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """What was taken down, with the addresses that no crawl asks any more. Curators only."""
    found = dataset_of(request, name).takedowns.prefetch_related("urls")
    rows, following = page(request, found, NEWEST, cursor, limit)
    lines = [
        {
            "takedown": row.pk,
            "image": row.sha256,
            "urls": [refused.url for refused in row.urls.all()][:MOST_URLS],
            "reason": row.reason,
            "by": row.by,
            "created": row.created,
        }
        for row in rows
    ]
    return {"takedowns": lines, "next": following}


@router.get(
    "datasets/{name}/takedowns/near", response={200: NearListOut, **READING}, url_name="near_takedowns"
)
def near(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """New pictures that look like one that was taken down, and that nobody has looked at. Curators only."""
    held = NearTakedown.objects.filter(takedown__dataset=dataset_of(request, name), kept_by="")
    found = held.filter(image__taken_down=None).select_related("image", "takedown")
    rows, following = page(request, found, OLDEST, cursor, limit)
    lines = [
        {"near": row.pk, "image": row.image.sha256, "like": row.takedown.sha256, "bits": row.distance}
        for row in rows
    ]
    return {"near": lines, "next": following}


@router.post(
    "datasets/{name}/takedowns/near/{near_id}/keep", response={204: None, **PROBLEMS}, url_name="keep_near"
)
def keep(request: HttpRequest, name: Name, near_id: Id) -> Any:
    """Say that such a picture is another one, and stays. Curators only."""
    dataset, by = dataset_of(request, name), user_of(request).get_username()[:150]
    if not NearTakedown.objects.filter(pk=near_id, takedown__dataset=dataset).update(kept_by=by):
        raise Http404(f"There is no picture {near_id} to be looked at in dataset {name}.")
    return Status(204, None)
