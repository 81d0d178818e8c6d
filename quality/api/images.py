"""The pictures of a dataset by what is known of them: the page of images, for programs."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Query, Router, Schema

from annotation_site.api.access import LOGGED_IN, NO_NUL, Name, dataset_of
from annotation_site.api.cursors import By, Cursor, Limit, following, read
from annotation_site.api.problems import READING
from annotation_site.models import Role
from quality.services.browsing import page_of_pictures
from quality.services.image_filters import NEWEST, ORDERS, STATES, Wanted, sensible

router = Router(tags=["images"], auth=LOGGED_IN)
PLACE = [By("place", float), By("pk", int)]
Share = Annotated[float | None, Query(None, ge=0, le=1)]
Number = Annotated[int, Query(0, ge=0, le=2**63 - 1, description="its number; 0: any")]


class ImageLine(Schema):
    """A picture. `label` is null without a consensus; `copies`: other files of its duplicate group."""

    image: str
    width: int
    height: int
    group: int | None
    copies: int
    label: str | None
    confidence: float | None
    votes: int
    state: str
    thumbnail_url: str


class ImagesOut(Schema):
    """Pictures; an answer may hold fewer than `limit`, and goes on at `next` all the same until that is null.

    `count`: how many fit in all, null where that would have to be counted; `more_than`: more than `count`.
    """

    images: list[ImageLine]
    count: int | None
    more_than: bool
    next: str | None


@router.get("datasets/{name}/images", response={200: ImagesOut, **READING}, url_name="dataset_images")
def images(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    least: Share,
    most: Share,
    source: Number,
    group: Number,
    category: Annotated[str, Query("", max_length=100, pattern=NO_NUL, description="a label")],
    licence: Annotated[
        str, Query("", max_length=200, pattern=NO_NUL, description="as recorded; `-`: none is recorded")
    ],
    state: Annotated[str, Query("", pattern=f"^(|{'|'.join(STATES)})$")],
    order: Annotated[
        str, Query(NEWEST, pattern=f"^({'|'.join(ORDERS)})$", description="sure: least sure first")
    ],
    once: Annotated[bool, Query(False, description="one picture of each duplicate group")],
) -> Any:
    """Pictures by category, confidence (`least` and `most`, 0 to 1), source, licence, state or group."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    wanted = Wanted(
        category=category,
        least=least,
        most=most,
        source=source or None,
        licence=licence,
        state=state,
        group=group or None,
        once=once,
        order=order,
    )
    place = tuple(read(cursor, PLACE)) if cursor else None
    page = page_of_pictures(dataset, sensible(dataset, wanted), limit, place)
    mark = "0" * 64
    thumb = reverse("image_thumb", args=[name, mark])
    return {
        "images": [
            {
                "image": shown.sha256,
                "width": shown.width,
                "height": shown.height,
                "group": shown.group,
                "copies": shown.copies,
                "label": shown.label,
                "confidence": shown.confidence,
                "votes": shown.votes,
                "state": shown.state,
                "thumbnail_url": thumb.replace(mark, shown.sha256),
            }
            for shown in page.pictures
        ],
        "count": page.count,
        "more_than": page.more_than,
        "next": following(request, page.after) if page.after else None,
    }
