"""People, their roles and log-ins, and the workers that they vote as."""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ingest.models import Dataset


class Role(models.TextChoices):
    """What a person may do in a dataset."""

    ANNOTATOR = "annotator", _("annotator")
    REVIEWER = "reviewer", _("reviewer")
    CURATOR = "curator", _("curator")
    RESEARCHER = "researcher", _("researcher")


class User(AbstractUser):
    """A person who logs in. Superusers hold every role."""

    votes_as: Worker | None = None
    """The person's worker, where it was read together with them for one request."""

    def has_role(self, dataset: Dataset | None, *roles: str) -> bool:
        """Whether one of `roles` was given to this person, for this dataset or for all."""
        if not self.is_active:
            return False
        if self.is_superuser:
            return True
        scope = Q(dataset__isnull=True) | Q(dataset=dataset) if dataset else Q()
        return self.memberships.filter(scope, role__in=roles).exists()


class Membership(models.Model):
    """One role of one person, in one dataset or (no dataset) in all of them."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    dataset = models.ForeignKey(Dataset, models.CASCADE, null=True, blank=True, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "dataset", "role"], name="membership_once"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(dataset=None), name="membership_once_everywhere"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"


class ApiToken(models.Model):
    """A log-in for programs. Only a hash is kept: whoever reads the database cannot use it.

    Without a name it was given for a password by the API's log-in, and ends when the password changes.
    """

    class Scope(models.TextChoices):
        """What the token is for; never more than its owner's roles allow."""

        READ = "read", _("read")
        LABEL = "label", _("label")
        FULL = "full", _("everything")

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    token_sha256 = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=100, blank=True)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.FULL)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, blank=True)

    @classmethod
    def issue(cls, user: User, name: str = "", scope: str = Scope.FULL) -> str:
        """A new token for `user`; the text is shown once and never kept."""
        text = secrets.token_urlsafe(32)
        cls.objects.create(user=user, token_sha256=cls.digest(text), name=name, scope=scope)
        return text

    def allows(self, scope: str) -> bool:
        """Whether the token may be used for what needs `scope`."""
        return self.scope in (scope, self.Scope.FULL)

    @staticmethod
    def digest(text: str) -> str:
        """What the database keeps of a token. A random 256-bit text needs no slow hash."""
        return hashlib.sha256(text.encode()).hexdigest()


def new_worker_code() -> str:
    """A pseudonym that tells nothing about the person."""
    return "w" + secrets.token_hex(5)


class Worker(models.Model):
    """Whoever votes: a person of this site, or somebody whom a crowd provider sent."""

    user = models.OneToOneField(User, models.CASCADE, null=True, blank=True, related_name="worker")
    code = models.CharField(max_length=64, unique=True, default=new_worker_code)
    provider = models.CharField(max_length=20, default="site")
    suspended = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.user.username if self.user else self.code
