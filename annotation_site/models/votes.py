"""Batches, leases, votes and receipts."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation_site.models.labels import NO, NONE, UNSURE, VERIFY_UNSURE, YES
from annotation_site.models.people import Worker
from annotation_site.models.rounds import Round
from annotation_site.models.tasks import Task
from ingest.models import Category


class Assignment(models.Model):
    """A batch of tasks leased to one worker until a deadline."""

    class State(models.IntegerChoices):
        """Expired: its leases were given to others; votes that still come are late."""

        ACTIVE = 0, "active"
        DONE = 1, "done"
        EXPIRED = 2, "expired"

    round = models.ForeignKey(Round, models.CASCADE, related_name="assignments", db_index=False)
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="assignments")
    state = models.PositiveSmallIntegerField(choices=State, default=State.ACTIVE)
    tasks_given = models.PositiveSmallIntegerField(default=0)
    instructions_version = models.PositiveSmallIntegerField(default=1)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["round", "expires"], condition=Q(state=0), name="assignment_active"),
        ]


class Lease(models.Model):
    """One task given to one worker and not answered yet. Deleted when its vote is stored.

    It holds a place (counts in `Task.leases`) while its assignment is active. After that it only remembers
    that the worker had the task, so that a vote that comes late is known from one that was never asked for.
    """

    assignment = models.ForeignKey(Assignment, models.CASCADE, related_name="leases")
    task = models.ForeignKey(Task, models.CASCADE, related_name="live_leases", db_index=False)
    worker = models.ForeignKey(Worker, models.CASCADE, db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "worker"], name="lease_once")]


class VoteQuerySet(models.QuerySet["Vote"]):
    """Questions about sets of votes."""

    def counted(self) -> VoteQuerySet:
        """Votes that consensus may read."""
        return self.filter(voided=False)


class Vote(models.Model):
    """One worker's answer to one task: blind, append-only. It can be voided with a reason, never edited."""

    class Answer(models.IntegerChoices):
        """CATEGORY: see `category`. The others are the labels of CONTRACTS that are no category."""

        CATEGORY = 0, "category"
        NONE = 1, NONE
        UNSURE = 2, UNSURE
        YES = 3, YES
        NO = 4, NO
        VERIFY_UNSURE = 5, VERIFY_UNSURE

    class VoidReason(models.TextChoices):
        """Why a vote does not count."""

        LATE = "late", "came after the lease ended and the places were taken"
        UNDONE = "undone", "taken back by the worker"
        WORKER = "worker", "the worker's votes were voided by a curator"

    # Its own index, beside that of `vote_once`: a database that deletes a task looks for any vote on it.
    task = models.ForeignKey(Task, models.PROTECT, related_name="vote_set")
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="vote_set")
    assignment = models.ForeignKey(Assignment, models.SET_NULL, null=True, blank=True, db_index=False)
    answer = models.PositiveSmallIntegerField(choices=Answer)
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, db_index=False)
    seconds = models.FloatField(null=True, blank=True)
    instructions_version = models.PositiveSmallIntegerField(default=1)
    voided = models.BooleanField(default=False)
    void_reason = models.CharField(max_length=10, choices=VoidReason, blank=True)
    created = models.DateTimeField(default=timezone.now, help_text="imported votes keep their own time")

    objects = VoteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "worker"], condition=Q(voided=False), name="vote_once"),
            models.CheckConstraint(
                condition=Q(answer=0, category__isnull=False) | (~Q(answer=0) & Q(category__isnull=True)),
                name="vote_has_one_answer",
            ),
        ]
        indexes = [models.Index(fields=["task"], condition=Q(voided=True), name="vote_voided")]

    @property
    def label(self) -> str:
        """The answer in the words of CONTRACTS."""
        if self.answer == self.Answer.CATEGORY and self.category:
            return self.category.key
        return str(self.Answer(self.answer).label)


class Receipt(models.Model):
    """What was answered to a batch of votes under its key: the same key gets the same answer again."""

    worker = models.ForeignKey(Worker, models.CASCADE, db_index=False)
    key = models.CharField(max_length=64)
    request_sha256 = models.CharField(max_length=64)
    response: Any = models.JSONField()
    created = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["worker", "key"], name="receipt_once")]
