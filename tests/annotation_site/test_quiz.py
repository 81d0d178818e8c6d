"""The quiz before a round: asked once, told at once, kept on the server; no answer is told beforehand."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotation_site.models import (
    ApiToken,
    Assignment,
    Participation,
    Quiz,
    QuizAnswer,
    QuizAttempt,
    QuizRecord,
    Round,
    Task,
    User,
    Worker,
)
from annotation_site.services.agreement import agreement, ask_to_look_again, keep_agreement
from annotation_site.services.consent import save_text
from annotation_site.services.quiz import QuizMissing, answer, begin, needed, require_quiz
from annotation_site.services.quiz_making import (
    BadQuiz,
    NewQuestion,
    QuizChanged,
    Wanted,
    allow_more,
    ask_again,
    first_answers,
    save_quiz,
)
from ingest.models import Dataset
from tests.annotation_site.world import make_dataset, make_round, person

pytestmark = pytest.mark.django_db
TRUTH = ("cat", "dog", "__none__", "eel", "__unsure__")


def wanted(dataset: Dataset, first: int = 0, **changes: Any) -> Wanted:
    """A quiz of the five pictures from `first` on: what TRUTH says, and why."""
    shas = list(dataset.images.order_by("pk").values_list("sha256", flat=True)[first : first + 5])
    questions = [
        NewQuestion(sha, answer, f"because of {answer}") for sha, answer in zip(shas, TRUTH, strict=True)
    ]
    return Wanted(**{"title": "Pets or not", "question": "classify", "questions": questions, **changes})


@pytest.fixture
def dataset(db: None) -> Dataset:
    return make_dataset(images=12)


@pytest.fixture
def quiz(dataset: Dataset) -> Quiz:
    return save_quiz(dataset, wanted(dataset), by=None)


@pytest.fixture
def round(dataset: Dataset, quiz: Quiz) -> Round:
    """On all pictures but those of the quiz, as `open_labelling_round` does it."""
    made = make_round(dataset, title="Whose pet is it?", quiz=quiz)
    Task.objects.filter(image__in=dataset.images.order_by("pk")[:5]).delete()
    return made


@pytest.fixture
def ann(dataset: Dataset) -> Client:
    client = Client()
    client.force_login(person("ann", dataset=dataset))
    return client


def at_hand(client: Client, quiz: Quiz) -> dict[str, Any]:
    """The picture that the page asks about: its form, and the picture's SHA-256."""
    page = client.get(f"/quiz/{quiz.pk}/").content.decode()
    fields: dict[str, Any] = dict(re.findall(r'name="(try|question)" value="(\d+)"', page))
    fields["sha"] = re.findall(r"/images/pets/(\w{64})/full", page)[0]
    return fields


def truth(quiz: Quiz, question: str) -> str:
    return quiz.versions.get(number=quiz.version).questions.get(pk=question).answer


def say(client: Client, quiz: Quiz, right: bool = True) -> Any:
    """Answer the picture at hand; the page that tells what it was worth."""
    form = at_hand(client, quiz)
    right_one = truth(quiz, form["question"])
    label = right_one if right else next(c for c in TRUTH if c != right_one)
    return client.post(f"/quiz/{quiz.pk}/", {**form, "label": label}, follow=True)


def sit_through(client: Client, quiz: Quiz, right: int) -> str:
    """One try with `right` right answers; the page at its end."""
    client.post(f"/quiz/{quiz.pk}/", {"begin": "1"})
    for n in range(5):
        say(client, quiz, n < right)
    return str(client.get(f"/quiz/{quiz.pk}/").content.decode())


def take(name: str, quiz: Quiz, right: int) -> None:
    """The same without pages."""
    user = User.objects.get(username=name)
    sitting = begin(user, quiz)
    for n, asked in enumerate(sitting.questions):
        label = asked.answer if n < right else next(c for c in TRUTH if c != asked.answer)
        answer(user, quiz, sitting.number, asked.pk, label)


def claim(client: Client, round: Round) -> Any:
    return client.post(f"/api/v1/rounds/{round.pk}/claim", {"size": 2}, content_type="application/json")


def test_from_the_first_page_through_the_quiz_to_the_first_picture(
    ann: Client, quiz: Quiz, round: Round
) -> None:
    home = ann.get("/").content.decode()
    assert "Pass the quiz first (5 pictures, 2 minutes)" in home
    here = f"/quiz/{quiz.pk}/"
    assert ann.get(f"/label/{round.pk}/").url == here
    assert not Assignment.objects.exists(), "nothing was leased"
    refused = claim(ann, round)
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert here in refused.json()["detail"]
    assert ann.get(f"/api/v1/rounds/{round.pk}").json()["quiz"] == quiz.pk
    intro = ann.get(here).content.decode()
    assert "5 pictures, about 2 minutes." in intro
    assert "You pass with 4 right answers." in intro
    assert "You have 3 tries." in intro
    failed = sit_through(ann, quiz, 3)
    assert "Not passed this time" in failed
    assert "3 of 5 right." in failed
    assert "2 tries are left." in failed
    assert failed.count("You said:") == 2, "the wrong ones, with what is right"
    assert claim(ann, round).status_code == 403
    passed = sit_through(ann, quiz, 4)
    assert "You have passed" in passed
    assert "Start labelling: Whose pet is it?" in passed
    assert ann.get(f"/label/{round.pk}/").status_code == 200
    assert ann.get(f"/api/v1/rounds/{round.pk}").json()["quiz"] is None
    assert "Pass the quiz" not in ann.get("/").content.decode()
    ann.post(here, {"begin": "1"})
    assert QuizAttempt.objects.count() == 2, "who has passed is not asked again"


def test_each_answer_is_told_at_once_and_stands(ann: Client, quiz: Quiz) -> None:
    here = f"/quiz/{quiz.pk}/"
    ann.post(here, {"begin": "1"})
    ann.post(here, {"begin": "1"})
    assert QuizAttempt.objects.count() == 1, "begun twice is once"
    form = at_hand(ann, quiz)
    right = truth(quiz, form["question"])
    wrong = next(c for c in TRUTH if c != right)
    sent = ann.post(here, {**form, "label": wrong})
    told = ann.get(sent.url).content.decode()
    for text in ("Not right", "The answer is:", "You said:", f"because of {right}", "Next picture"):
        assert text in told
    assert ann.get(sent.url).content.decode().count("Not right") == told.count("Not right"), "loaded again"
    again = ann.post(here, {**form, "label": right})
    assert again.url == sent.url
    assert QuizAnswer.objects.get().label == wrong, "the first word stands"
    assert at_hand(ann, quiz)["question"] != form["question"], "the next picture, from any page"
    orders = set()
    for name in ("bob", "eve", "dan", "fay"):
        client = Client()
        client.force_login(person(name, dataset=quiz.dataset))
        client.post(here, {"begin": "1"})
        orders.add(at_hand(client, quiz)["sha"])
    assert len(orders) > 1, "an order for each"


def test_no_answer_is_told_before_it_is_given(ann: Client, quiz: Quiz) -> None:
    here = f"/quiz/{quiz.pk}/"
    intro = ann.get(here).content.decode()
    ann.post(here, {"begin": "1"})
    first = at_hand(ann, quiz)
    pages = [intro, ann.get(here).content.decode()]
    others = quiz.versions.get().questions.exclude(pk=first["question"])
    for question in others:
        pages.append(ann.get(f"{here}?try=1&after={question.pk}").content.decode())
        for sha in (question.image.sha256,):
            assert ann.get(f"/d/pets/images/{sha}").status_code == 403
    pages.append(ann.get(f"/api/v1/quizzes/{quiz.pk}").content.decode())
    for page in pages:
        assert "because of" not in page
        assert "The answer is" not in page
    asked = ann.get(f"/api/v1/quizzes/{quiz.pk}").json()
    assert {q["right"] for q in asked["questions"]} == {None}
    assert set(asked["questions"][0]) == {"question", "image_url", "thumbnail_url", "category", "right"}
    shown = re.sub(r"<form.*?</form>", "", pages[1], flags=re.S)
    assert "data-next" not in shown
    for role in ("annotator", "researcher"):
        other = Client()
        other.force_login(person(f"a-{role}", role, quiz.dataset))
        for path in ("", f"{quiz.pk}"):
            assert other.get(f"/d/pets/quizzes/{path}").status_code == 403


def test_programs_take_it_too(ann: Client, quiz: Quiz, round: Round) -> None:
    token = ApiToken.issue(User.objects.get(username="ann"), "robot", "label")
    auth = {"Authorization": f"Bearer {token}"}

    def post(body: dict[str, Any]) -> Any:
        where = f"/api/v1/quizzes/{quiz.pk}/answers"
        return Client().post(where, body, content_type="application/json", headers=auth)

    asked = Client().get(f"/api/v1/quizzes/{quiz.pk}", headers=auth).json()
    assert (asked["attempt"], asked["tries_left"], asked["needed"], asked["passed"]) == (1, 3, 4, False)
    assert asked["choices"] == ["cat", "dog", "eel", "__none__", "__unsure__"]
    numbers = [q["question"] for q in asked["questions"]]
    for body, status in (
        ({"attempt": 2, "question": numbers[0], "label": "cat"}, 409),
        ({"attempt": 1, "question": 10**9, "label": "cat"}, 409),
        ({"attempt": 1, "question": numbers[0], "label": "unicorn"}, 422),
        ({"attempt": 1, "question": numbers[0]}, 422),
        ({"attempt": "x", "question": numbers[0], "label": "cat"}, 422),
    ):
        assert post(body).status_code == status, body
    assert not QuizAnswer.objects.exists()
    told = [post({"attempt": 1, "question": n, "label": truth(quiz, str(n))}).json() for n in numbers]
    assert [t["left"] for t in told] == [4, 3, 2, 1, 0]
    assert {t["right"] for t in told} == {True}
    assert told[0]["why"] == f"because of {told[0]['answer']}"
    assert [t["passed"] for t in told] == [None] * 4 + [True]
    replayed = post({"attempt": 1, "question": numbers[-1], "label": "cat"}).json()
    assert replayed == told[-1], "the same again, and no new try"
    assert post({"attempt": 2, "question": numbers[0], "label": "cat"}).status_code == 403
    assert QuizAttempt.objects.count() == 1
    assert claim(ann, round).status_code == 200


def test_tries_end_and_a_curator_allows_more(ann: Client, quiz: Quiz, round: Round) -> None:
    for _ in range(3):
        take("ann", quiz, 0)
    assert "You have used all your tries" in ann.get(f"/quiz/{quiz.pk}/").content.decode()
    ann.post(f"/quiz/{quiz.pk}/", {"begin": "1"})
    assert QuizAttempt.objects.count() == 3
    cora = person("cora", "curator", quiz.dataset)
    record = allow_more(quiz, QuizRecord.objects.get().pk, cora)
    assert record is not None
    assert str(record.user) == "ann"
    take("ann", quiz, 5)
    assert claim(ann, round).status_code == 200
    assert allow_more(quiz, 10**9, cora) is None
    right_now = first_answers(quiz.versions.get())
    assert {n for n, _ in right_now.values()} == {1}, "the first answer of each person alone"
    assert {wrong for _, wrong in right_now.values()} == {1}
    ask_again(quiz, cora)
    assert claim(ann, round).status_code == 403
    page = ann.get(f"/quiz/{quiz.pk}/").content.decode()
    assert "You have 3 tries." in page


def test_versions(ann: Client, quiz: Quiz, round: Round, dataset: Dataset) -> None:
    assert save_quiz(dataset, wanted(dataset, tries=5), by=None, quiz=quiz, read=1).version == 1, "no new one"
    bob = person("bob", dataset=dataset)
    client = Client()
    client.force_login(bob)
    take("bob", quiz, 5)
    ann.post(f"/quiz/{quiz.pk}/", {"begin": "1"})
    old = at_hand(ann, quiz)
    new = save_quiz(dataset, wanted(dataset, first=5, tries=5), by=None, quiz=quiz, read=1)
    assert new.version == 2
    with pytest.raises(QuizChanged):
        save_quiz(dataset, wanted(dataset), by=None, quiz=quiz, read=1)
    assert claim(client, round).status_code == 200, "who passed stays passed"
    refused = ann.post(f"/quiz/{quiz.pk}/", {**old, "label": "cat"}, follow=True).content.decode()
    assert "The quiz was changed meanwhile" in refused
    assert "You have 5 tries." in refused, "the try that was begun cost nothing"
    quiz.refresh_from_db()
    take("ann", quiz, 5)
    assert "You have passed" in ann.get(f"/quiz/{quiz.pk}/").content.decode()
    left = Task.objects.filter(round=round, state=Task.State.WITHDRAWN)
    assert {task.image.sha256 for task in left} == {q.sha256 for q in wanted(dataset, first=5).questions}
    round.refresh_from_db()
    assert round.tasks_total == 12 - 5, "what people were told is asked no more"


def test_one_query_for_a_claim_and_none_without(
    ann: Client, quiz: Quiz, round: Round, dataset: Dataset, django_assert_num_queries: Any
) -> None:
    user = User.objects.get(username="ann")
    with django_assert_num_queries(1), pytest.raises(QuizMissing):
        require_quiz(user, round)
    rex = person("rex", "reviewer", dataset)
    with django_assert_num_queries(1):
        require_quiz(rex, round)
    with django_assert_num_queries(0):
        require_quiz(user, Round(dataset=dataset))


def test_who_looks_after_it_tries_it_and_nothing_is_stored(quiz: Quiz, dataset: Dataset) -> None:
    client = Client()
    client.force_login(person("cora", "curator", dataset))
    page = sit_through(client, quiz, 4)
    assert "Preview: nothing is stored" in page
    assert "4 of 5 right." in page
    assert not QuizRecord.objects.exists()
    assert (
        client.post(
            f"/api/v1/quizzes/{quiz.pk}/answers",
            {"attempt": 1, "question": 1, "label": "cat"},
            content_type="application/json",
        ).status_code
        == 403
    )
    rita = Client()
    rita.force_login(person("rita", "researcher", dataset))
    assert rita.get(f"/quiz/{quiz.pk}/").status_code == 403
    assert rita.get("/quiz/999/").status_code == 404
    assert Client().get(f"/quiz/{quiz.pk}/").status_code == 302


def test_broken_forms_store_nothing(ann: Client, quiz: Quiz) -> None:
    here = f"/quiz/{quiz.pk}/"
    ann.post(here, {"begin": "1"})
    form = at_hand(ann, quiz)
    for change in (
        {"try": "x"},
        {"try": "9" * 30},
        {"label": "unicorn"},
        {"question": "²"},
        {"question": "77777"},
        {"question": ""},
    ):
        broken = {**form, "label": "cat", **change}
        assert ann.post(here, broken).status_code == 302
        assert ann.get(f"{here}?try={broken['try']}&after=%00").status_code == 200
    assert ann.post(here, {}).status_code == 302
    assert not QuizAnswer.objects.exists()
    save_text(person("cora", "curator", quiz.dataset), quiz.dataset, "We keep votes.", seen=0)
    assert ann.get(here).url == f"/d/pets/consent/?next={here}", "consent comes first"
    assert ann.get(f"/api/v1/quizzes/{quiz.pk}").status_code == 403
    Worker.objects.filter(user__username="ann").update(suspended=True)
    assert ann.get(here).status_code == 403


def test_what_cannot_be_a_quiz(dataset: Dataset, quiz: Quiz) -> None:
    good = wanted(dataset, first=5, title="Another")
    one = good.questions[0]
    make_round(dataset, gold=1)
    gold = dataset.images.order_by("pk")[0].sha256
    verify = [NewQuestion(q.sha256, "yes", category="cat") for q in good.questions]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"title": "Pets  or not"}, "that name"),
        ({"title": " "}, "a name"),
        ({"question": "sing"}, "classify or verify"),
        ({"pass_share": 0}, "pass mark"),
        ({"tries": 0}, "Tries"),
        ({"questions": good.questions[:4]}, "5 to 20 pictures, not 4"),
        ({"categories": ["cow"]}, "no category cow"),
        ({"categories": ["cat"]}, "no answer of this quiz"),
        ({"questions": [one, *good.questions[:4]]}, "twice"),
        ({"questions": [NewQuestion("x", "cat"), *good.questions[1:]]}, "no SHA-256"),
        ({"questions": [NewQuestion("0" * 64, "cat"), *good.questions[1:]]}, "no picture"),
        (
            {"questions": [NewQuestion(gold, "cat"), *good.questions[1:]]},
            "gold in a round that is not closed",
        ),
        ({"questions": [NewQuestion(one.sha256, "cat", "x" * 301), *good.questions[1:]]}, "300 characters"),
        ({"question": "verify", "questions": [NewQuestion(one.sha256, "yes"), *verify[1:]]}, "no category"),
    ]
    for changes, words in bad:
        with pytest.raises(BadQuiz, match=words):
            save_quiz(dataset, wanted(dataset, **{"first": 5, "title": "Another", **changes}), by=None)
    assert Quiz.objects.count() == 1
    made = save_quiz(dataset, Wanted("Cats", "verify", verify), by=None)
    assert made.versions.get().choices() == ["yes", "no", "unsure"]
    assert [needed(Quiz(pass_share=s), n) for s, n in ((0.8, 5), (0.8, 6), (0.3, 10), (0.01, 5), (1, 7))] == [
        4,
        5,
        3,
        1,
        7,
    ]


def test_own_agreement_is_told_after_the_fact(ann: Client, dataset: Dataset, round: Round) -> None:
    worker = User.objects.get(username="ann").worker
    part = Participation.objects.create(round=round, worker=worker, votes=30, last_vote=timezone.now())
    keep_agreement(round, {worker.pk: (12, 9)})

    def page() -> str:
        return str(ann.get("/me/").content.decode())

    assert "75%" not in page(), "the round is open: the figure would give gold away"
    Round.objects.filter(pk=round.pk).update(state="closed")
    assert "75%" in page()
    assert ann.get("/api/v1/me/rounds").json()["rounds"][0]["right_share"] == 0.75
    Round.objects.filter(pk=round.pk).update(tells_agreement=False)
    assert "75%" not in page()
    Round.objects.filter(pk=round.pk).update(tells_agreement=True)
    keep_agreement(round, {worker.pk: (9, 9)})
    part.refresh_from_db()
    assert agreement(part) is None, "too few to say"
    assert "/d/pets/feedback/" not in page()
    ask_to_look_again(worker, dataset)
    assert "/d/pets/feedback/" in page()
