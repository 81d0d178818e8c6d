"""Rounds, and what workers are told in them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from annotation_site.models.labels import special_labels
from ingest.models import Category, CategoryQuerySet, Dataset, Image


class Round(models.Model):
    """One labelling campaign: a question, its tasks, how many votes at least and at most, instructions."""

    class Question(models.TextChoices):
        """What is asked of each picture."""

        CLASSIFY = "classify", _("Which category does the picture show?")
        VERIFY = "verify", _("Does the picture show this category?")

    class State(models.TextChoices):
        """Only an open round hands out work."""

        OPEN = "open", _("open")
        PAUSED = "paused", _("paused")
        CLOSED = "closed", _("closed")

    class Order(models.TextChoices):
        """Which open tasks are handed out first. Within it the round's random order decides."""

        FINISH = "finish", _("finish one picture after the other")
        SPREAD = "spread", _("those with the fewest votes first")
        UNSURE = "unsure", _("those that the last pass is least sure of first")

    class Access(models.TextChoices):
        """Who is given its tasks. The last two need an `Invitation`."""

        EVERYONE = "everyone", _("everyone who labels this dataset")
        INVITED = "invited", _("invited workers")
        REPEAT = "repeat", _("each worker, the pictures that they answered before")

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="rounds")
    question = models.CharField(max_length=10, choices=Question)
    title = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    access = models.CharField(max_length=8, choices=Access, default=Access.EVERYONE)
    order = models.CharField(max_length=6, choices=Order, default=Order.FINISH)
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        help_text="the round whose pictures this one takes up again",
    )
    votes_min = models.PositiveSmallIntegerField(default=3)
    votes_max = models.PositiveSmallIntegerField(default=9)
    confidence = models.FloatField(default=0.95, help_text="a task settles when its consensus is this sure")
    gold_rate = models.FloatField(default=0.0, help_text="share of gold among what a worker is given")
    audit_rate = models.FloatField(
        default=0.05, help_text="random share that gets the most votes whatever the rule"
    )
    stopping: Any = models.JSONField(
        default=dict, blank=True, help_text="preset: a name; category_confidence: category id -> confidence"
    )
    batch_size = models.PositiveSmallIntegerField(default=20)
    lease_seconds = models.PositiveIntegerField(default=1800)
    price = models.DecimalField(max_digits=8, decimal_places=4, default=0, help_text="for one vote, in USD")
    instructions_version = models.PositiveSmallIntegerField(default=1)
    quiz = models.ForeignKey(
        "Quiz", models.PROTECT, null=True, blank=True, related_name="rounds",
        help_text="annotators pass it before they are given work",
    )  # fmt: skip
    tells_agreement = models.BooleanField(
        default=True, help_text="once it is closed, people see how often they were right on gold"
    )
    created = models.DateTimeField(auto_now_add=True)
    closed = models.DateTimeField(null=True, blank=True)
    # Kept, not counted. Votes are kept per worker (Participation), so that no two workers wait for one row.
    tasks_total = models.PositiveBigIntegerField(default=0)
    tasks_settled = models.PositiveBigIntegerField(default=0)
    tasks_exhausted = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.title or f"round {self.pk}"

    @property
    def is_repeat(self) -> bool:
        """A repeat asks the same people again: it measures them, and is no evidence on the pictures."""
        return self.access == self.Access.REPEAT

    @property
    def votes_counted(self) -> int:
        """Counted votes so far, summed over the participations (one row a worker)."""
        return self.participations.aggregate(n=Sum("votes"))["n"] or 0

    def choices(self) -> list[str]:
        """The labels that a vote in this round may carry, in the order in which they are shown."""
        if self.question == self.Question.VERIFY:
            return self.special_labels()
        return [*self.categories().values_list("key", flat=True), *self.special_labels()]

    def categories(self) -> CategoryQuerySet:
        """The categories that stood when the round was opened: none comes or goes while it asks."""
        return self.dataset.categories.standing(self.created)

    def special_labels(self) -> list[str]:
        """The labels of this round's question that are no category."""
        return special_labels(self.question)


class Instructions(models.Model):
    """What workers of a round were told; a change makes a new version, and votes say which they saw."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="instructions")
    version = models.PositiveSmallIntegerField(default=1)
    text = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "instructions"
        constraints = [models.UniqueConstraint(fields=["round", "version"], name="instructions_once")]


class InstructionExample(models.Model):
    """A picture that shows what a category is, or is not; part of one version of what workers are told."""

    instructions = models.ForeignKey(Instructions, models.CASCADE, related_name="examples")
    category = models.ForeignKey(Category, models.PROTECT, related_name="+", db_index=False)
    image = models.ForeignKey(Image, models.PROTECT, related_name="+")
    good = models.BooleanField(help_text="it shows the category; else it is taken for it and is not")
    note = models.CharField(max_length=200, blank=True, help_text="what to look at")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["instructions", "category", "image"], name="example_once")
        ]


class RoundChange(models.Model):
    """What a person changed of a round, from what to what. Its tasks follow in chunks, up to `cursor`."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="changes")
    by = models.CharField(max_length=150, blank=True, help_text="user name; empty: from the command line")
    before: Any = models.JSONField(help_text="field -> its value; only what changed")
    after: Any = models.JSONField()
    cursor = models.PositiveBigIntegerField(default=0, help_text="tasks up to this id follow already")
    finished = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
