"""Coming to a dataset: by an invitation link, or by oneself where the dataset is open.

A link never lets in more people than it says: each use is taken by a conditional update in the transaction
that gives the role, and a lost race changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.models import Entrance, InvitationLink, Membership, Role, User
from annotation_site.services.accounts import worker_of
from annotation_site.services.locking import short_write
from annotation_site.services.refusals import Refusal
from annotation_site.services.throttle import Limit
from ingest.models import Dataset

log = logging.getLogger(__name__)

NEW_ACCOUNTS = Limit("accounts", 100, 3600)
"""From one address in an hour: a class behind one address gets in, a machine that makes accounts does not."""
FAILED_FORMS = Limit("sign-ups", 30, 15 * 60)
"""Refused forms from one address, before a pause of a quarter of an hour."""


class NoEntrance(Refusal):
    """There is no such link, or the dataset is not open: which of the two is not said."""


class LinkClosed(Refusal):
    """The link was good once; the message says why it is no more."""


class NameTaken(Refusal):
    """Somebody has this user name."""


@dataclass(frozen=True)
class Door:
    """A way into a dataset; `link` is None where it stands open to everybody."""

    dataset: Dataset
    role: str
    link: InvitationLink | None = None

    @property
    def role_name(self) -> str:
        """The role in words."""
        return str(Role(self.role).label)


def door_of_link(token: str) -> Door:
    """The door that an invitation link opens.

    Raises:
        NoEntrance, LinkClosed: see there.
    """
    link = InvitationLink.objects.select_related("dataset")
    found = link.filter(token_sha256=InvitationLink.digest(token)).first()
    if found is None:
        log.warning("a link that this site does not know was opened")
        raise NoEntrance(_("This is no invitation of this site. Was the whole link copied?"))
    why = found.closed_because(timezone.now())
    if why:
        log.warning("invitation link %s is closed: %s", found.pk, why)
        raise LinkClosed(why)
    return Door(found.dataset, found.role, found)


def open_door(name: str) -> Door:
    """The door of a dataset that everybody may join as an annotator.

    Raises:
        NoEntrance: there is no such dataset, or it takes people by invitation only.
    """
    dataset = open_datasets().filter(name=name).first()
    if dataset is None:
        raise NoEntrance(_("Nobody can join here without an invitation link."))
    return Door(dataset, Role.ANNOTATOR)


def open_datasets() -> QuerySet[Dataset]:
    """The datasets that everybody may join."""
    return Dataset.objects.filter(entrance__sign_up=Entrance.SignUp.OPEN)


def joinable(user: User) -> QuerySet[Dataset]:
    """The open datasets in which this person has no role yet, neither here nor everywhere."""
    if not user.is_active or user.is_superuser:
        return Dataset.objects.none()
    own = user.memberships.filter(Q(dataset=OuterRef("pk")) | Q(dataset=None))
    return open_datasets().filter(~Exists(own))


def is_inside(user: User, door: Door) -> bool:
    """Whether this person holds the role behind the door already, for this dataset or for all."""
    return user.memberships.filter(Q(dataset=door.dataset) | Q(dataset=None), role=door.role).exists()


def join(user: User, door: Door) -> bool:
    """Give the role behind the door to `user`; False where they hold it already (the link is not used then).

    Raises:
        LinkClosed, NoEntrance: the door was closed meanwhile.
    """
    with short_write():
        if is_inside(user, door):
            return False
        _pass(user, door)
    log.info("%s joined %s as %s", user, door.dataset, door.role)
    return True


def sign_up(door: Door, username: str, password: str, email: str = "") -> User:
    """A new person with the role behind the door. Name and password were validated by the form.

    Raises:
        NameTaken: somebody has the name, in whatever case.
        LinkClosed, NoEntrance: the door was closed meanwhile; no account was made.
    """
    taken = NameTaken(_("Somebody has this user name already. Choose another one."))
    username = User.normalize_username(username)
    if User.objects.filter(username__iexact=username).exists():
        raise taken
    hashed = make_password(password)  # a third of a second: not while the database is held
    try:
        with short_write():
            user = User.objects.create(username=username, password=hashed, email=email)
            _pass(user, door)
    except IntegrityError:  # the name went between the look and the leap
        raise taken from None
    log.info("%s signed up for %s as %s", user, door.dataset, door.role)
    return user


def _pass(user: User, door: Door) -> None:
    """Inside a transaction: use the link once (or see that the dataset is still open), and give the role."""
    if door.link is None:
        still = Entrance.objects.filter(dataset=door.dataset, sign_up=Entrance.SignUp.OPEN).exists()
        if not still:
            raise NoEntrance(_("Nobody can join here without an invitation link."))
    else:
        usable = InvitationLink.objects.usable(timezone.now()).filter(pk=door.link.pk)
        if not usable.update(uses=F("uses") + 1, uses_left=F("uses_left") - 1):
            now = InvitationLink.objects.get(pk=door.link.pk)
            raise LinkClosed(now.closed_because(timezone.now()))
    Membership.objects.get_or_create(user=user, dataset=door.dataset, role=door.role)
    worker_of(user)
