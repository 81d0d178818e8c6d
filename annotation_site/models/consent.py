"""What a dataset asks of its labellers before they begin, and who agreed to which version of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotation_site.models.people import User
from ingest.models import Dataset


class ConsentText(models.Model):
    """One version of a dataset's consent text; the newest counts. Never edited.

    An empty text is the word that nothing is asked any more.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="consent_texts", db_index=False)
    version = models.PositiveSmallIntegerField()
    text = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="consent_text_once")]

    def __str__(self) -> str:
        return f"{self.dataset}, version {self.version}"


class Consent(models.Model):
    """A person accepted one version, and perhaps took that back later. Goes only with the person."""

    text = models.ForeignKey(ConsentText, models.CASCADE, related_name="consents", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="consents")
    created = models.DateTimeField(auto_now_add=True)
    withdrawn = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["text", "user"], condition=Q(withdrawn=None), name="consent_once"
            ),
        ]
