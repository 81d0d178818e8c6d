"""Tasks, who is let into which, and how far each worker has come."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotation_site.models.people import Worker
from annotation_site.models.rounds import Round
from ingest.models import Category, Image


class TaskQuerySet(models.QuerySet["Task"]):
    """Questions about sets of tasks."""

    def claimable(self) -> TaskQuerySet:
        """Tasks with room for one more vote or lease, in the round's random order. Uses the partial index."""
        return self.filter(claimable=True).order_by("rank", "id")

    def claimable_in_turn(self) -> TaskQuerySet:
        """The same of a round in which turns come before ranks."""
        return self.filter(claimable=True, turn__isnull=False).order_by("turn", "rank", "id")


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
    turn = models.PositiveIntegerField(
        null=True, help_text="comes before rank, see `strategy.first_turn`; null where rank alone decides"
    )
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
            models.UniqueConstraint(
                fields=["round", "image", "category"], condition=Q(category__isnull=False), name="task_once"
            ),
            models.UniqueConstraint(
                fields=["round", "image"], condition=Q(category=None), name="task_once_without_category"
            ),
        ]
        indexes = [
            models.Index(fields=["round", "rank"], condition=Q(claimable=True), name="task_claimable"),
            models.Index(
                fields=["round", "turn", "rank"],
                condition=Q(claimable=True, turn__isnull=False),
                name="task_turn",
            ),
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
        indexes = [models.Index(fields=["task"], condition=Q(task__isnull=False), name="invitation_task")]


class Participation(models.Model):
    """One worker in one round: kept figures, and how far through the order the worker has come."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="participations")
    worker = models.ForeignKey(Worker, models.CASCADE, related_name="participations")
    cursor = models.PositiveIntegerField(default=0, help_text="tasks of a lower rank were seen")
    turn = models.PositiveIntegerField(default=0, help_text="the turn in which the cursor stands")
    gold_cursor = models.PositiveIntegerField(default=0, help_text="gold tasks of a lower rank were seen")
    more_gold = models.PositiveSmallIntegerField(
        default=0, help_text="further gold to be given, beside the usual share"
    )
    claimed = models.PositiveIntegerField(default=0)
    votes = models.PositiveIntegerField(default=0, help_text="counted votes")
    gold_votes = models.PositiveIntegerField(default=0)
    gold_judged = models.PositiveIntegerField(
        default=0, help_text="gold answers, but for “can't tell”, given before the round closed; as of a pass"
    )
    gold_right = models.PositiveIntegerField(default=0, help_text="of them, the right ones")
    look_again = models.DateTimeField(
        null=True, blank=True, help_text="when a curator asked this worker to look at wrong answers"
    )
    seconds = models.FloatField(default=0)
    last_vote = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "worker"], name="participation_once")]
