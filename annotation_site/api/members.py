"""Who has which role in a dataset, and how more people come. For curators, as the page of members is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Line, Name, dataset_of, user_of
from annotation_site.api.cursors import NEWEST, By, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import Consent, Entrance, InvitationLink, Membership, Role
from annotation_site.services.consent import newest_text
from annotation_site.services.members import (
    MAX_DAYS,
    MAX_USES,
    administrators,
    everywhere,
    give_role,
    links_of,
    make_link,
    people_of,
    revoke_link,
    set_sign_up,
    sign_up_mode,
    take_role,
)

router = Router(tags=["members"], auth=LOGGED_IN)
SHOWN = 50
"""People with a role everywhere that are named."""
RoleName = Annotated[str, Field(pattern=f"^({'|'.join(Role.values)})$", description="one of the four roles")]
UserName = Annotated[str, Field(min_length=1, max_length=150, pattern=NO_NUL)]


class MemberOut(Schema):
    """A person with roles here. `consent`: they accepted what is asked now; null: nothing is asked."""

    username: str
    roles: list[str]
    consent: bool | None


class HeldEverywhere(Schema):
    """A role that holds in every dataset."""

    username: str
    role: str


class MembersOut(Schema):
    """People by user name; `everywhere` and `administrators` may act here without being members."""

    members: list[MemberOut]
    everywhere: list[HeldEverywhere]
    administrators: list[str]
    next: str | None


class GiveIn(Schema):
    """A role for somebody who has an account."""

    model_config = shown(username="mei", role="annotator")
    username: UserName
    role: RoleName


class GivenOut(Schema):
    """Who has which role now."""

    username: str
    role: str


class LinkIn(Schema):
    """A new invitation link: the role it gives, to how many people, for how many days."""

    model_config = shown(role="annotator", uses=25, days=14, note="Class of 2026")
    role: RoleName
    uses: Annotated[int, Field(ge=1, le=MAX_USES)] = 1
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 14
    note: Line = ""


class InvitationOut(Schema):
    """An invitation link. `closed`: why it lets nobody in any more; empty while it does."""

    link: int
    role: str
    note: str
    uses: int
    uses_left: int
    created: datetime
    expires: datetime
    by: str | None
    closed: str


class InvitationsOut(Schema):
    """Links, the newest first; what they open with is not kept, and so not here."""

    links: list[InvitationOut]
    next: str | None


class NewInvitation(InvitationOut):
    """A link that was just made. `url` is shown this once."""

    url: str


class SignUpMode(Schema):
    """Who may join: `invitation` (those with a link) or `open` (everybody, as annotators)."""

    model_config = shown(mode="open")
    mode: Annotated[str, Field(pattern=f"^({'|'.join(Entrance.SignUp.values)})$")]


class EntranceOut(Schema):
    """Who may join, and the address of the page for it, which works while the mode is `open`."""

    mode: str
    page: str


@router.get("datasets/{name}/members", response={200: MembersOut, **READING}, url_name="members")
def members(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    search: Annotated[str, Query("", max_length=150, description="how the user name begins")],
    role: Annotated[str, Query("", pattern=f"^(|{'|'.join(Role.values)})$", description="who has this one")],
) -> Any:
    """The people of a dataset with their roles. Curators only."""
    dataset = dataset_of(request, name)
    found = people_of(dataset, search=search, role=role)
    rows, following = page(request, found, [By("username", str)], cursor, limit)
    text = newest_text(dataset)
    asks = text is not None and bool(text.text)
    standing = Consent.objects.filter(text=text, withdrawn=None, user__in=rows) if asks else None
    agreed = set(standing.values_list("user_id", flat=True)) if standing is not None else set()
    return {
        "members": [
            {
                "username": row.username,
                "roles": [held.role for held in getattr(row, "roles_here", ())],
                "consent": row.pk in agreed if asks else None,
            }
            for row in rows
        ],
        "everywhere": [{"username": m.user.username, "role": m.role} for m in everywhere()[:SHOWN]],
        "administrators": list(administrators().values_list("username", flat=True)[:SHOWN]),
        "next": following,
    }


@router.post(
    "datasets/{name}/members", response={200: GivenOut, 201: GivenOut, **PROBLEMS}, url_name="members"
)
def give(request: HttpRequest, name: Name, body: GiveIn) -> Any:
    """Give a role; 200 where the person had it already. Only administrators make curators."""
    dataset = dataset_of(request, name)
    new = give_role(user_of(request), dataset, body.username, body.role)
    return Status(201 if new else 200, {"username": body.username, "role": body.role})


@router.delete(
    "datasets/{name}/members/{username}/{role}", response={204: None, **PROBLEMS}, url_name="member"
)
def take(request: HttpRequest, name: Name, username: UserName, role: RoleName) -> Any:
    """Take a role away. Votes stay, and count as they did. Curators only."""
    dataset = dataset_of(request, name)
    held = Membership.objects.select_related("user", "dataset").filter(dataset=dataset, role=role)
    membership = held.filter(user__username=username).first()
    if membership is None:
        raise Http404(f"{username} does not have the role {role} in {name}.")
    take_role(user_of(request), membership)
    return Status(204, None)


@router.get("datasets/{name}/links", response={200: InvitationsOut, **READING}, url_name="links")
def links(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """Invitation links, with how many people came by each. Curators only."""
    found = links_of(dataset_of(request, name)).select_related("created_by")
    rows, following = page(request, found, NEWEST, cursor, limit)
    return {"links": [_link(row) for row in rows], "next": following}


@router.post("datasets/{name}/links", response={201: NewInvitation, **PROBLEMS}, url_name="links")
def new_link(request: HttpRequest, name: Name, body: LinkIn) -> Any:
    """Make an invitation link. Its address is in this answer and nowhere else: only a hash is kept."""
    dataset = dataset_of(request, name)
    token = make_link(user_of(request), dataset, body.role, note=body.note, uses=body.uses, days=body.days)
    made = links_of(dataset).select_related("created_by").get(token_sha256=InvitationLink.digest(token))
    url = request.build_absolute_uri(reverse("join_link", args=[token]))
    return Status(201, {**_link(made), "url": url})


@router.delete("datasets/{name}/links/{link_id}", response={204: None, **PROBLEMS}, url_name="link")
def close_link(request: HttpRequest, name: Name, link_id: Id) -> Any:
    """Revoke a link: nobody gets in by it any more; who came stays. Curators only."""
    if not revoke_link(user_of(request), dataset_of(request, name), link_id):
        raise Http404("There is no such link, or it was closed before.")
    return Status(204, None)


@router.get("datasets/{name}/sign-up", response={200: EntranceOut, **READING}, url_name="sign_up")
def entrance(request: HttpRequest, name: Name) -> Any:
    """Who may join the dataset. Curators only."""
    return _entrance(request, name, sign_up_mode(dataset_of(request, name)))


@router.put("datasets/{name}/sign-up", response={200: EntranceOut, **PROBLEMS}, url_name="sign_up")
def set_entrance(request: HttpRequest, name: Name, body: SignUpMode) -> Any:
    """Open the dataset to everybody, or close it to those without a link. Curators only."""
    set_sign_up(user_of(request), dataset_of(request, name), body.mode)
    return _entrance(request, name, body.mode)


def _entrance(request: HttpRequest, name: str, mode: str) -> dict[str, str]:
    return {"mode": mode, "page": request.build_absolute_uri(reverse("join_open", args=[name]))}


def _link(row: InvitationLink) -> dict[str, Any]:
    return {
        "link": row.pk,
        "role": row.role,
        "note": row.note,
        "uses": row.uses,
        "uses_left": row.uses_left,
        "created": row.created,
        "expires": row.expires,
        "by": row.created_by.username if row.created_by else None,
        "closed": row.closed_because(timezone.now()),
    }
