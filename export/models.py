"""Published releases and what each holds."""

from __future__ import annotations

from typing import Any

from django.db import models

from annotation_site.models import User
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
    # The release itself never changes; what is thought of it may.
    deprecated = models.DateTimeField(null=True, blank=True, help_text="since when nobody should use it")
    deprecation_reason = models.TextField(blank=True)
    replaced_by = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="replaces")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="release_once")]

    def __str__(self) -> str:
        return f"{self.dataset.name}-{self.version}"

    @property
    def sealed(self) -> bool:
        """Whether the labels of its test pictures are kept from the public."""
        return bool(self.parameters.get("sealed"))


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
        # The public pages show a category's pictures page by page.
        indexes = [models.Index(fields=["release", "category", "id"], name="release_image_category")]


class Withdrawal(models.Model):
    """An image that was taken down: `release` is the first one without it, and it never comes back."""

    image = models.OneToOneField(Image, models.PROTECT, related_name="withdrawal")
    release = models.ForeignKey(Release, models.PROTECT, related_name="withdrawals")
    reason = models.TextField()
    created = models.DateTimeField(auto_now_add=True)


class GivenSplit(models.Model):
    """The split of an image that came with the set (`--split-file`); kept from its first release on."""

    image = models.OneToOneField(Image, models.CASCADE, related_name="given_split")
    split = models.PositiveSmallIntegerField(choices=ReleaseImage.Split)


class Terms(models.Model):
    """What somebody who downloads a release agrees to. Never edited: another text is another row."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="terms")
    sha256 = models.CharField(max_length=64, help_text="of the text and of what is asked")
    text = models.TextField()
    asks: Any = models.JSONField(default=list, help_text="what a person must tell: name, email, purpose")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "terms"
        constraints = [models.UniqueConstraint(fields=["dataset", "sha256"], name="terms_once")]

    def __str__(self) -> str:
        return self.sha256[:12]


class Share(models.Model):
    """Whether everyone may see a release, and on which terms it is given away. No row: not shared."""

    release = models.OneToOneField(Release, models.CASCADE, related_name="share")
    public = models.BooleanField(default=False)
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="shares")
    authors = models.CharField(max_length=500, blank=True, help_text="as a citation names them")
    changed = models.DateTimeField(auto_now=True)


class Acceptance(models.Model):
    """Somebody accepted the terms of a release, and what was downloaded since.

    Only its counters change, and who it was can be forgotten (`manage.py forget_downloader`).
    """

    release = models.ForeignKey(Release, models.CASCADE, related_name="acceptances")
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="acceptances")
    user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="acceptances")
    name = models.CharField(max_length=200, blank=True)
    email = models.CharField(max_length=254, blank=True)
    purpose = models.CharField(max_length=1000, blank=True)
    address_hash = models.CharField(max_length=64, help_text="keyed hash of the network address")
    created = models.DateTimeField(auto_now_add=True)
    archives = models.PositiveIntegerField(default=0, help_text="archives begun from their first byte")
    files = models.PositiveIntegerField(default=0, help_text="tables and other single files")
    last_download = models.DateTimeField(null=True, blank=True)
