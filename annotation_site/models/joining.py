"""How people come to a dataset: by links that curators give out, or by themselves where it is open."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation_site.models.people import Role, User
from ingest.models import Dataset


class Entrance(models.Model):
    """Who may join a dataset. A dataset without a row takes people by invitation only."""

    class SignUp(models.TextChoices):
        """OPEN: whoever finds the page may become an annotator."""

        INVITATION = "invitation", _("by invitation only")
        OPEN = "open", _("open to everybody, as annotators")

    dataset = models.OneToOneField(Dataset, models.CASCADE, primary_key=True, related_name="entrance")
    sign_up = models.CharField(max_length=10, choices=SignUp, default=SignUp.INVITATION)

    def __str__(self) -> str:
        return f"{self.dataset}: {self.sign_up}"


class InvitationLinkQuerySet(models.QuerySet["InvitationLink"]):
    """Questions about sets of links."""

    def usable(self, now: datetime) -> InvitationLinkQuerySet:
        """Links that let somebody in now."""
        return self.filter(revoked=None, expires__gt=now, uses_left__gt=0)


class InvitationLink(models.Model):
    """A link that gives whoever opens it a role in a dataset. Only a hash of its token is kept."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="invitation_links")
    role = models.CharField(max_length=12, choices=Role)
    token_sha256 = models.CharField(max_length=64, unique=True)
    note = models.CharField(max_length=200, blank=True, help_text="for whom it was made; curators see it")
    uses = models.PositiveIntegerField(default=0, help_text="people who joined by it")
    uses_left = models.PositiveIntegerField(default=1)
    expires = models.DateTimeField()
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    revoked = models.DateTimeField(null=True, blank=True)

    objects = InvitationLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    @staticmethod
    def draw() -> tuple[str, str]:
        """A new token: its text, which is shown once, and the hash that is kept."""
        text = secrets.token_urlsafe(24)
        return text, InvitationLink.digest(text)

    @staticmethod
    def digest(text: str) -> str:
        """What the database keeps of a token. A random 192-bit text needs no slow hash."""
        return hashlib.sha256(text.encode()).hexdigest()

    def closed_because(self, now: datetime) -> str:
        """Why it lets nobody in, as a sentence; empty while it does."""
        if self.revoked:
            return str(_("It was revoked."))
        if self.expires <= now:
            return str(_("It has expired."))
        return "" if self.uses_left else str(_("It was used as often as it may be."))
