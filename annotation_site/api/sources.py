"""Where the pictures of a dataset come from, and what became of what was found there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Name, dataset_of
from annotation_site.api.cursors import NEWEST, OLDEST, Cursor, Limit, page
from annotation_site.api.problems import READING
from annotation_site.models import Role
from ingest.models import Candidate, Source
from ingest.reasons import meaning
from ingest.services.outcomes import tally

router = Router(tags=["sources"], auth=LOGGED_IN)
STATES = {label: value for value, label in Candidate.State.choices}


class Outcomes(Schema):
    """What became of the candidates of a source. `rejected`, `forbidden`, `failed`: how many, by reason."""

    found: int
    pending: int
    stored: int
    same_bytes: int
    gone: int
    rejected: dict[str, int]
    forbidden: dict[str, int]
    failed: dict[str, int]


class SourceOut(Schema):
    """A folder, archive, list or page; `category`: what was searched for there."""

    source: int
    kind: str
    location: str
    category: str | None
    created: datetime
    last_run: datetime | None
    finished: bool
    outcomes: Outcomes


class SourcesOut(Schema):
    """Sources, the newest first; `next` is the address of the following ones, or null."""

    sources: list[SourceOut]
    next: str | None


class FoundThere(Schema):
    """One found file. `reason` and `meaning`: why it is no image of the dataset, short and in words."""

    url: str
    page_url: str
    licence: str
    author: str
    caption: str
    state: str
    reason: str
    meaning: str
    detail: str
    image: str | None
    attempts: int
    found: datetime
    fetched: datetime | None


class FoundThereOut(Schema):
    """Found files in the order found; `next` is the address of the following ones, or null."""

    candidates: list[FoundThere]
    next: str | None


@router.get("datasets/{name}/sources", response={200: SourcesOut, **READING}, url_name="sources")
def sources(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """The sources of a dataset, with what became of everything that was found in each."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    rows, following = page(request, dataset.sources.select_related("category"), NEWEST, cursor, limit)
    _total, by_source = tally(rows)
    lines = [
        {
            "source": row.pk,
            "kind": row.kind,
            "location": row.location,
            "category": row.category.key if row.category else None,
            "created": row.created,
            "last_run": row.last_run,
            "finished": row.finished,
            "outcomes": by_source[row.pk].as_dict(),
        }
        for row in rows
    ]
    return {"sources": lines, "next": following}


@router.get(
    "datasets/{name}/sources/{source_id}/candidates",
    response={200: FoundThereOut, **READING},
    url_name="source_candidates",
)
def source_candidates(
    request: HttpRequest,
    name: Name,
    source_id: Id,
    cursor: Cursor,
    limit: Limit,
    state: Annotated[str, Query("stored", pattern=f"^({'|'.join(STATES)})$", description="how it ended")],
    reason: Annotated[
        str,
        Query("", max_length=40, pattern=NO_NUL, description="as `outcomes` names it; empty: none"),
    ],
) -> Any:
    """What was found in one source and ended in one way: in a state, and for what was refused, a reason."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    source: Source | None = dataset.sources.filter(pk=source_id).first()
    if source is None:
        raise Http404(f"There is no source {source_id} in dataset {name}.")
    held = Candidate.objects.filter(source=source, state=STATES[state], reason=reason)
    rows, following = page(request, held.select_related("image"), OLDEST, cursor, limit)
    lines = [
        {
            "url": row.url,
            "page_url": row.page_url,
            "licence": row.licence,
            "author": row.author,
            "caption": row.caption,
            "state": row.get_state_display(),
            "reason": row.reason,
            "meaning": str(meaning(row.reason)) if row.reason else "",
            "detail": row.detail,
            "image": row.image.sha256 if row.image and row.image.taken_down is None else None,
            "attempts": row.attempts,
            "found": row.found,
            "fetched": row.fetched,
        }
        for row in rows
    ]
    return {"candidates": lines, "next": following}
