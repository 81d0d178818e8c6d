"""Quizzes for those who make them: pictures with their answers, and how people fared."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Name, dataset_of, user_of
from annotation_site.api.cursors import By, Cursor, Limit, page
from annotation_site.api.examples import SHA256, shown
from annotation_site.api.problems import MUCH, READING
from annotation_site.models import NONE, Quiz, QuizRecord, Role, Round
from annotation_site.services.quiz import needed, newest
from annotation_site.services.quiz_making import (
    LONGEST_WHY,
    MOST_TRIES,
    NewQuestion,
    Wanted,
    allow_more,
    ask_again,
    fared,
    first_answers,
    how_far,
    save_quiz,
    with_tries,
)
from ingest.models import Dataset
from quality.services.quiz_pictures import offered

router = Router(tags=["quizzes"], auth=LOGGED_IN)
Label = Annotated[str, Field(max_length=100, pattern=NO_NUL)]


class QuizLine(Schema):
    """A quiz. `begun`, `passed`: people; `needed`: right answers that pass; `rounds`: that ask for it."""

    quiz: int
    title: str
    question: str
    version: int
    pictures: int
    needed: int
    pass_share: float
    tries: int
    begun: int
    passed: int
    rounds: list[int]


class QuizzesOut(Schema):
    """Quizzes by title; `next` is the address of the following ones, or null."""

    quizzes: list[QuizLine]
    next: str | None


class QuizAskedIn(Schema):
    """A picture and its right answer; `category`: what a verify quiz asks about, else empty."""

    image: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    category: Label = ""
    answer: Label
    why: Annotated[str, Field(max_length=LONGEST_WHY, pattern=NO_NUL)] = ""


class QuizAskedOut(QuizAskedIn):
    """With how many people answered it, and how many were wrong at first."""

    answers: int
    wrong: int


class QuizMadeOut(QuizLine):
    """What the newest version asks. `categories`: ids that can be answered, or asked about."""

    categories: list[str]
    questions: list[QuizAskedOut]


class QuizIn(Schema):
    """All of a quiz. No `categories`: all of the dataset. `read`: the version that the writer had, new: 0."""

    model_config = shown(
        title="Finches and sparrows",
        question="classify",
        questions=[{"image": SHA256, "answer": "finch", "why": "The beak is short and thick."}],
        read=0,
    )
    title: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
    question: Round.Question = Round.Question.CLASSIFY
    questions: Annotated[list[QuizAskedIn], Field(max_length=100)]
    categories: Annotated[list[Label], Field(max_length=10_000)] = []
    pass_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    tries: Annotated[int, Field(ge=1, le=MOST_TRIES)] = 3
    read: Annotated[int, Field(ge=0, le=30_000)] = 0


class QuizOfferOut(Schema):
    """A picture that may be asked about; its answer is known by `origin`: gold, reference, settled."""

    image: str
    category: str
    answer: str
    origin: str


class QuizOffersOut(Schema):
    """Pictures of one category."""

    pictures: list[QuizOfferOut]


class QuizTryOut(Schema):
    """One finished try."""

    finished: datetime
    right: int
    pictures: int
    passed: bool


class QuizPersonOut(Schema):
    """Who began a quiz. `passed`: when, as long as it counts."""

    username: str
    passed: datetime | None
    tries_left: int
    tries: list[QuizTryOut]


class QuizPeopleOut(Schema):
    """People by user name; `next` is the address of the following ones, or null."""

    people: list[QuizPersonOut]
    next: str | None


@router.get("datasets/{name}/quizzes", response={200: QuizzesOut, **READING}, url_name="quizzes")
def quizzes(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit) -> Any:
    """The quizzes of a dataset, and how many people passed."""
    dataset = dataset_of(request, name, Role.REVIEWER)
    rows, following = page(request, dataset.quizzes.all(), [By("title", str)], cursor, limit)
    return {"quizzes": [_line(quiz) for quiz in rows], "next": following}


@router.post("datasets/{name}/quizzes", response={201: QuizMadeOut, **MUCH}, url_name="quizzes")
def make_quiz(request: HttpRequest, name: Name, body: QuizIn) -> Any:
    """Make a quiz. Curators only."""
    dataset = dataset_of(request, name)
    return Status(201, _whole(save_quiz(dataset, _wanted(body), by=user_of(request))))


@router.get(
    "datasets/{name}/quizzes/offers", response={200: QuizOffersOut, **READING}, url_name="quiz_offers"
)
def quiz_offers(
    request: HttpRequest,
    name: Name,
    category: Annotated[str, Query("", max_length=100, pattern=NO_NUL, description="its id, or __none__")],
    question: Round.Question = Round.Question.CLASSIFY,
) -> Any:
    """Pictures whose answer is known and that a quiz may tell. Curators only."""
    dataset = dataset_of(request, name)
    found = dataset.categories.current().filter(key=category).first()
    if found is None and category != NONE:
        raise Http404(f"Dataset {dataset.name} has no category {category or 'of no name'}.")
    rows = offered(dataset, question, found)
    return {
        "pictures": [
            {"image": o.sha256, "category": o.category, "answer": o.answer, "origin": o.origin} for o in rows
        ]
    }


@router.get("datasets/{name}/quizzes/{quiz_id}", response={200: QuizMadeOut, **READING}, url_name="quiz_made")
def quiz(request: HttpRequest, name: Name, quiz_id: Id) -> Any:
    """A quiz with its answers, and how people fared with each picture. Curators only."""
    return _whole(_quiz_of(dataset_of(request, name), quiz_id))


@router.put("datasets/{name}/quizzes/{quiz_id}", response={200: QuizMadeOut, **MUCH}, url_name="quiz_made")
def change_quiz(request: HttpRequest, name: Name, quiz_id: Id, body: QuizIn) -> Any:
    """Change a quiz: other pictures, answers or categories are a new version. Curators only.

    Who passed stays passed. 409 where somebody else saved meanwhile.
    """
    dataset = dataset_of(request, name)
    held = _quiz_of(dataset, quiz_id)
    return _whole(save_quiz(dataset, _wanted(body), by=user_of(request), quiz=held, read=body.read))


@router.post("datasets/{name}/quizzes/{quiz_id}/ask-again", response={200: QuizLine, **MUCH})
def ask_quiz_again(request: HttpRequest, name: Name, quiz_id: Id) -> Any:
    """Ask everybody, also those who passed; tries begin anew. Curators only."""
    held = _quiz_of(dataset_of(request, name), quiz_id)
    ask_again(held, user_of(request))
    held.refresh_from_db()
    return _line(held)


@router.get(
    "datasets/{name}/quizzes/{quiz_id}/people",
    response={200: QuizPeopleOut, **READING},
    url_name="quiz_people",
)
def quiz_people(request: HttpRequest, name: Name, quiz_id: Id, cursor: Cursor, limit: Limit) -> Any:
    """Who began a quiz, and how they fared. Curators only."""
    held = _quiz_of(dataset_of(request, name), quiz_id)
    rows, following = page(request, with_tries(held), [By("user__username", str)], cursor, limit)
    return {"people": [_person(record, held) for record in rows], "next": following}


@router.post(
    "datasets/{name}/quizzes/{quiz_id}/people/{username}/tries", response={200: QuizPersonOut, **MUCH}
)
def allow_try(
    request: HttpRequest, name: Name, quiz_id: Id, username: Annotated[str, Field(max_length=150)]
) -> Any:
    """Allow somebody who began the quiz one more try. Curators only."""
    held = _quiz_of(dataset_of(request, name), quiz_id)
    record = held.records.filter(user__username=username).first()
    if record is None or allow_more(held, record.pk, user_of(request)) is None:
        raise Http404(f"{username} never began this quiz, or has plenty of tries.")
    return _person(with_tries(held).get(pk=record.pk), held)


def _quiz_of(dataset: Dataset, quiz_id: int) -> Quiz:
    found = dataset.quizzes.filter(pk=quiz_id).first()
    if found is None:
        raise Http404(f"Dataset {dataset.name} has no quiz {quiz_id}.")
    return found


def _wanted(body: QuizIn) -> Wanted:
    questions = [NewQuestion(q.image, q.answer, q.why, q.category) for q in body.questions]
    return Wanted(body.title, body.question, questions, body.categories, body.pass_share, body.tries)


def _line(quiz: Quiz) -> dict[str, Any]:
    pictures = newest(quiz).questions.count()
    begun, passed = how_far(quiz)
    return {
        "quiz": quiz.pk,
        "title": quiz.title,
        "question": quiz.question,
        "version": quiz.version,
        "pictures": pictures,
        "needed": needed(quiz, pictures),
        "pass_share": quiz.pass_share,
        "tries": quiz.tries,
        "begun": begun,
        "passed": passed,
        "rounds": list(quiz.rounds.exclude(state=Round.State.CLOSED).values_list("pk", flat=True)),
    }


def _whole(quiz: Quiz) -> dict[str, Any]:
    version = newest(quiz)
    answered = first_answers(version)
    questions = []
    for q in version.questions.select_related("image", "category"):
        answers, wrong = answered.get(q.pk, (0, 0))
        about = q.category.key if q.category else ""
        told = {"image": q.image.sha256, "category": about, "answer": q.answer, "why": q.why}
        questions.append({**told, "answers": answers, "wrong": wrong})
    keys = version.categories.order_by("position", "key").values_list("key", flat=True)
    return {**_line(quiz), "categories": list(keys), "questions": questions}


def _person(record: QuizRecord, quiz: Quiz) -> dict[str, Any]:
    did = fared(record, quiz)
    return {
        "username": record.user.get_username(),
        "passed": did.passed,
        "tries_left": did.left,
        "tries": [
            {"finished": t.finished, "right": t.right, "pictures": t.asked, "passed": t.passed}
            for t in did.tries
        ],
    }
