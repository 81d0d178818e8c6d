"""Releases, and how far a dataset is on its way to one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from django.http import (
    HttpRequest,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import reverse
from ninja import Field, Query, Router, Schema
from ninja.errors import AuthenticationError

from annotation_site.api.access import LOGGED_IN, Name, dataset_of
from annotation_site.api.auth import caller
from annotation_site.api.examples import SHA256, shown
from annotation_site.api.problems import READING, Problem, problem
from annotation_site.api.site_api import tagged
from annotation_site.models import Role, Round, User
from export import layout
from export.models import Release
from export.services.browsing import withdrawals_of
from export.services.downloads import (
    NotAccepted,
    TooManyAcceptances,
    Unavailable,
    accept_terms,
    check_available,
    ends,
    files_of,
    link_of,
)
from export.services.sharing import is_public, terms_of, visible_release, visible_releases
from export.sharing.manifest_rows import manifest_rows
from quality.services import report

router = Router(tags=["releases"])
PAGE = 100
"""Releases in one answer."""
TOGETHER = 500
"""Rows of the manifest that are sent at once."""

Split = Annotated[str, Field(pattern="^(|train|val|test)$")]


class ReleaseLine(Schema):
    """A release in the list."""

    name: str
    version: str
    title: str
    fingerprint: str
    published: str
    public: bool
    deprecated: bool
    images: int
    categories: int
    label_accuracy: dict[str, Any] | None
    url: str
    page: str


class ReleasesOut(Schema):
    """Releases, the newest first; `next` is the address of the following ones, or null."""

    releases: list[ReleaseLine]
    next: str | None


class TermsOut(Schema):
    """The terms of a release: `asks` is what an acceptance must tell."""

    sha256: str
    text: str
    asks: list[str]


class AcceptIn(Schema):
    """Accepting the terms with this SHA-256, with what they ask for."""

    model_config = shown(sha256=SHA256, name="Mei Lin", email="mei@example.org", purpose="teaching")
    sha256: Annotated[str, Field(max_length=64)]
    name: Annotated[str, Field(max_length=200)] = ""
    email: Annotated[str, Field(max_length=254)] = ""
    purpose: Annotated[str, Field(max_length=1000)] = ""


class LinksOut(Schema):
    """Addresses that work until `expires`; `files` + a path of the release is that file."""

    archive: str
    files: str
    expires: str
    fingerprint: str


class FunnelOut(Schema):
    """Pictures on their way: found, stored, unique, asked about, labelled (with a consensus), settled, unsure
    (at the most votes), and in the newest release."""

    found: int
    stored: int
    unique: int
    asked: int
    labelled: int
    settled: int
    unsure: int
    released: int


class StandingOut(Schema):
    """A dataset and how far it is. `release`: its newest version."""

    name: str
    title: str
    description: str
    licence: str
    created: datetime
    pictures: FunnelOut
    rounds: int
    rounds_open: int
    release: str | None


PROBLEMS = {401: Problem, 404: Problem, 422: Problem}


@router.get("datasets/{name}", response={200: StandingOut, **READING}, url_name="dataset", auth=LOGGED_IN)
def dataset(request: HttpRequest, name: Name) -> Any:
    """How far a dataset is: the funnel of its page."""
    held = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    newest = held.releases.first()
    states = list(held.rounds.values_list("state", flat=True))
    return {
        "name": held.name,
        "title": held.title or held.name,
        "description": held.description,
        "licence": held.licence,
        "created": held.created,
        "pictures": {
            "found": held.candidates_found,
            "stored": held.images_stored,
            "unique": held.groups_found,
            **report.funnel(held),
            "released": newest.counts.get("images", 0) if newest else 0,
        },
        "rounds": len(states),
        "rounds_open": states.count(Round.State.OPEN),
        "release": newest.version if newest else None,
    }


@router.get("releases", response={200: ReleasesOut, 401: Problem, 422: Problem}, url_name="releases")
def releases(
    request: HttpRequest,
    dataset: Annotated[str, Field(max_length=64)] = "",
    before: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0,
) -> Any:
    """Every release that the caller may see, of all datasets or of one."""
    found = visible_releases(_caller(request)).order_by("-id")
    if dataset:
        found = found.filter(dataset__name=dataset)
    if before:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE + 1])
    following = None
    if len(rows) > PAGE:
        kept = f"dataset={dataset}&" if dataset else ""
        following = request.build_absolute_uri(f"{reverse('api:releases')}?{kept}before={rows[PAGE - 1].pk}")
    return {"releases": [_line(request, release) for release in rows[:PAGE]], "next": following}


@router.get("releases/{name}/{version}", response={200: dict[str, Any], **PROBLEMS}, url_name="release")
def release(request: HttpRequest, name: str, version: str) -> Any:
    """One release: what its release.json says, its state now, and where everything is. Has an ETag."""
    held = visible_release(_caller(request), name, version)
    heir = visible_releases(_caller(request)).filter(replaces=held).first()
    body = {
        **_line(request, held),
        "release": _document(held),
        "sealed": held.sealed,
        "withdrawn": withdrawals_of(held).count(),
        "deprecation": None
        if held.deprecated is None
        else {
            "since": held.deprecated.isoformat(),
            "reason": held.deprecation_reason,
            "use": heir.version if heir else None,
        },
        "links": {
            "manifest": _address(request, "api:manifest", held),
            "terms": _address(request, "api:terms", held),
            "bibtex": _address(request, "bibtex", held),
            "cff": _address(request, "cff", held),
        },
    }
    tag = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
    return tagged(request, f'"{tag}"', lambda: JsonResponse(body))


@router.get(
    "releases/{name}/{version}/manifest",
    response={200: None, **PROBLEMS, 503: Problem},
    url_name="manifest",
    openapi_extra={
        "responses": {200: {"content": {"application/x-ndjson": {}}, "description": "One JSON row a line"}}
    },
)
def manifest(
    request: HttpRequest,
    name: str,
    version: str,
    split: Split = "",
    category: Annotated[str, Field(max_length=100)] = "",
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = Query(0, description="go on after this `row`"),
) -> Any:
    """The manifest as NDJSON, one picture a line, with the addresses of its picture and thumbnail.

    A stream that broke off goes on with `?after=` the last `row` that came. Pictures that were taken down
    are left out.
    """
    held = visible_release(_caller(request), name, version)
    path = files_of(held).local(layout.MANIFEST)
    if path is None:
        return problem(503, "The files of this release are not to be had now.")
    gone = set(withdrawals_of(held).values_list("image__sha256", flat=True))
    asked = f"{split}|{category}|{after}|{sorted(gone)}"
    tag = f'W/"{held.fingerprint[:32]}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"'

    def answer() -> HttpResponseBase:
        rows = manifest_rows(path, after=after, split=split, category=category)
        lines = _lines(request, held, (row for row in rows if row["image"] not in gone))
        return StreamingHttpResponse(lines, content_type="application/x-ndjson")

    return tagged(request, tag, answer)


@router.get("releases/{name}/{version}/terms", response={200: TermsOut, **PROBLEMS}, url_name="terms")
def terms(request: HttpRequest, name: str, version: str) -> Any:
    """The terms on which the release can be downloaded."""
    held = terms_of(visible_release(_caller(request), name, version))
    return {"sha256": held.sha256, "text": held.text, "asks": held.asks}


@router.post(
    "releases/{name}/{version}/acceptances",
    response={201: LinksOut, **PROBLEMS, 410: Problem, 429: Problem, 503: Problem},
    url_name="acceptances",
)
def accept(request: HttpRequest, name: str, version: str, body: AcceptIn) -> Any:
    """Accept the terms; the answer has the addresses of the archive and of single files.

    Kept: what the terms ask for, the time, the terms' version, a keyed hash of the network address.
    """
    user = _caller(request) if "Authorization" in request.headers else None
    held = visible_release(user, name, version)
    try:
        check_available(held)
        answers = {"name": body.name, "email": body.email, "purpose": body.purpose}
        address = request.META.get("REMOTE_ADDR", "")
        made = accept_terms(held, body.sha256, answers=answers, user=user, address=address)
    except Unavailable as error:
        return problem(error.status, str(error))
    except NotAccepted as error:
        return problem(422, str(error), errors=[{"where": f"body/{error.field}", "what": str(error)}])
    except TooManyAcceptances as error:
        return problem(429, str(error))
    archive = f"{layout.folder_name(held.dataset.name, held.version)}.tar"
    place = _address(request, "download", held, link_of(made))
    links = {
        "archive": f"{place}{archive}",
        "files": f"{place}files/",
        "expires": ends(made).isoformat(),
        "fingerprint": held.fingerprint,
    }
    return JsonResponse(links, status=201)


def _caller(request: HttpRequest) -> User | None:
    """Who asks: a stranger is welcome, but a token that is sent must be a good one."""
    user = caller(request)
    if user is None and "Authorization" in request.headers:
        raise AuthenticationError
    return user


def _line(request: HttpRequest, release: Release) -> dict[str, Any]:
    return {
        "name": release.dataset.name,
        "version": release.version,
        "title": release.dataset.title or release.dataset.name,
        "fingerprint": release.fingerprint,
        "published": release.created.isoformat(),
        "public": is_public(release),
        "deprecated": release.deprecated is not None,
        "images": release.counts.get("images", 0),
        "categories": len(release.counts.get("categories", {})),
        "label_accuracy": release.label_accuracy,
        "url": _address(request, "api:release", release),
        "page": _address(request, "public_release", release),
    }


def _document(release: Release) -> dict[str, Any]:
    """release.json; where the folder is not here, as much of it as the database keeps."""
    file = files_of(release).local(layout.RELEASE)
    if file is None:
        return {
            "name": release.dataset.name,
            "version": release.version,
            "parent": release.parent.version if release.parent else None,
            "parameters": release.parameters,
            "counts": release.counts,
            "label_accuracy": release.label_accuracy,
        }
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _lines(request: HttpRequest, release: Release, rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    mark = "0" * 64
    full = _address(request, "public_full", release, mark)
    thumb = _address(request, "public_thumb", release, mark)
    waiting: list[str] = []
    for row in rows:
        sha256 = row["image"]
        row["picture_url"], row["thumbnail_url"] = full.replace(mark, sha256), thumb.replace(mark, sha256)
        waiting.append(json.dumps(row, ensure_ascii=False))
        if len(waiting) == TOGETHER:
            yield ("\n".join(waiting) + "\n").encode()
            waiting.clear()
    if waiting:
        yield ("\n".join(waiting) + "\n").encode()


def _address(request: HttpRequest, name: str, release: Release, *more: str) -> str:
    path = reverse(name, args=[release.dataset.name, release.version, *more])
    return request.build_absolute_uri(path)
