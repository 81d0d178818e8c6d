"""The quiz before a round: its pictures without answers, and what an answer was worth once it is given."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema

from annotation_site.api.access import LOGGED_IN, Id, user_of
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import QuizQuestion
from annotation_site.services.consent import require_consent
from annotation_site.services.quiz import (
    NotAsked,
    Sitting,
    answer,
    begin,
    needed,
    newest,
    quiz_for,
    sit,
    standing,
)
from annotation_site.services.refusals import NotAllowed

router = Router(tags=["quizzes"], auth=LOGGED_IN)


class QuestionOut(Schema):
    """A picture to answer; in a verify quiz `category` is asked about. `right`: null until it is answered."""

    question: int
    image_url: str
    thumbnail_url: str
    category: str | None
    right: bool | None


class QuizOut(Schema):
    """A quiz and how the caller stands with it. Answers go to the try of the number `attempt`."""

    quiz: int
    dataset: str
    title: str
    question: str
    choices: list[str]
    needed: int
    passed: bool
    tries_left: int
    attempt: int
    questions: list[QuestionOut]


class AnswerIn(Schema):
    """One answer, in the try that the quiz named."""

    model_config = shown(attempt=1, question=31, label="finch")
    attempt: Annotated[int, Field(ge=1, le=30_000)]
    question: Id
    label: Annotated[str, Field(max_length=200)]


class AnswerOut(Schema):
    """What it was worth. `said`: the first answer, which stands. `passed`: null until the last picture."""

    attempt: int
    question: int
    said: str
    answer: str
    right: bool
    why: str
    left: int
    passed: bool | None


@router.get("quizzes/{quiz_id}", response={200: QuizOut, **READING}, url_name="quiz")
def quiz(request: HttpRequest, quiz_id: Id) -> Any:
    """A quiz: its pictures, without answers, in the order of the try that is at hand or comes next."""
    user = user_of(request)
    found, _preview = quiz_for(user, quiz_id)
    require_consent(user, found.dataset)
    now = standing(user, found)
    at_hand = now.sitting if now.open else None
    sitting = at_hand or sit(newest(found), user.pk, now.number, {})
    return {
        "quiz": found.pk,
        "dataset": found.dataset.name,
        "title": found.title,
        "question": found.question,
        "choices": sitting.version.choices(),
        "needed": needed(found, len(sitting.questions)),
        "passed": now.passed is not None,
        "tries_left": now.tries_left,
        "attempt": sitting.number,
        "questions": [_question(q, sitting) for q in sitting.questions],
    }


def _question(question: QuizQuestion, sitting: Sitting) -> dict[str, Any]:
    names = [sitting.version.quiz.dataset.name, question.image.sha256]
    said = sitting.said.get(question.pk)
    return {
        "question": question.pk,
        "image_url": reverse("image_full", args=names),
        "thumbnail_url": reverse("image_thumb", args=names),
        "category": question.category.key if question.category else None,
        "right": None if said is None else said == question.answer,
    }


@router.post("quizzes/{quiz_id}/answers", response={200: AnswerOut, **PROBLEMS}, url_name="quiz_answer")
def quiz_answer(request: HttpRequest, quiz_id: Id, body: AnswerIn) -> Any:
    """Answer one picture and hear at once what is right. The first answer begins the try.

    The same picture again in the same try gets the same answer again, and changes nothing.
    """
    user = user_of(request)
    found, preview = quiz_for(user, quiz_id)
    require_consent(user, found.dataset)
    if preview:
        raise NotAllowed(
            "Reviewers and curators need no quiz: nothing of theirs is kept. The page previews it."
        )
    now = standing(user, found)
    if not now.open and body.attempt == now.number:
        begin(user, found)
    sitting = answer(user, found, body.attempt, body.question, body.label)
    question = next(q for q in sitting.questions if q.pk == body.question)
    if question.pk not in sitting.said:
        raise NotAsked("This try has ended: ask for the quiz again.")
    left = sum(q.pk not in sitting.said for q in sitting.questions)
    return {
        "attempt": sitting.number,
        "question": question.pk,
        "said": sitting.said[question.pk],
        "answer": question.answer,
        "right": sitting.said[question.pk] == question.answer,
        "why": question.why,
        "left": left,
        "passed": None if left else sitting.passed,
    }
