"""Datasets and their pictures. Rows are narrow: picture bytes live in the store, addressed by SHA-256."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from ingest.splits import Shares, split_of

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"


def new_split_key() -> str:
    """A secret of its own for each dataset, so that nobody can choose a picture's split by its bytes."""
    return secrets.token_hex(16)


class Dataset(models.Model):
    """One collection effort: its categories, its images, its releases."""

    name = models.CharField(max_length=64, unique=True, validators=[RegexValidator(NAME_PATTERN)])
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    licence = models.CharField(max_length=200, blank=True)
    split_key = models.CharField(max_length=64, default=new_split_key, editable=False)
    splits = models.CharField(max_length=20, default="80/10/10")
    created = models.DateTimeField(auto_now_add=True)
    # Kept, not counted: pages read them at any size.
    candidates_found = models.PositiveBigIntegerField(default=0)
    images_stored = models.PositiveBigIntegerField(default=0)
    groups_found = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def shares(self) -> Shares:
        """Train, val and test shares as fractions."""
        return Shares.parse(self.splits)


class CategoryQuerySet(models.QuerySet["Category"]):
    """Questions about sets of categories."""

    def current(self) -> CategoryQuerySet:
        """Those that have not been merged or split."""
        return self.filter(retired=None)

    def standing(self, when: datetime) -> CategoryQuerySet:
        """Those that could be chosen then."""
        there = Q(since=None) | Q(since__lte=when)
        return self.filter(there, Q(retired=None) | Q(retired__gt=when))

    def todays_ids(self) -> dict[int, int]:
        """Id -> id of what it is today: itself, or the one that took it in. Split ones are missing."""
        sound = self.filter(Q(retired=None) | Q(merged_into__isnull=False))
        return {pk: merged or pk for pk, merged in sound.values_list("pk", "merged_into")}

    def successors(self) -> dict[str, str | None]:
        """Key of a retired category -> what its labels mean now; None where it was split: nobody can tell."""
        gone = self.filter(retired__isnull=False)
        return dict(gone.order_by("key").values_list("key", "merged_into__key"))


class Category(models.Model):
    """A class: `key` is its stable id in every file (a wnid, a slug); parents make a WordNet-like tree.

    An id keeps its meaning for ever. One that was merged or split is retired: votes and older releases go on
    naming it, nothing new does, and no other category ever gets its id (`ingest.services.categories`).
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="categories")
    key = models.CharField(max_length=100, validators=[RegexValidator(KEY_PATTERN)])
    name = models.CharField(max_length=200)
    gloss = models.TextField(blank=True)
    synonyms = models.TextField(blank=True, help_text="parted by |")
    translations: Any = models.JSONField(
        default=dict, blank=True, help_text="language -> name, gloss, synonyms (parted by |)"
    )
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    position = models.PositiveIntegerField(default=0, help_text="order in the file that made it")
    since = models.DateTimeField(null=True, blank=True, help_text="empty: from the dataset's beginning")
    retired = models.DateTimeField(null=True, blank=True, help_text="when it was merged or split")
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged_from", help_text="never retired"
    )

    objects = CategoryQuerySet.as_manager()

    class Meta:
        ordering = ["position", "key"]
        verbose_name_plural = "categories"
        constraints = [models.UniqueConstraint(fields=["dataset", "key"], name="category_key_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def synonym_list(self) -> list[str]:
        """Synonyms as a list, without empty parts."""
        return [s.strip() for s in self.synonyms.split("|") if s.strip()]

    def said(self, language: str) -> tuple[str, str, str]:
        """Name, gloss and synonyms (parted by |) in a language, each as it is where there is no translation.

        Of `zh-hans-cn`, what there is of it goes before `zh-hans`, and that before `zh`.
        """
        words: dict[str, str] = {}
        parts = language.lower().split("-")
        for end in range(1, len(parts) + 1):
            words |= self.translations.get("-".join(parts[:end]), {})
        return (
            words.get("name", self.name),
            words.get("gloss", self.gloss),
            words.get("synonyms", self.synonyms),
        )


class CategoryChange(models.Model):
    """A category was renamed, or some were merged or split: who decided it, when and why. Never edited.

    `before` and `after` are keys: of a rename twice the same one, whose names are `old_name` and `new_name`.
    """

    class Kind(models.TextChoices):
        """What was done."""

        RENAMED = "renamed", "renamed"
        MERGED = "merged", "merged"
        SPLIT = "split", "split"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="category_changes")
    kind = models.CharField(max_length=10, choices=Kind)
    before: Any = models.JSONField()
    after: Any = models.JSONField()
    old_name = models.CharField(max_length=200, blank=True)
    new_name = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500)
    by = models.CharField(max_length=150)
    created = models.DateTimeField()

    class Meta:
        ordering = ["id"]


class Source(models.Model):
    """Where pictures are looked for: a folder, an archive, a list of URLs, a web page, a bucket."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="sources")
    kind = models.CharField(max_length=20)
    location = models.TextField()
    category = models.ForeignKey(
        Category, models.SET_NULL, null=True, blank=True, help_text="what was searched for"
    )
    created = models.DateTimeField(auto_now_add=True)
    last_run = models.DateTimeField(null=True, blank=True)
    finished = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "location", "category"], name="source_once"),
            models.UniqueConstraint(
                fields=["dataset", "location"], condition=Q(category=None), name="source_once_uncategorised"
            ),
        ]

    def __str__(self) -> str:
        return self.location


class DuplicateGroup(models.Model):
    """Images that show the same picture. Its representative alone becomes a task and is released.

    `draw` decides the split: a keyed hash of the first image, drawn before any vote. Where groups merge the
    smallest draw wins, which is the most protected split (test < val < train): see `ingest.splits`.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="groups")
    representative = models.OneToOneField(
        "Image", models.PROTECT, null=True, blank=True, related_name="represents"
    )
    draw = models.FloatField()
    size = models.PositiveIntegerField(default=1)
    widest = models.PositiveSmallIntegerField(
        default=0, help_text="bits between the representative's perceptual hash and the farthest member's"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(draw__gte=0) & Q(draw__lt=1), name="draw_is_a_fraction")
        ]
        # The page of duplicates shows the few groups that have several members.
        indexes = [
            models.Index(fields=["dataset", "size", "id"], condition=Q(size__gt=1), name="group_largest"),
            models.Index(fields=["dataset", "widest", "id"], condition=Q(size__gt=1), name="group_widest"),
        ]

    @property
    def split(self) -> str:
        """`train`, `val` or `test`."""
        return split_of(self.draw, self.dataset.shares)


class Image(models.Model):
    """A picture, identified by the SHA-256 of its original bytes, once in a dataset however often found."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64)
    group = models.ForeignKey(DuplicateGroup, models.SET_NULL, null=True, blank=True, related_name="images")
    phash = models.BigIntegerField(help_text="64-bit perceptual hash, as a signed number")
    hash_version = models.PositiveSmallIntegerField()
    # Made by `dedup`, 8 bytes each: hashes of the picture less a little of its sides, which find light crops.
    cut_hashes = models.BinaryField(null=True)
    format = models.CharField(max_length=8)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bytes = models.PositiveBigIntegerField()
    animated = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    # The row stays, for the votes and releases that name it; no page shows it and its bytes are gone.
    taken_down = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "sha256"], name="image_once")]
        indexes = [
            models.Index(fields=["sha256"], name="image_sha256"),
            models.Index(fields=["dataset", "id"], name="image_newest"),
        ]

    def __str__(self) -> str:
        return self.sha256[:12]

    @property
    def phash_unsigned(self) -> int:
        """The perceptual hash as 0 … 2^64-1; databases keep it signed."""
        return self.phash % 2**64


class CandidateQuerySet(models.QuerySet["Candidate"]):
    """Questions about sets of candidates."""

    def pending(self) -> CandidateQuerySet:
        """Found but not fetched yet."""
        return self.filter(state=Candidate.State.FOUND)


class Candidate(models.Model):
    """One found URL or file with its provenance; it ends in a state with a reason."""

    class State(models.IntegerChoices):
        """What became of it."""

        FOUND = 0, "found"
        STORED = 1, "stored"
        SAME_BYTES = 2, "same bytes as another"
        REJECTED = 3, "rejected"
        FORBIDDEN = 4, "forbidden"
        GONE = 5, "gone"
        FAILED = 6, "failed"

    source = models.ForeignKey(Source, models.CASCADE, related_name="candidates")
    url = models.TextField()
    url_sha256 = models.CharField(max_length=32, help_text="first 128 bits, to find a URL by index")
    page_url = models.TextField(blank=True)
    licence = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=200, blank=True)
    caption = models.CharField(max_length=300, blank=True)
    state = models.PositiveSmallIntegerField(choices=State, default=State.FOUND)
    reason = models.CharField(max_length=40, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    image = models.ForeignKey(Image, models.SET_NULL, null=True, blank=True, related_name="candidates")
    attempts = models.PositiveSmallIntegerField(default=0)
    found = models.DateTimeField(auto_now_add=True)
    fetched = models.DateTimeField(null=True, blank=True)

    objects = CandidateQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "url_sha256"], name="candidate_once")]
        indexes = [
            models.Index(fields=["source", "id"], condition=Q(state=0), name="candidate_pending"),
            models.Index(F("source"), F("state"), F("reason"), name="candidate_outcomes"),
            models.Index(
                fields=["source", "image"], condition=Q(image__isnull=False), name="candidate_source_image"
            ),
            models.Index(
                fields=["licence", "image"], condition=Q(image__isnull=False), name="candidate_licence_image"
            ),
        ]

    def __str__(self) -> str:
        return self.url


class DuplicateDecision(models.Model):
    """A person said whether two images show the same picture. Append-only: a pair's newest row counts.

    `dedup` never joins what a person parted, nor parts what a person joined (`ingest.services.dedup`).
    `first` is the image with the smaller id.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="duplicate_decisions")
    first = models.ForeignKey(Image, models.CASCADE, related_name="+")
    second = models.ForeignKey(Image, models.CASCADE, related_name="+")
    same = models.BooleanField()
    by = models.CharField(max_length=150, help_text="user name, kept also when the account goes")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="decision_is_on_two_images")
        ]


class Takedown(models.Model):
    """A picture that had to go, or must never come: later crawls refuse its bytes and its URLs.

    Never edited. `sha256` and `phash` are empty where only a URL is refused and nothing was stored from it.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="takedowns")
    sha256 = models.CharField(max_length=64, blank=True)
    phash = models.BigIntegerField(null=True, help_text="64-bit perceptual hash, as a signed number")
    reason = models.CharField(max_length=500)
    by = models.CharField(max_length=150, blank=True, help_text="user name; empty: from the command line")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "sha256"], condition=~Q(sha256=""), name="takedown_once"
            )
        ]

    def __str__(self) -> str:
        return self.sha256[:12] or f"takedown {self.pk}"


class RefusedUrl(models.Model):
    """A URL that no later crawl of the dataset fetches: a picture that was taken down stood there."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="refused_urls")
    takedown = models.ForeignKey(Takedown, models.CASCADE, related_name="urls")
    url = models.TextField()
    url_sha256 = models.CharField(max_length=32, help_text="as `Candidate.url_sha256`")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "url_sha256"], name="refused_url_once")]


class NearTakedown(models.Model):
    """An image that came after a takedown and whose hash is close to it: a person looks at the two."""

    takedown = models.ForeignKey(Takedown, models.CASCADE, related_name="near")
    image = models.OneToOneField(Image, models.CASCADE, related_name="near_takedown")
    distance = models.PositiveSmallIntegerField(help_text="bits between the perceptual hashes")
    kept_by = models.CharField(max_length=150, blank=True, help_text="who said that it may stay")
