"""Quizzes that people pass before they label: pictures with the right answer, in versions, and who passed.

Nothing of it is evidence: no consensus, no skill and no claim of accuracy ever reads these rows.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation_site.models.labels import special_labels
from annotation_site.models.people import User
from annotation_site.models.rounds import Round
from ingest.models import Category, Dataset, Image


class Quiz(models.Model):
    """A quiz of a dataset. What it asks stands in its newest version; the rest can be changed at any time."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="quizzes", db_index=False)
    title = models.CharField(max_length=100)
    question = models.CharField(max_length=10, choices=Round.Question)
    version = models.PositiveSmallIntegerField(default=1, help_text="the newest, which is asked")
    pass_share = models.FloatField(default=0.8, help_text="share of right answers that passes")
    tries = models.PositiveSmallIntegerField(default=3, help_text="that everybody has")
    asked_since = models.DateTimeField(
        default=timezone.now, help_text="who passed before that is asked again; tries count from then on"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "quizzes"
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["dataset", "title"], name="quiz_once")]

    def __str__(self) -> str:
        return self.title


class QuizVersion(models.Model):
    """What a quiz asked from some day on: categories to choose from, pictures, answers. Never edited."""

    quiz = models.ForeignKey(Quiz, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveSmallIntegerField()
    categories = models.ManyToManyField(Category, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["quiz", "-number"]
        constraints = [models.UniqueConstraint(fields=["quiz", "number"], name="quiz_version_once")]

    def __str__(self) -> str:
        return f"{self.quiz}, version {self.number}"

    def choices(self) -> list[str]:
        """The labels that an answer may be, in the order in which they are shown."""
        special = special_labels(self.quiz.question)
        if self.quiz.question == Round.Question.VERIFY:
            return special
        return [*self.categories.order_by("position", "key").values_list("key", flat=True), *special]


class QuizQuestion(models.Model):
    """One picture of a version, and its right answer."""

    version = models.ForeignKey(QuizVersion, models.CASCADE, related_name="questions", db_index=False)
    image = models.ForeignKey(Image, models.PROTECT, related_name="+")
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, related_name="+", db_index=False,
        help_text="verify: the category that is asked about",
    )  # fmt: skip
    answer = models.CharField(max_length=100, help_text="the right label, one of the version's choices")
    why = models.CharField(max_length=300, blank=True, help_text="told after the answer")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["version", "image"], name="quiz_picture_once")]


class QuizRecord(models.Model):
    """How one person stands with one quiz: kept, so that a claim asks one row."""

    quiz = models.ForeignKey(Quiz, models.CASCADE, related_name="records", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="quiz_records")
    passed = models.DateTimeField(null=True, blank=True, help_text="when; counts if after `asked_since`")
    extra = models.PositiveSmallIntegerField(default=0, help_text="tries that a curator allowed on top")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["quiz", "user"], name="quiz_record_once")]


class QuizAttempt(models.Model):
    """One try of one person. It stays open until every picture is answered."""

    record = models.ForeignKey(QuizRecord, models.CASCADE, related_name="attempts", db_index=False)
    version = models.ForeignKey(QuizVersion, models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True, blank=True)
    right = models.PositiveSmallIntegerField(default=0)
    asked = models.PositiveSmallIntegerField(default=0, help_text="pictures, once it is finished")
    passed = models.BooleanField(default=False)

    class Meta:
        ordering = ["record", "number"]
        constraints = [
            models.UniqueConstraint(fields=["record", "number"], name="quiz_attempt_once"),
            models.UniqueConstraint(fields=["record"], condition=Q(finished=None), name="quiz_attempt_open"),
        ]


class QuizAnswer(models.Model):
    """What somebody said of one picture in one try; the first word stands."""

    attempt = models.ForeignKey(QuizAttempt, models.CASCADE, related_name="answers", db_index=False)
    question = models.ForeignKey(QuizQuestion, models.CASCADE, related_name="answers")
    label = models.CharField(max_length=100)
    right = models.BooleanField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "question"], name="quiz_answer_once")]
