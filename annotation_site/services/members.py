"""Who has which role in a dataset, and the links by which more come. Only administrators make curators."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.models import Entrance, InvitationLink, InvitationLinkQuerySet, Membership, Role, User
from annotation_site.services.accounts import worker_of
from annotation_site.services.locking import short_write
from annotation_site.services.refusals import NotAllowed, Refusal
from ingest.models import Dataset

log = logging.getLogger(__name__)

MAX_USES = 10_000
MAX_DAYS = 365
MAX_LINKS = 200
"""Usable links of one dataset at a time."""


class NoSuchPerson(Refusal):
    """Nobody has that user name."""


class TooManyLinks(Refusal):
    """A dataset has `MAX_LINKS` usable links already."""


def roles_to_give(by: User) -> list[tuple[str, str]]:
    """The roles (value, name) that this person may give in a dataset that they run."""
    return [(r.value, str(r.label)) for r in Role if by.is_superuser or r != Role.CURATOR]


def people_of(dataset: Dataset, *, search: str = "", role: str = "", after: str = "") -> QuerySet[User]:
    """People with a role of their own in `dataset`, by user name, their roles here in `.roles_here`.

    Args:
        search: how the user name begins, in any case.
        role: only people with this role.
        after: only user names behind this one (the next page begins there).
    """
    here = Membership.objects.filter(dataset=dataset).order_by("role")
    wanted = here.filter(role=role) if role else here
    people = User.objects.filter(Exists(wanted.filter(user=OuterRef("pk")))).order_by("username")
    if search:
        people = people.filter(username__istartswith=search)
    if after:
        people = people.filter(username__gt=after)
    return people.prefetch_related(Prefetch("memberships", here, to_attr="roles_here"))


def counts_of(dataset: Dataset) -> list[tuple[str, int]]:
    """How many people have each role of their own in `dataset`; roles that nobody has are left out."""
    rows = Membership.objects.filter(dataset=dataset).values_list("role")
    found = dict(rows.annotate(n=Count("pk")).order_by())
    return [(str(role.label), found[role.value]) for role in Role if role.value in found]


def everywhere() -> QuerySet[Membership]:
    """Roles that hold in all datasets; administrators give them."""
    return Membership.objects.filter(dataset=None).select_related("user").order_by("role", "user__username")


def administrators() -> QuerySet[User]:
    """Those who hold every role everywhere."""
    return User.objects.filter(is_superuser=True, is_active=True).order_by("username")


def give_role(by: User, dataset: Dataset, username: str, role: str) -> bool:
    """Give somebody who has an account a role in `dataset`; False where they hold it already.

    Raises:
        NoSuchPerson: nobody has that name.
        NotAllowed: not a role that `by` may give.
    """
    _may_give(by, role)
    with short_write():
        user = User.objects.filter(username=username).first()
        if user is None:
            raise NoSuchPerson(
                _("Nobody here is called “%(name)s”. Make a link, and send it to them.") % {"name": username}
            )
        _row, new = Membership.objects.get_or_create(user=user, dataset=dataset, role=role)
        worker_of(user)
    log.info("%s gave %s the role %s in %s", by, user, role, dataset)
    return new


def take_role(by: User, membership: Membership) -> None:
    """Take a role in one dataset away. Votes stay, and count as they did.

    Raises:
        NotAllowed: a curator's role, and `by` is no administrator and not its holder; or the last one by
            which `by` runs the dataset.
    """
    with short_write():
        if membership.role == Role.CURATOR and not by.is_superuser:
            if membership.user_id != by.pk:
                raise NotAllowed(_("Only administrators take the role of a curator away."))
            others = by.memberships.filter(role=Role.CURATOR).exclude(pk=membership.pk)
            if not others.filter(Q(dataset=None) | Q(dataset=membership.dataset)).exists():
                raise NotAllowed(
                    _("You would lock yourself out. Ask an administrator to take this role from you.")
                )
        Membership.objects.filter(pk=membership.pk).delete()
    log.info("%s took the role %s in %s from %s", by, membership.role, membership.dataset, membership.user)


def make_link(by: User, dataset: Dataset, role: str, *, note: str = "", uses: int = 1, days: int = 14) -> str:
    """A new invitation link; gives its token, which is not kept.

    Raises:
        NotAllowed: not a role that `by` may give.
        TooManyLinks: see there.
    """
    _may_give(by, role)
    if not (1 <= uses <= MAX_USES and 1 <= days <= MAX_DAYS):
        raise ValueError(f"uses 1 to {MAX_USES}, days 1 to {MAX_DAYS}")
    text, digest = InvitationLink.draw()
    expires = timezone.now() + timedelta(days=days)
    with short_write():
        if links_of(dataset).usable(timezone.now()).count() >= MAX_LINKS:
            raise TooManyLinks(_("There are too many links already: revoke some that nobody needs."))
        InvitationLink.objects.create(
            dataset=dataset,
            role=role,
            token_sha256=digest,
            note=note,
            uses_left=uses,
            expires=expires,
            created_by=by,
        )
    log.info("%s made a link for %d people to join %s as %s", by, uses, dataset, role)
    return text


def links_of(dataset: Dataset) -> InvitationLinkQuerySet:
    """The links of a dataset, newest first."""
    return InvitationLink.objects.filter(dataset=dataset)


def revoke_link(by: User, dataset: Dataset, link_id: int) -> bool:
    """Let nobody in by this link any more; False where there is no such link, or it was closed before."""
    now = timezone.now()
    done = links_of(dataset).usable(now).filter(pk=link_id).update(revoked=now)
    if done:
        log.info("%s revoked link %s of %s", by, link_id, dataset)
    return bool(done)


def sign_up_mode(dataset: Dataset) -> str:
    """Who may join."""
    found = Entrance.objects.filter(dataset=dataset).values_list("sign_up", flat=True).first()
    return found or Entrance.SignUp.INVITATION


def set_sign_up(by: User, dataset: Dataset, mode: str) -> None:
    """Open the dataset to everybody, or close it."""
    Entrance.objects.update_or_create(dataset=dataset, defaults={"sign_up": Entrance.SignUp(mode)})
    log.info("%s set sign-up of %s to %s", by, dataset, mode)


def _may_give(by: User, role: str) -> None:
    if role not in dict(roles_to_give(by)):
        raise NotAllowed(_("Only administrators make curators."))
