"""People, rounds, tasks, leases and votes.

Sized for 10^9 votes: a Vote row holds numbers only, a Lease lives no longer than the work it stands for, and
what a claim asks for ("claimable") is kept in the row and indexed, so that a claim never counts anything.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q, Sum
from django.utils import timezone

from ingest.models import Category, CategoryQuerySet, Dataset, Image

# The words of CONTRACTS for answers that are no category.
NONE, UNSURE = "__none__", "__unsure__"
YES, NO, VERIFY_UNSURE = "yes", "no", "unsure"


class Role(models.TextChoices):
    """What a person may do in a dataset."""

    ANNOTATOR = "annotator", "annotator"
    REVIEWER = "reviewer", "reviewer"
    CURATOR = "curator", "curator"
    RESEARCHER = "researcher", "researcher"


class User(AbstractUser):
    """A person who logs in. Superusers hold every role."""

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
    """A log-in for programs. Only a hash is kept: whoever reads the database cannot use it."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    token_sha256 = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, blank=True)

    @classmethod
    def issue(cls, user: User) -> str:
        """A new token for `user`; the text is shown once and never kept."""
        text = secrets.token_urlsafe(32)
        cls.objects.create(user=user, token_sha256=cls.digest(text))
        return text

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


class Round(models.Model):
    """One labelling campaign: a question, its tasks, how many votes at least and at most, instructions."""

    class Question(models.TextChoices):
        """What is asked of each picture."""

        CLASSIFY = "classify", "Which category does the picture show?"
        VERIFY = "verify", "Does the picture show this category?"

    class State(models.TextChoices):
        """Only an open round hands out work."""

        OPEN = "open", "open"
        PAUSED = "paused", "paused"
        CLOSED = "closed", "closed"

    class Access(models.TextChoices):
        """Who is given its tasks. The last two need an `Invitation`."""

        EVERYONE = "everyone", "everyone who labels this dataset"
        INVITED = "invited", "invited workers"
        REPEAT = "repeat", "each worker, the pictures that they answered before"

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="rounds")
    question = models.CharField(max_length=10, choices=Question)
    title = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    access = models.CharField(max_length=8, choices=Access, default=Access.EVERYONE)
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
        return [YES, NO, VERIFY_UNSURE] if self.question == self.Question.VERIFY else [NONE, UNSURE]


class Instructions(models.Model):
    """What workers of a round were told; a change makes a new version, and votes say which they saw."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="instructions")
    version = models.PositiveSmallIntegerField(default=1)
    text = models.TextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "instructions"
        constraints = [models.UniqueConstraint(fields=["round", "version"], name="instructions_once")]


class TaskQuerySet(models.QuerySet["Task"]):
    """Questions about sets of tasks."""

    def claimable(self) -> TaskQuerySet:
        """Tasks with room for one more vote or lease, in claim order. Uses the partial index."""
        return self.filter(claimable=True).order_by("rank", "id")


class Task(models.Model):
    """One image in one round; in a verify round also the category proposed.

    `claimable` is kept true exactly while the task is open, is not gold, and votes + leases < wanted.
    """

    class State(models.IntegerChoices):
        """Exhausted: the most votes were given and the consensus is still unsure."""

        OPEN = 0, "open"
        SETTLED = 1, "settled"
        EXHAUSTED = 2, "exhausted"
        WITHDRAWN = 3, "withdrawn"

    round = models.ForeignKey(Round, models.CASCADE, related_name="tasks", db_index=False)
    image = models.ForeignKey(Image, models.PROTECT, related_name="tasks")
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True, db_index=False)
    rank = models.PositiveIntegerField(help_text="place in the round's random order")
    state = models.PositiveSmallIntegerField(choices=State, default=State.OPEN)
    gold = models.BooleanField(default=False)
    audit = models.BooleanField(default=False)
    votes = models.PositiveIntegerField(default=0, help_text="counted votes; gold has no maximum")
    leases = models.PositiveSmallIntegerField(default=0, help_text="live leases (gold: not counted)")
    wanted = models.PositiveSmallIntegerField(help_text="votes wanted now")
    claimable = models.BooleanField(default=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["round", "image", "category"], name="task_once"),
            models.UniqueConstraint(
                fields=["round", "image"], condition=Q(category=None), name="task_once_without_category"
            ),
        ]
        indexes = [
            models.Index(fields=["round", "rank"], condition=Q(claimable=True), name="task_claimable"),
            models.Index(fields=["round", "rank"], condition=Q(gold=True), name="task_gold"),
            models.Index(fields=["round", "state", "id"], name="task_state"),
        ]

    def has_room(self) -> bool:
        """The rule that `claimable` keeps."""
        return self.state == self.State.OPEN and not self.gold and self.votes + self.leases < self.wanted


class Invitation(models.Model):
    """Lets one worker into a round that is not for everyone; in a repeat round, to one task."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="invitations", db_index=False)
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="invitations", db_index=False)
    task = models.ForeignKey(
        Task, models.CASCADE, null=True, blank=True, related_name="invitations", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "round", "task"], name="invitation_once"),
            models.UniqueConstraint(
                fields=["round", "worker"], condition=Q(task=None), name="invitation_once_without_task"
            ),
        ]


class Participation(models.Model):
    """One worker in one round: kept figures, and how far through the order the worker has come."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="participations")
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="participations")
    cursor = models.PositiveIntegerField(default=0, help_text="tasks of a lower rank were seen")
    gold_cursor = models.PositiveIntegerField(default=0, help_text="gold tasks of a lower rank were seen")
    more_gold = models.PositiveSmallIntegerField(
        default=0, help_text="further gold to be given, beside the usual share"
    )
    claimed = models.PositiveIntegerField(default=0)
    votes = models.PositiveIntegerField(default=0, help_text="counted votes")
    gold_votes = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0)
    last_vote = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "worker"], name="participation_once")]


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

    task = models.ForeignKey(Task, models.PROTECT, related_name="vote_set", db_index=False)
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
