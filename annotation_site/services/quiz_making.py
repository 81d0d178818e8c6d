"""Making a quiz: its pictures and answers in versions, its pass mark, and more tries for a person."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotation_site.models import (
    Quiz,
    QuizAnswer,
    QuizAttempt,
    QuizQuestion,
    QuizRecord,
    QuizVersion,
    Round,
    Task,
    User,
    special_labels,
)
from annotation_site.services.instructions import why_not_told
from annotation_site.services.locking import short_write
from annotation_site.services.quiz import newest
from annotation_site.services.refusals import Refusal
from annotation_site.services.withdrawing import withdraw_open
from ingest.models import Category, Dataset, Image

log = logging.getLogger(__name__)
FEWEST, MOST = 5, 20
"""Pictures of a quiz."""
MOST_TRIES = 20
LONGEST_WHY = 300


class BadQuiz(Refusal):
    """Something of it cannot stand so (422); nothing was saved."""


class QuizChanged(Refusal):
    """Somebody else saved another version since this person read it (409)."""


@dataclass(frozen=True)
class NewQuestion:
    """A picture of a quiz: by SHA-256; `category` is what a verify quiz asks about, by id, else empty."""

    sha256: str
    answer: str
    why: str = ""
    category: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a quiz is to be. `categories`: ids to choose from, or to ask about; none: all of the dataset."""

    title: str
    question: str
    questions: Sequence[NewQuestion]
    categories: Sequence[str] = ()
    pass_share: float = 0.8
    tries: int = 3


def save_quiz(
    dataset: Dataset, wanted: Wanted, *, by: User | None, quiz: Quiz | None = None, read: int = 0
) -> Quiz:
    """Make a quiz, or change one. Other pictures, answers or categories are a new version of it.

    Who passed stays passed (see `ask_again`). Pictures that are new in it leave the rounds that ask for it.

    Args:
        quiz: the one to be changed; its kind of question stays.
        read: the version that the person had before them.

    Raises:
        BadQuiz: see the message.
        QuizChanged: `read` is not the newest version.
    """
    title = " ".join(wanted.title.split())
    _check_numbers(title, wanted)
    if quiz is not None and quiz.question != wanted.question:
        raise BadQuiz("The kind of question of a quiz stays: make another quiz.")
    categories = _categories(dataset, wanted.categories)
    rows = _questions(dataset, wanted, categories)
    try:
        with short_write():
            saved = _saved(dataset, title, wanted, quiz, read)
            if quiz is None or _asks(newest(saved)) != _asks_of(rows, categories.keys()):
                _new_version(saved, rows, categories, by, first=quiz is None)
    except IntegrityError:
        raise BadQuiz("There is a quiz of that name already.") from None
    leave_rounds(saved)
    log.info("%s saved the quiz %s of %s, version %d", by or "a command", saved, dataset, saved.version)
    return saved


def _check_numbers(title: str, wanted: Wanted) -> None:
    if not title or len(title) > 100 or "\0" in title:
        raise BadQuiz("A quiz has a name of at most 100 characters.")
    if wanted.question not in Round.Question.values:
        raise BadQuiz("The question is classify or verify.")
    if not 0 < wanted.pass_share <= 1:
        raise BadQuiz("The pass mark is a share above 0, at most all.")
    if not 1 <= wanted.tries <= MOST_TRIES:
        raise BadQuiz(f"Tries are 1 to {MOST_TRIES}.")
    if not FEWEST <= len(wanted.questions) <= MOST:
        raise BadQuiz(f"A quiz has {FEWEST} to {MOST} pictures, not {len(wanted.questions)}.")


def _categories(dataset: Dataset, keys: Sequence[str]) -> dict[str, Category]:
    standing = {row.key: row for row in dataset.categories.current().order_by("position", "key")}
    unknown = [key for key in keys if key not in standing]
    if unknown:
        raise BadQuiz(f"The dataset has no category {unknown[0][:100]}.")
    return {key: row for key, row in standing.items() if not keys or key in keys}


def _questions(dataset: Dataset, wanted: Wanted, categories: dict[str, Category]) -> list[QuizQuestion]:
    """Rows without a version; every picture can be asked about, and every answer can be given."""
    verify = wanted.question == Round.Question.VERIFY
    choices = [*([] if verify else categories), *special_labels(wanted.question)]
    images = _images(dataset, [q.sha256 for q in wanted.questions])
    rows = []
    for q in wanted.questions:
        if q.answer not in choices:
            raise BadQuiz(f"“{q.answer[:100]}” is no answer of this quiz.")
        if verify and q.category not in categories:
            raise BadQuiz(f"{q.sha256[:12]} is asked about no category of this quiz.")
        if len(q.why) > LONGEST_WHY or "\0" in q.why:
            raise BadQuiz(f"A reason is text of at most {LONGEST_WHY} characters.")
        rows.append(
            QuizQuestion(
                image=images[q.sha256],
                category=categories[q.category] if verify else None,
                answer=q.answer,
                why=" ".join(q.why.split()),
            )
        )
    return rows


def _images(dataset: Dataset, named: Sequence[str]) -> dict[str, Image]:
    odd = [sha for sha in named if not re.fullmatch("[0-9a-f]{64}", sha)]
    if odd:
        raise BadQuiz(f"{odd[0][:80]!r} is no SHA-256 of a picture.")
    held = {image.sha256: image for image in dataset.images.filter(sha256__in=named)}
    for sha in named:
        if sha not in held:
            raise BadQuiz(f"The dataset has no picture {sha[:12]}.")
    groups = [image.group_id or -image.pk for image in (held[sha] for sha in named)]
    if len(set(groups)) < len(groups):
        raise BadQuiz("A picture, or a copy of it, is in the quiz twice.")
    barred = why_not_asked(dataset, [image.pk for image in held.values()])
    for image in held.values():
        if image.pk in barred:
            raise BadQuiz(f"{image.sha256[:12]} cannot be asked: {barred[image.pk]}.")
    return held


def why_not_asked(dataset: Dataset, image_ids: Collection[int]) -> dict[int, str]:
    """Image id -> why it cannot be in a quiz; only those that have a why.

    As for examples: nothing of the test split, nothing taken down; and no gold of any round that may still
    hand it out, whichever quiz that asks for, since people work in several rounds.
    """
    open_rounds = Q(round__dataset=dataset) & ~Q(round__state=Round.State.CLOSED)
    return why_not_told(dataset, image_ids, gold_in=open_rounds, where="a round that is not closed")


def _saved(dataset: Dataset, title: str, wanted: Wanted, quiz: Quiz | None, read: int) -> Quiz:
    """The quiz row with its numbers."""
    numbers = {"title": title, "pass_share": wanted.pass_share, "tries": wanted.tries}
    if quiz is None:
        return Quiz.objects.create(dataset=dataset, question=wanted.question, **numbers)
    held = Quiz.objects.select_for_update(no_key=True).get(pk=quiz.pk)
    if held.version != read:
        raise QuizChanged("Somebody saved another version meanwhile. Yours was not saved: compare them.")
    for name, value in numbers.items():
        setattr(held, name, value)
    held.save(update_fields=list(numbers))
    return held


def _asks(version: QuizVersion) -> tuple[object, ...]:
    keys = version.categories.values_list("key", flat=True)
    return _asks_of(list(version.questions.all()), list(keys))


def _asks_of(rows: Sequence[QuizQuestion], keys: Collection[str]) -> tuple[object, ...]:
    """What makes a version: the same is no new one."""
    asked = sorted((q.image_id, q.category_id or 0, q.answer, q.why) for q in rows)
    return asked, sorted(keys)


def _new_version(
    quiz: Quiz, rows: Sequence[QuizQuestion], categories: dict[str, Category], by: User | None, *, first: bool
) -> None:
    number = 1 if first else quiz.version + 1
    version = QuizVersion.objects.create(quiz=quiz, number=number, created_by=by)
    version.categories.set(categories.values())
    for row in rows:
        row.version = version
    QuizQuestion.objects.bulk_create(rows)
    quiz.version = number
    quiz.save(update_fields=["version"])


def check_quiz(dataset: Dataset, question: str, quiz_id: int) -> Quiz:
    """The quiz, where a round of this question may ask for it.

    Raises:
        BadQuiz: there is none, it asks another question, or its categories have changed since.
    """
    quiz = Quiz.objects.filter(dataset=dataset, pk=quiz_id).first()
    if quiz is None:
        raise BadQuiz(f"Dataset {dataset.name} has no such quiz.")
    if quiz.question != question:
        raise BadQuiz(f"The quiz {quiz} is of {quiz.question} questions, the round of {question} ones.")
    if is_outdated(quiz):
        raise BadQuiz(f"Categories of the quiz {quiz} were merged or split since: save a new version of it.")
    return quiz


def is_outdated(quiz: Quiz) -> bool:
    """Whether it asks for categories that nobody votes for any more."""
    return newest(quiz).categories.filter(retired__isnull=False).exists()


def pictures_of(dataset: Dataset, quiz_id: int | None = None) -> set[int]:
    """Images (those that stand for their groups) of every version of one quiz; None: of every quiz."""
    asked = QuizQuestion.objects.filter(version__quiz__dataset=dataset)
    if quiz_id is not None:
        asked = asked.filter(version__quiz=quiz_id)
    standing = Coalesce("image__group__representative_id", "image_id")
    return set(asked.values_list(standing, flat=True))


def leave_rounds(quiz: Quiz) -> int:
    """Take the quiz's pictures out of the rounds that ask for it, where they still collect votes.

    People were told their answers. Votes that were given are kept; returns how many tasks were withdrawn.
    """
    pictures = _with_copies(quiz)
    rounds = quiz.rounds.exclude(state=Round.State.CLOSED).filter(tasks_total__gt=0)
    return sum(withdraw_open(pk, pictures) for pk in rounds.values_list("pk", flat=True))


def gold_among(quiz: Quiz, round: Round) -> int:
    """How many of the quiz's pictures are gold in the round, which must not ask for it then."""
    return Task.objects.filter(round=round, gold=True, image__in=_with_copies(quiz)).count()


def _with_copies(quiz: Quiz) -> set[int]:
    """Its pictures and all of their groups: another member may have stood for a group before."""
    told = pictures_of(quiz.dataset, quiz.pk)
    groups = Image.objects.filter(pk__in=told).values("group")
    return told.union(Image.objects.filter(group__in=groups).values_list("pk", flat=True))


def ask_again(quiz: Quiz, by: User) -> None:
    """Ask everybody, also those who passed; tries begin anew."""
    with short_write():
        Quiz.objects.filter(pk=quiz.pk).update(asked_since=timezone.now())
        QuizRecord.objects.filter(quiz=quiz).update(extra=0)
    log.info("%s asks everybody the quiz %s of %s again", by, quiz, quiz.dataset)


def allow_more(quiz: Quiz, record_id: int, by: User) -> QuizRecord | None:
    """One more try for a person; None where there is no such person, or they have plenty."""
    rows = QuizRecord.objects.filter(quiz=quiz, pk=record_id, extra__lt=100)
    if not rows.update(extra=F("extra") + 1):
        return None
    record = rows.model.objects.select_related("user").get(pk=record_id)
    log.info("%s allowed %s one more try of the quiz %s of %s", by, record.user, quiz, quiz.dataset)
    return record


def how_far(quiz: Quiz) -> tuple[int, int]:
    """How many people began it, and how many of them passed, since it is asked."""
    passed = Count("pk", filter=Q(passed__gte=quiz.asked_since))
    found = quiz.records.aggregate(begun=Count("pk"), passed=passed)
    return found["begun"], found["passed"]


@dataclass(frozen=True)
class Fared:
    """How somebody did. `tries`: those that ended, also from before it was asked again; `passed`: when."""

    tries: list[QuizAttempt]
    passed: datetime | None
    left: int


def with_tries(quiz: Quiz) -> QuerySet[QuizRecord]:
    """People who began it, by user name, for `fared`."""
    ended = QuizAttempt.objects.filter(finished__isnull=False).order_by("number")
    people = quiz.records.select_related("user").order_by("user__username")
    return people.prefetch_related(Prefetch("attempts", ended))


def fared(record: QuizRecord, quiz: Quiz) -> Fared:
    """How somebody of `with_tries` did."""
    tries = list(record.attempts.all())
    used = sum(attempt.started >= quiz.asked_since for attempt in tries)
    passed = record.passed if record.passed and record.passed >= quiz.asked_since else None
    return Fared(tries, passed, max(0, quiz.tries + record.extra - used))


def first_answers(version: QuizVersion) -> dict[int, tuple[int, int]]:
    """Question id -> (answers, wrong ones), the first one of each person: a bad question shows itself."""
    earlier = QuizAnswer.objects.filter(
        question=OuterRef("question"),
        attempt__record=OuterRef("attempt__record"),
        attempt__number__lt=OuterRef("attempt__number"),
    )
    rows = QuizAnswer.objects.filter(~Exists(earlier), question__version=version).values_list("question")
    counted = rows.annotate(n=Count("pk"), wrong=Count("pk", filter=Q(right=False))).order_by()
    return {question: (n, wrong) for question, n, wrong in counted}
