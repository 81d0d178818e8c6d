"""What the votes mean: gold, references, worker skills, consensus, and the quality-control passes."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from annotation_site.models import Round, Task, Worker
from ingest.models import Category, Dataset, Image


class KnownAnswer(models.Model):
    """An image whose answer is known: a category, or (no category) none of them."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    image = models.ForeignKey(Image, models.PROTECT, related_name="+")
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    @property
    def label(self) -> str:
        """The answer in the words of CONTRACTS (`__none__` where no category fits)."""
        return self.category.key if self.category else "__none__"


class Gold(KnownAnswer):
    """A known answer that screens workers; its tasks look like any other."""

    class Origin(models.TextChoices):
        """Gold from settled images screens workers only: it proves nothing about accuracy."""

        EXPERT = "expert", "given by an expert"
        SETTLED = "settled", "taken from a settled image"

    origin = models.CharField(max_length=8, choices=Origin, default=Origin.EXPERT)
    retired = models.DateTimeField(
        null=True, blank=True, help_text="since then it screens nobody; an expert's answer stays known"
    )

    class Meta:
        verbose_name_plural = "gold"
        constraints = [models.UniqueConstraint(fields=["dataset", "image"], name="gold_once")]


class Reference(KnownAnswer):
    """One expert's blind answer. Decides the test split and claims of accuracy; aggregation never reads it.

    Two experts answer each image, a third where they differ: see `quality.services.known`.
    """

    expert = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "image", "expert"], name="reference_once")]


class Adjudication(models.Model):
    """One expert's decision on a disputed task, with the votes in view. Append-only: the newest row counts.

    It settles the task's consensus and nothing else: it is no vote (workers' skills never learn from it) and
    no Reference (those are given blind; the test split and every claim of accuracy rest on them alone).
    """

    task = models.ForeignKey(Task, models.CASCADE, related_name="adjudications")
    label = models.CharField(
        max_length=100, blank=True, help_text="category id, __none__, yes or no; empty: taken back"
    )
    expert = models.CharField(max_length=150, help_text="user name, kept also when the account goes")
    created = models.DateTimeField(auto_now_add=True)


class Proposal(models.Model):
    """Who proposed the label of a verify task, and how sure they were."""

    task = models.OneToOneField(Task, models.CASCADE, related_name="proposal")
    origin = models.CharField(max_length=100, help_text="a model, a tool, or consensus of a round")
    probability = models.FloatField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(probability=None) | (Q(probability__gte=0) & Q(probability__lte=1)),
                name="proposal_is_a_probability",
            )
        ]


class QCPass(models.Model):
    """One quality-control pass over a round: consensus computed, tasks settled, more votes asked for."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="qc_passes")
    number = models.PositiveSmallIntegerField()
    method = models.CharField(max_length=20)
    votes = models.PositiveBigIntegerField()
    settled = models.PositiveBigIntegerField()
    exhausted = models.PositiveBigIntegerField()
    asked_again = models.PositiveBigIntegerField(help_text="tasks that stay unsure")
    votes_asked = models.PositiveBigIntegerField(help_text="more votes asked for them")
    mean_confidence = models.FloatField(null=True)
    forecast: Any = models.JSONField(
        null=True, help_text="votes still to come, with a 90% interval; see services.forecast"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "QC pass"
        verbose_name_plural = "QC passes"
        ordering = ["round", "number"]
        constraints = [models.UniqueConstraint(fields=["round", "number"], name="qc_pass_once")]


class WorkerSkill(models.Model):
    """How often a worker is right in a round, with a 95% interval, from gold and from agreement."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="skills")
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="skills")
    votes = models.PositiveIntegerField()
    gold_votes = models.PositiveIntegerField()
    skill = models.FloatField()
    lo = models.FloatField()
    hi = models.FloatField()
    flags = models.CharField(max_length=200, blank=True, help_text="slugs parted by ;")
    evidence = models.TextField(blank=True, help_text="one line a flag")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "worker"], name="skill_once")]


class Consensus(models.Model):
    """The settled (or present) answer of a task; a pure function of counted votes, gold and parameters."""

    task = models.OneToOneField(Task, models.CASCADE, related_name="consensus")
    label = models.CharField(max_length=100, help_text="category id, __none__, yes or no")
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, db_index=False)
    confidence = models.FloatField()
    votes = models.PositiveIntegerField()
    tie = models.BooleanField(default=False)
    method = models.CharField(max_length=20)
    posterior: Any = models.JSONField(default=dict, help_text="label -> probability, at least 0.0005 each")

    class Meta:
        verbose_name_plural = "consensus"
        constraints = [
            models.CheckConstraint(
                condition=Q(confidence__gte=0) & Q(confidence__lte=1), name="confidence_is_a_probability"
            )
        ]
        indexes = [
            models.Index(fields=["confidence", "id"], name="consensus_unsure_first"),
            models.Index(fields=["label", "confidence", "id"], name="consensus_label_unsure"),
            models.Index(fields=["votes", "id"], name="consensus_most_votes"),
        ]


class VoteRequest(models.Model):
    """More votes for a task whose consensus looks wrong: it settles again only once they are there. Kept."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="vote_requests")
    votes = models.PositiveSmallIntegerField(help_text="counted votes the task is to have before it settles")
    label = models.CharField(max_length=100, blank=True, help_text="the consensus that was doubted")
    origin = models.CharField(max_length=100, help_text="who doubted it: a file's or a run's name and digest")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "origin"], name="vote_request_once")]


class WorkerAction(models.Model):
    """What a person did about a worker, and why. Append-only."""

    class Action(models.TextChoices):
        """`quality.policy.Action`, and taking a suspension back."""

        WARN = "warn", "warned"
        RETRAIN = "retrain", "shown the instructions again"
        MORE_GOLD = "more_gold", "given more gold"
        SUSPEND = "suspend", "suspended"
        RESTORE = "restore", "given work again"
        VOID = "void", "votes voided"

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="actions")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    round = models.ForeignKey(Round, models.CASCADE, null=True, blank=True, related_name="+")
    action = models.CharField(max_length=10, choices=Action)
    reason = models.CharField(max_length=500)
    by = models.CharField(max_length=150, blank=True, help_text="user name; empty: from the command line")
    votes = models.PositiveIntegerField(default=0, help_text="votes that it voided")
    gold = models.PositiveSmallIntegerField(default=0, help_text="further gold tasks that it promised")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class PlannedRound(models.Model):
    """A round that a person ordered on the site: what they asked for, and how far its making is.

    `attempt` grows whenever somebody begins to make it: whoever finds another number there has been taken
    for dead, and stops. `touched` is the last sign of life.
    """

    class State(models.TextChoices):
        """Waiting: nobody is at it yet. Open: `round` is there."""

        WAITING = "waiting", "waits for its turn"
        MAKING = "making", "is being made"
        OPEN = "open", "is open"
        FAILED = "failed", "could not be made"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="planned_rounds")
    key = models.CharField(max_length=64, unique=True, help_text="of the form: sent twice, it is one round")
    asked: Any = models.JSONField(help_text="the fields of the form")
    by = models.CharField(max_length=150, help_text="user name")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    tasks = models.PositiveBigIntegerField(default=0, help_text="that it will have")
    made = models.PositiveBigIntegerField(default=0, help_text="tasks so far")
    round = models.OneToOneField(Round, models.SET_NULL, null=True, related_name="planned")
    error = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now=True)


class LabelFigures(models.Model):
    """How far a large dataset's labels are, counted when a pass ends: no page counts a million pictures."""

    dataset = models.OneToOneField(Dataset, models.CASCADE, related_name="label_figures")
    figures: Any = models.JSONField(help_text="see services.label_figures")
    counted = models.DateTimeField()
