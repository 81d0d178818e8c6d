"""Quizzes for curators: made of pictures whose answer is known; who passed, which picture fools people."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import NONE, Quiz, Role, Round, User, special_labels
from annotation_site.services.quiz import needed, newest
from annotation_site.services.quiz_making import (
    FEWEST,
    LONGEST_WHY,
    MOST,
    BadQuiz,
    NewQuestion,
    QuizChanged,
    Wanted,
    allow_more,
    ask_again,
    fared,
    first_answers,
    how_far,
    is_outdated,
    save_quiz,
    with_tries,
)
from ingest.models import Category, Dataset
from quality.forms import MANY, QuizForm
from quality.services.quiz_pictures import offered
from quality.services.report import label_names

log = logging.getLogger(__name__)
ROWS = 3_000
"""Rows of the form that are read: more than the page ever shows."""
PEOPLE = 100
LISTED = 60
"""Answers in a drop-down list; with more of them the id is typed."""
FOOLED = 5
"""Answers from which on a picture that most people get wrong is pointed out."""
Row = dict[str, Any]


@require_safe
@dataset_page(Role.REVIEWER)
def quizzes(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Every quiz of the dataset, and how many people passed."""
    lines = []
    for quiz in dataset.quizzes.all():
        pictures = newest(quiz).questions.count()
        begun, passed = how_far(quiz)
        rounds = quiz.rounds.exclude(state=Round.State.CLOSED)
        line = {"quiz": quiz, "pictures": pictures, "needed": needed(quiz, pictures), "rounds": rounds}
        lines.append(line | {"begun": begun, "passed": passed})
    may_edit = _user(request).has_role(dataset, Role.CURATOR)
    context = {"dataset": dataset, "section": "rounds", "lines": lines, "may_edit": may_edit}
    return render(request, "quality/quizzes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def quiz_new(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Make a quiz."""
    return _edit(request, dataset, None)


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def quiz_edit(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Change a quiz, see who passed, allow a person one more try, ask everybody again."""
    quiz = get_object_or_404(dataset.quizzes, pk=pk)
    if "more" in request.POST:
        more = request.POST["more"]
        record = allow_more(quiz, int(more), _user(request)) if more.isdecimal() and len(more) < 18 else None
        if record is None:
            messages.error(request, _("There is no such person, or they have plenty of tries."))
        else:
            messages.success(request, _("%s has one more try.") % record.user)
        return redirect("quiz_edit", dataset.name, quiz.pk)
    if "again" in request.POST:
        ask_again(quiz, _user(request))
        messages.success(request, _("Everybody is asked again before their next batch; tries begin anew."))
        return redirect("quiz_edit", dataset.name, quiz.pk)
    return _edit(request, dataset, quiz)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _edit(request: HttpRequest, dataset: Dataset, quiz: Quiz | None) -> HttpResponse:
    if request.method != "POST":
        rows, only = _saved(quiz) if quiz else ([], [])
        return _page(request, dataset, quiz, QuizForm(initial=_initial(quiz)), rows, only)
    form = QuizForm(request.POST)
    rows, only = _rows(request.POST), request.POST.getlist("only")
    if "offer" in request.POST:
        return _page(request, dataset, quiz, QuizForm(initial=request.POST.dict()), rows, only)
    if not form.is_valid():
        return _page(request, dataset, quiz, form, rows, only, status=400)
    data = form.cleaned_data
    wanted = Wanted(
        data["title"],
        quiz.question if quiz else data["question"],
        [NewQuestion(r["sha"], r["answer"], r["why"], r["category"]) for r in rows],
        only,
        round(data["pass_share"] / 100, 8),
        data["tries"],
    )
    try:
        saved = save_quiz(
            dataset, wanted, by=_user(request), quiz=quiz, read=_number(request.POST.get("read", ""))
        )
    except (BadQuiz, QuizChanged) as refusal:
        form.add_error(None, str(refusal))
        status = 409 if isinstance(refusal, QuizChanged) else 400
        return _page(request, dataset, quiz, form, rows, only, status=status)
    messages.success(request, _("The quiz is saved (version %(n)s).") % {"n": saved.version})
    address = reverse("quiz_edit", args=[dataset.name, saved.pk])
    return redirect(f"{address}?{urlencode({'category': request.POST.get('category', '')})}")


def _initial(quiz: Quiz | None) -> dict[str, Any]:
    if quiz is None:
        return {}
    share = f"{100 * quiz.pass_share:g}"
    return {"title": quiz.title, "question": quiz.question, "pass_share": share, "tries": quiz.tries}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _saved(quiz: Quiz) -> tuple[list[Row], list[str]]:
    """The pictures of the newest version, with how people fared; its categories, where they are not all."""
    version = newest(quiz)
    answered = first_answers(version)
    rows = []
    for q in version.questions.select_related("image", "category"):
        row = _row(q.image.sha256, q.category.key if q.category else "", q.answer, q.why, asked=True)
        answers, wrong = row["answers"], row["wrong"] = answered.get(q.pk, (0, 0))
        row["fools"] = answers >= FOOLED and 2 * wrong > answers
        row["gone"] = q.image.taken_down is not None
        rows.append(row)
    keys = list(version.categories.values_list("key", flat=True))
    every = set(quiz.dataset.categories.current().values_list("key", flat=True))
    return rows, [] if set(keys) == every else [key for key in keys if key in every]


def _rows(form: QueryDict) -> list[Row]:
    """The rows of the form that are to be asked. The last one is typed: it counts if it names a picture."""
    found = []
    for n in range(ROWS):
        sha = form.get(f"sha-{n}")
        if sha is None:
            break
        if f"ask-{n}" in form and sha.strip():
            answer, category = form.get(f"answer-{n}", "").strip(), form.get(f"category-{n}", "").strip()
            found.append(_row(sha.strip().lower(), category, answer, form.get(f"why-{n}", ""), asked=True))
    return found


def _row(sha: str, category: str, answer: str, why: str = "", *, asked: bool = False, **known: str) -> Row:
    valid = re.fullmatch("[0-9a-f]{64}", sha) is not None
    return {
        "sha": sha,
        "valid": valid,
        "category": category,
        "answer": answer,
        "why": why,
        "asked": asked,
        **known,
    }


def _page(
    request: HttpRequest, dataset: Dataset, quiz: Quiz | None, form: QuizForm, rows: list[Row],
    only: list[str], status: int = 200,
) -> HttpResponse:  # fmt: skip
    if status >= 400:
        log.warning("a quiz of %s was not saved: %s", dataset, form.errors.as_json(escape_html=True))
    question = quiz.question if quiz else str(form["question"].value() or Round.Question.CLASSIFY)
    question = question if question in Round.Question.values else Round.Question.CLASSIFY.value
    every = list(dataset.categories.current())
    shown = request.POST.get("category") or request.GET.get("category", "")
    first = every[0] if every and shown != NONE else None
    chosen = next((c for c in every if c.key == shown), first)
    offers = _offers(dataset, question, chosen, {row["sha"] for row in rows})
    names = label_names(dataset)
    typed = _row("", chosen.key if chosen else "", "")
    for n, row in enumerate([*rows, *offers, typed]):
        row["n"] = n
    labels = [] if question == Round.Question.VERIFY else [c.key for c in every if not only or c.key in only]
    after = request.GET.get("after", "")[:150].replace("\0", "")
    people = list(with_tries(quiz).filter(user__username__gt=after)[: PEOPLE + 1]) if quiz else []
    context = {
        "dataset": dataset,
        "section": "rounds",
        "quiz": quiz,
        "form": form,
        "question": question,
        "read": request.POST.get("read", 0) if status == 400 else quiz.version if quiz else 0,
        "categories": every,
        "few": len(every) <= MANY,
        "only": only,
        "chosen": chosen.key if chosen else NONE,
        "chosen_name": names[chosen.key] if chosen else names[NONE],
        "none_name": names[NONE],
        "rows": rows,
        "offers": offers,
        "typed": typed,
        "answers": [(label, names[label]) for label in [*labels, *special_labels(question)]],
        "listed": len(labels) <= LISTED,
        "names": names,
        "fewest": FEWEST,
        "most": MOST,
        "longest": LONGEST_WHY,
        "outdated": quiz is not None and is_outdated(quiz),
        "people": [(record, fared(record, quiz)) for record in people[:PEOPLE]] if quiz else [],
        "after": people[PEOPLE - 1].user.get_username() if len(people) > PEOPLE else "",
    }
    return render(request, "quality/quiz_edit.html", context, status=status)


def _offers(dataset: Dataset, question: str, chosen: Category | None, taken: set[str]) -> list[Row]:
    return [
        _row(o.sha256, o.category, o.answer, label=o.label, origin=o.origin)
        for o in offered(dataset, question, chosen)
        if o.sha256 not in taken
    ]
