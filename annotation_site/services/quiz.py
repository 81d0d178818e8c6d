"""Taking a quiz: who has to, what is asked next, what an answer was worth. State is kept here, not in pages.

A try ends when every picture is answered. A try of an older version that was not finished is dropped and
costs nothing. Votes are never refused for want of a quiz: only new pictures wait.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.models import (
    Membership,
    Quiz,
    QuizAnswer,
    QuizAttempt,
    QuizQuestion,
    QuizRecord,
    QuizVersion,
    Role,
    Round,
    User,
)
from annotation_site.services.access import LABELLERS
from annotation_site.services.accounts import worker_of
from annotation_site.services.locking import short_write
from annotation_site.services.refusals import BadVotes, NotAllowed, Refusal

log = logging.getLogger(__name__)
TEACHERS = (Role.REVIEWER, Role.CURATOR)
"""They see votes and answers anyway: no round waits for their quiz, and none of their tries is kept."""


class QuizMissing(NotAllowed):
    """The person has not passed the quiz that the round asks for (403)."""


class NoTryLeft(NotAllowed):
    """It is passed already, or all tries are used; a curator may allow more (403)."""


class NotAsked(Refusal):
    """An answer to what is not asked now: another try, another version, a picture of neither (409)."""


@dataclass(frozen=True)
class Sitting:
    """One try, as it stands. `questions`: in the order of this try; `said`: question id -> label."""

    version: QuizVersion
    number: int
    questions: list[QuizQuestion]
    said: Mapping[int, str] = field(default_factory=dict)
    ended: bool | None = None
    """Whether it was passed, as it was told when it ended."""

    @property
    def next(self) -> QuizQuestion | None:
        """The first picture without an answer."""
        return next((q for q in self.questions if q.pk not in self.said), None)

    @property
    def right(self) -> int:
        """Right answers so far."""
        return sum(self.said.get(q.pk) == q.answer for q in self.questions)

    @property
    def passed(self) -> bool:
        """Whether all is answered, and enough of it right."""
        enough = needed(self.version.quiz, len(self.questions))
        return self.next is None and self.right >= enough if self.ended is None else self.ended


@dataclass(frozen=True)
class Standing:
    """How a person stands with a quiz.

    `passed`: when. `number`: of the try that is at hand or would be next. `sitting`: the try at hand
    (`open`), else the last one since the quiz is asked, else None.
    """

    passed: datetime | None
    tries_left: int
    number: int
    sitting: Sitting | None
    open: bool


def needed(quiz: Quiz, pictures: int) -> int:
    """Right answers that pass: the pass mark, rounded up, and at least one."""
    return max(1, math.ceil(round(quiz.pass_share * pictures, 6)))


def missing(user: User, quiz_ids: Collection[int]) -> QuerySet[Quiz]:
    """Of these quizzes, those that this person has to pass before they are given work."""
    if user.is_superuser or not quiz_ids:
        return Quiz.objects.none()
    passed = QuizRecord.objects.filter(quiz=OuterRef("pk"), user=user, passed__gte=OuterRef("asked_since"))
    here = Q(dataset=None) | Q(dataset=OuterRef("dataset"))
    teaches = Membership.objects.filter(here, user=user, role__in=TEACHERS)
    return Quiz.objects.filter(~Exists(passed), ~Exists(teaches), pk__in=quiz_ids)


def require_quiz(user: User, round: Round) -> None:
    """Let pass whoever passed the round's quiz, and who needs none. No query without a quiz, else one.

    Raises:
        QuizMissing: with the address where it is taken.
    """
    if round.quiz_id is not None and missing(user, [round.quiz_id]).exists():
        where = reverse("quiz", args=[round.quiz_id])
        raise QuizMissing(_("Pass the short quiz of this round first: %s") % where)


def quiz_for(user: User, quiz_id: int) -> tuple[Quiz, bool]:
    """The quiz, for somebody who labels its dataset, and whether they only look at it (nothing is kept).

    Raises:
        Http404: there is none.
        NotAllowed: no role that votes in its dataset, or suspended.
    """
    quiz = Quiz.objects.select_related("dataset").filter(pk=quiz_id).first()
    if quiz is None:
        raise Http404(f"There is no quiz {quiz_id}.")
    if not user.has_role(quiz.dataset, *LABELLERS):
        raise NotAllowed(_("Your account may not label this dataset. Ask the person who runs it."))
    if worker_of(user).suspended:
        raise NotAllowed(_("Your work here is suspended. Ask the person who runs the dataset."))
    return quiz, user.has_role(quiz.dataset, *TEACHERS)


def newest(quiz: Quiz) -> QuizVersion:
    """The version that is asked."""
    version = QuizVersion.objects.get(quiz=quiz, number=quiz.version)
    version.quiz = quiz
    return version


def sit(version: QuizVersion, who: int, number: int, said: Mapping[int, str]) -> Sitting:
    """A try of one person, its pictures in an order of its own; those that were taken down are left out."""
    rows = version.questions.filter(image__taken_down=None).select_related("image", "category")
    questions = list(rows.order_by("pk"))
    random.Random(f"quiz {version.pk} {who} {number}").shuffle(questions)
    return Sitting(version, number, questions, said)


def standing(user: User, quiz: Quiz) -> Standing:
    """How the person stands; reads only."""
    record = QuizRecord.objects.filter(quiz=quiz, user=user).first()
    if record is None:
        return Standing(None, quiz.tries, 1, None, False)
    held = list(record.attempts.select_related("version").order_by("number"))
    ended = [attempt for attempt in held if attempt.finished]
    since = [attempt for attempt in ended if attempt.started >= quiz.asked_since]
    at_hand = next((attempt for attempt in held if not attempt.finished and _goes_on(attempt, quiz)), None)
    last = at_hand or (since[-1] if since else None)
    passed = record.passed if record.passed and record.passed >= quiz.asked_since else None
    left = max(0, quiz.tries + record.extra - len(since))
    number = at_hand.number if at_hand else (ended[-1].number if ended else 0) + 1
    sitting = _sitting(last, quiz, user) if last else None
    return Standing(passed, left, number, sitting, at_hand is not None)


def _goes_on(attempt: QuizAttempt, quiz: Quiz) -> bool:
    """Whether an open try can be finished: nothing new is asked, and nobody asks again, since it began."""
    return attempt.version.number == quiz.version and attempt.started >= quiz.asked_since


def _sitting(attempt: QuizAttempt, quiz: Quiz, user: User) -> Sitting:
    attempt.version.quiz = quiz
    said = dict(attempt.answers.values_list("question", "label"))
    made = sit(attempt.version, user.pk, attempt.number, said)
    return replace(made, ended=attempt.passed) if attempt.finished else made


def begin(user: User, quiz: Quiz) -> Sitting:
    """Begin a try; one that is at hand goes on.

    Raises:
        NoTryLeft: it is passed, or every try is used.
        NotAsked: it has no picture that can be shown.
    """
    with short_write():
        record, _new = QuizRecord.objects.get_or_create(quiz=quiz, user=user)
        quiz = Quiz.objects.select_related("dataset").get(pk=quiz.pk)  # saved anew meanwhile?
        record = QuizRecord.objects.select_for_update(no_key=True).get(pk=record.pk)
        now = standing(user, quiz)
        if now.open and now.sitting:
            return now.sitting
        if now.passed:
            raise NoTryLeft(_("You have passed this quiz already."))
        if not now.tries_left:
            raise NoTryLeft(_("You have used all your tries. Whoever runs the dataset can allow you more."))
        sitting = sit(newest(quiz), user.pk, now.number, {})
        if not sitting.questions:
            raise NotAsked(_("This quiz has no pictures now. Ask the person who runs the dataset."))
        record.attempts.filter(finished=None).delete()  # of an older version
        QuizAttempt.objects.create(record=record, version=sitting.version, number=now.number)
    return sitting


def answer(user: User, quiz: Quiz, number: int, question_id: int, label: str) -> Sitting:
    """Keep an answer; the try ends with the last one. The same picture again changes nothing.

    Returns:
        The try with the answer that stands, which is the first that was given.

    Raises:
        NotAsked: there is no such try, it was dropped for a new version, or the picture is not in it.
        BadVotes: the quiz does not know the label.
    """
    with short_write():
        held = QuizAttempt.objects.filter(record__quiz=quiz, record__user=user, number=number)
        attempt = held.select_for_update(no_key=True, of=("self",)).select_related("version").first()
        if attempt is None or not (attempt.finished or _goes_on(attempt, quiz)):
            raise NotAsked(_("The quiz was changed meanwhile, or begun anew: load the page again."))
        sitting = _sitting(attempt, quiz, user)
        question = next((q for q in sitting.questions if q.pk == question_id), None)
        if question is None:
            raise NotAsked(_("This picture is not asked about in this quiz: load the page again."))
        if question_id in sitting.said or attempt.finished:
            return sitting
        if label not in attempt.version.choices():
            raise BadVotes(_("The quiz has no answer “%s”.") % label[:100])
        QuizAnswer.objects.create(
            attempt=attempt, question=question, label=label, right=label == question.answer
        )
        sitting = replace(sitting, said={**sitting.said, question_id: label})
        _finish(attempt, sitting, user)
    return sitting


def finish_if_done(user: User, quiz: Quiz) -> None:
    """End the open try whose last picture without an answer was taken down meanwhile."""
    with short_write():
        held = QuizAttempt.objects.filter(record__quiz=quiz, record__user=user, finished=None)
        attempt = held.select_for_update(no_key=True, of=("self",)).select_related("version").first()
        if attempt is not None:
            _finish(attempt, _sitting(attempt, quiz, user), user)


def _finish(attempt: QuizAttempt, sitting: Sitting, user: User) -> None:
    if sitting.next is not None:
        return
    attempt.finished = timezone.now()
    attempt.right, attempt.asked, attempt.passed = sitting.right, len(sitting.questions), sitting.passed
    attempt.save(update_fields=["finished", "right", "asked", "passed"])
    if attempt.passed:
        QuizRecord.objects.filter(pk=attempt.record_id).update(passed=attempt.finished)
    word = "passed" if attempt.passed else "did not pass"
    log.info("%s %s the quiz %s: %d of %d", user, word, sitting.version.quiz, attempt.right, attempt.asked)
