"""`/quiz/ID/`: one picture after another as in labelling, and after each answer at once what is right.

A plain form; quiz.js brings the keys and the closer look. Everything stands on the server: a page that is
loaded again asks or tells the same, and an answer that comes twice changes nothing.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.choices import needs_search
from annotation_site.models import Quiz, QuizQuestion, User
from annotation_site.services.access import rounds_to_label
from annotation_site.services.consent import ConsentMissing, require_consent
from annotation_site.services.quiz import (
    Sitting,
    Standing,
    answer,
    begin,
    finish_if_done,
    needed,
    newest,
    quiz_for,
    sit,
    standing,
)
from annotation_site.services.refusals import NotAllowed, Refusal
from annotation_site.views.labelling import choice_buttons, page_words
from ingest.models import Category

log = logging.getLogger(__name__)
SECONDS = 20
"""That a picture takes, with what is told after it."""


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def quiz(request: HttpRequest, quiz_id: int) -> HttpResponse:
    """GET: the next picture, what the last answer was worth, or how it ended. POST: begin, or one answer."""
    assert isinstance(request.user, User)
    try:
        found, preview = quiz_for(request.user, quiz_id)
        if not preview:
            require_consent(request.user, found.dataset)
    except ConsentMissing:
        consent = reverse("consent", args=[found.dataset.name])
        return redirect(f"{consent}?next={reverse('quiz', args=[found.pk])}")
    except NotAllowed as refusal:
        raise PermissionDenied(str(refusal)) from None
    desk = _Preview(request, found) if preview else _Desk(request.user, found)
    if request.method == "POST":
        return _posted(request, found, desk)
    now = desk.standing()
    if now.open and now.sitting and now.sitting.next is None:
        desk.finish()
        now = desk.standing()
    return _page(request, found, now, preview, _told(request, now.sitting))


class _Desk:
    """Where the tries of an annotator are kept: in the database."""

    def __init__(self, user: User, quiz: Quiz) -> None:
        self.user, self.quiz = user, quiz

    def standing(self) -> Standing:
        return standing(self.user, self.quiz)

    def begin(self) -> None:
        begin(self.user, self.quiz)

    def answer(self, number: int, question: int, label: str) -> None:
        answer(self.user, self.quiz, number, question, label)

    def finish(self) -> None:
        finish_if_done(self.user, self.quiz)


class _Preview:
    """The same for those who only look: in their session, and nowhere else."""

    def __init__(self, request: HttpRequest, quiz: Quiz) -> None:
        self.session, self.quiz, self.key = request.session, quiz, f"quiz-{quiz.pk}"

    def standing(self) -> Standing:
        held = self.session.get(self.key)
        version = newest(self.quiz)
        if held is None or held["version"] != version.number:
            return Standing(None, self.quiz.tries, 1, None, False)
        said = {int(pk): label for pk, label in held["said"].items()}
        sitting = sit(version, 0, held["number"], said)
        return Standing(None, self.quiz.tries, held["number"], sitting, sitting.next is not None)

    def begin(self) -> None:
        number = (self.session.get(self.key) or {"number": 0})["number"] + 1
        self.session[self.key] = {"version": self.quiz.version, "number": number, "said": {}}

    def answer(self, number: int, question: int, label: str) -> None:
        held, version = self.session.get(self.key), newest(self.quiz)
        asked = version.questions.filter(pk=question).exists()
        if held and held["number"] == number and asked and label in version.choices():
            held["said"].setdefault(str(question), label)
            self.session.modified = True

    def finish(self) -> None:
        """Nothing is kept of it."""


def _posted(request: HttpRequest, quiz: Quiz, desk: _Desk | _Preview) -> HttpResponse:
    here = reverse("quiz", args=[quiz.pk])
    if "begin" in request.POST:
        try:
            desk.begin()
        except Refusal as refusal:
            messages.warning(request, str(refusal))
        return redirect(here)
    number, question = _number(request.POST.get("try")), _number(request.POST.get("question"))
    try:
        if not number or not question or "label" not in request.POST:
            raise Refusal(_("The form was incomplete. Please answer again."))
        desk.answer(number, question, request.POST["label"])
    except Refusal as refusal:
        log.warning("quiz %s, %s: %s", quiz.pk, request.user, refusal)
        messages.error(request, str(refusal))
        return redirect(here)
    return redirect(f"{here}?try={number}&after={question}")


def _number(text: str | None) -> int:
    """A number that a form or an address carries; 0, which no row has, for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _told(request: HttpRequest, sitting: Sitting | None) -> QuizQuestion | None:
    """The picture whose answer the address wants to hear of, where this try has answered it."""
    if sitting is None or _number(request.GET.get("try")) != sitting.number:
        return None
    asked = _number(request.GET.get("after"))
    return next((q for q in sitting.questions if q.pk == asked and q.pk in sitting.said), None)


def _page(
    request: HttpRequest, quiz: Quiz, now: Standing, preview: bool, told: QuizQuestion | None
) -> HttpResponse:
    sitting = now.sitting
    context: dict[str, Any] = {"quiz": quiz, "dataset": quiz.dataset, "preview": preview, "now": now}
    if sitting is not None and (told or now.open):
        return render(request, "annotation_site/quiz.html", context | _question(sitting, told))
    pictures = len(sit(newest(quiz), 0, 0, {}).questions)
    buttons = _buttons(sitting) if sitting else {}
    context |= {
        "sitting": sitting,
        "wrong": [_row(q, sitting, buttons) for q in sitting.questions if sitting.said.get(q.pk) != q.answer]
        if sitting
        else [],
        "pictures": pictures,
        "needed": needed(quiz, pictures),
        "minutes": minutes(pictures),
        "rounds": [] if preview else rounds_to_label(_user(request)).filter(quiz=quiz),
    }
    return render(request, "annotation_site/quiz_standing.html", context)


def minutes(pictures: int) -> int:
    """How long so many pictures take, about."""
    return max(1, math.ceil(pictures * SECONDS / 60))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _question(sitting: Sitting, told: QuizQuestion | None) -> dict[str, Any]:
    """What the page of one picture needs: to ask about it, or (`told`) to tell what it is."""
    buttons = _buttons(sitting)
    question = told or sitting.next
    assert question is not None
    words = page_words()
    return {
        "sitting": sitting,
        "question": question,
        "told": _row(question, sitting, buttons) if told else None,
        "following": sitting.next if told else None,
        "place": sitting.questions.index(question) + 1,
        "pictures": len(sitting.questions),
        "answered": len(sitting.said),
        "asked": _said(question.category) if question.category else None,
        "choices": list(buttons.values()),
        "search": needs_search(list(buttons)),
        "page": {"words": {name: words[name] for name in ("matches", "no_match")}},
    }


def _buttons(sitting: Sitting) -> dict[str, dict[str, str]]:
    """Label -> its button, in the order in which they are shown."""
    version = sitting.version
    categories = version.categories.order_by("position", "key")
    return {row["label"]: row for row in choice_buttons(version.quiz.question, categories)}


def _row(question: QuizQuestion, sitting: Sitting, buttons: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What is told of a picture that was answered."""
    label = sitting.said.get(question.pk, "")
    nothing = {"name": "", "gloss": ""}
    return {
        "image": question.image,
        "right": label == question.answer,
        "answer": buttons.get(question.answer, nothing),
        "said": buttons.get(label, nothing),
        "why": question.why,
        "asked": _said(question.category) if question.category else None,
    }


def _said(category: Category) -> dict[str, str]:
    name, gloss, _synonyms = category.said(get_language() or "")
    return {"name": name, "gloss": gloss}
