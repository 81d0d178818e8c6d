"""Coming to a dataset with the account at hand, what it asks to be agreed to, and one's own tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Router, Schema, Status
from ninja.errors import HttpError

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Name, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, By, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING, Problem
from annotation_site.models import ConsentText
from annotation_site.services.access import LABELLERS
from annotation_site.services.consent import (
    MAX_TEXT,
    accept,
    given_by,
    newest_text,
    save_text,
    versions,
    withdraw,
)
from annotation_site.services.joining import Door, door_of_link, join, joinable, open_door
from annotation_site.services.tokens import revoke_token
from ingest.models import Dataset

router = Router(tags=["joining and consent"], auth=LOGGED_IN)


class Joinable(Schema):
    """A dataset that everybody may join as an annotator."""

    name: str
    title: str
    description: str


class JoinableOut(Schema):
    """Datasets with open sign-up that the caller has not joined, by name."""

    datasets: list[Joinable]
    next: str | None


class Joined(Schema):
    """What the caller may do now, and where."""

    dataset: str
    role: str


class JoinIn(Schema):
    """An invitation: the last part of the link's address."""

    model_config = shown(invitation="Zk3b0c0m3N0tARea1One_Xy7pQw2s")
    invitation: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class ConsentOut(Schema):
    """What the dataset asks of its labellers now. An empty text asks nothing; version 0: it never did.

    `accepted`: when the caller accepted this version; null: they have not, or took it back.
    """

    version: int
    text: str
    accepted: datetime | None


class ConsentIn(Schema):
    """A new version. `seen`: the version that the writer had before them, 0 for none."""

    model_config = shown(text="You are shown photos from the web. Stop whenever you like.", seen=1)
    text: Annotated[str, Field(max_length=MAX_TEXT, pattern=NO_NUL)]
    seen: Annotated[int, Field(ge=0, le=32_000)]


class AcceptanceIn(Schema):
    """The version that was read and is accepted."""

    model_config = shown(version=2)
    version: Annotated[int, Field(ge=0, le=32_000)]


class ConsentVersion(Schema):
    """One version, and how many people's acceptance of it stands."""

    version: int
    text: str
    created: datetime
    by: str | None
    accepted: int


class ConsentVersions(Schema):
    """Versions, the newest first; `next` is the address of the following ones, or null."""

    versions: list[ConsentVersion]
    next: str | None


class TokenOut(Schema):
    """A token of the caller; its text was shown once. Without a name: it came from a log-in."""

    token: int
    name: str
    scope: str
    created: datetime
    last_used: datetime | None


class TokensOut(Schema):
    """Tokens, the newest first; `next` is the address of the following ones, or null."""

    tokens: list[TokenOut]
    next: str | None


@router.get("joinable", response={200: JoinableOut, **READING}, url_name="joinable")
def joinable_datasets(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Datasets that the caller may join without an invitation, and has not joined."""
    rows, following = page(request, joinable(user_of(request)), [By("name", str)], cursor, limit)
    lines = [
        {"name": row.name, "title": row.title or row.name, "description": row.description} for row in rows
    ]
    return {"datasets": lines, "next": following}


@router.post("datasets/{name}/join", response={200: Joined, 201: Joined, **PROBLEMS}, url_name="join_open")
def join_dataset(request: HttpRequest, name: Name) -> Any:
    """Join a dataset that is open to everybody, as an annotator; 200 where one was in already."""
    return _join(request, open_door(name))


@router.post(
    "join", response={200: Joined, 201: Joined, **PROBLEMS, 410: Problem}, url_name="join_by_invitation"
)
def join_by_invitation(request: HttpRequest, body: JoinIn) -> Any:
    """Join by an invitation link; 200, and no use of it, where one was in already; 410: it is closed."""
    return _join(request, door_of_link(body.invitation))


@router.get("datasets/{name}/consent", response={200: ConsentOut, **READING}, url_name="dataset_consent")
def consent(request: HttpRequest, name: Name) -> Any:
    """What the dataset asks of its labellers, and whether the caller accepted it. For those who label."""
    return _consent(request, dataset_of(request, name, *LABELLERS))


@router.post(
    "datasets/{name}/consent/acceptance", response={200: ConsentOut, **PROBLEMS}, url_name="acceptance"
)
def accept_consent(request: HttpRequest, name: Name, body: AcceptanceIn) -> Any:
    """Accept the newest version: pictures are handed out from now on. 409 where another one is the newest."""
    dataset = dataset_of(request, name, *LABELLERS)
    text = newest_text(dataset)
    if text is None or not text.text:
        raise HttpError(409, "This dataset asks nothing that could be accepted.")
    accept(user_of(request), dataset, body.version)
    return _consent(request, dataset)


@router.delete("datasets/{name}/consent/acceptance", response={204: None, **PROBLEMS}, url_name="acceptance")
def withdraw_consent(request: HttpRequest, name: Name) -> Any:
    """Take consent back, of all versions; votes that were given stay."""
    if not withdraw(user_of(request), dataset_of(request, name, *LABELLERS)):
        raise HttpError(409, "There is no consent of yours to take back.")
    return Status(204, None)


@router.put("datasets/{name}/consent", response={200: ConsentOut, **PROBLEMS}, url_name="dataset_consent")
def write_consent(request: HttpRequest, name: Name, body: ConsentIn) -> Any:
    """Make a new version of the consent text, which is asked of everybody again. Curators only.

    An empty text ends the asking; the same text makes no version. 409 where somebody else wrote meanwhile.
    """
    dataset = dataset_of(request, name)
    save_text(user_of(request), dataset, body.text, seen=body.seen)
    return _consent(request, dataset)


@router.get(
    "datasets/{name}/consent/versions",
    response={200: ConsentVersions, **READING},
    url_name="consent_versions",
)
def consent_versions(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """Every version of the consent text. Curators only."""
    found = versions(dataset_of(request, name)).select_related("created_by")
    rows, following = page(request, found, [By("version", int, falling=True)], cursor, limit)
    lines = [
        {
            "version": row.version,
            "text": row.text,
            "created": row.created,
            "by": row.created_by.username if row.created_by else None,
            "accepted": getattr(row, "accepted", 0),
        }
        for row in rows
    ]
    return {"versions": lines, "next": following}


@router.get("me/tokens", response={200: TokensOut, **READING}, url_name="own_tokens", tags=["own work"])
def tokens(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The caller's tokens. New ones come from the page of tokens, or by name and password from `login`."""
    rows, following = page(request, user_of(request).api_tokens.all(), NEWEST, cursor, limit)
    names = set(TokenOut.model_fields) - {"token"}
    lines = [{"token": row.pk, **{name: getattr(row, name) for name in names}} for row in rows]
    return {"tokens": lines, "next": following}


@router.delete(
    "me/tokens/{token_id}", response={204: None, **PROBLEMS}, url_name="own_token", tags=["own work"]
)
def end_token(request: HttpRequest, token_id: Id) -> Any:
    """Revoke a token of one's own, be it the one that asks: it opens nothing any more."""
    if not revoke_token(user_of(request), token_id):
        raise Http404("There is no such token of yours. Perhaps it was revoked before.")
    return Status(204, None)


def _join(request: HttpRequest, door: Door) -> Status[Any]:
    new = join(user_of(request), door)
    return Status(201 if new else 200, {"dataset": door.dataset.name, "role": door.role})


def _consent(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    text: ConsentText | None = newest_text(dataset)
    given = given_by(user_of(request), text) if text else None
    return {
        "version": text.version if text else 0,
        "text": text.text if text else "",
        "accepted": given.created if given else None,
    }
