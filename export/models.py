"""Published releases and what each holds."""

from __future__ import annotations

from typing import Any

from django.db import models

from ingest.models import Category, Dataset, Image


class Release(models.Model):
    """An immutable, reproducible, versioned export."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="releases")
    version = models.CharField(max_length=20)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of SHA256SUMS")
    location = models.TextField(help_text="folder or URL where it was published")
    parameters: Any = models.JSONField(default=dict)
    counts: Any = models.JSONField(default=dict)
    label_accuracy: Any = models.JSONField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="release_once")]

    def __str__(self) -> str:
        return f"{self.dataset.name}-{self.version}"


class ReleaseImage(models.Model):
    """One image of a release: the record that keeps a test image in test for ever."""

    class Split(models.IntegerChoices):
        """From the least to the most protected."""

        TRAIN = 0, "train"
        VAL = 1, "val"
        TEST = 2, "test"

    release = models.ForeignKey(Release, models.CASCADE, related_name="release_images", db_index=False)
    image = models.ForeignKey(Image, models.PROTECT, related_name="release_images")
    split = models.PositiveSmallIntegerField(choices=Split)
    category = models.ForeignKey(Category, models.PROTECT, db_index=False)
    confidence = models.FloatField(null=True)
    votes = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "image"], name="release_image_once")]
