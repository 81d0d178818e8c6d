"""Quizzes made by curators: what may be asked, what rounds leave out for it, and who passed."""

import json
import re

import pytest
from django.core.management import call_command
from django.test import Client

from annotation_site.models import Membership, Participation, Quiz, QuizAttempt, Round, Task, User
from annotation_site.services.changing import NotChangeable
from annotation_site.services.quiz import answer, begin
from annotation_site.services.quiz_making import NewQuestion, Wanted, save_quiz
from annotation_site.services.rounds import close_round
from ingest.management.base import BadInput
from quality.models import Reference
from quality.services.choosing import choose_tasks
from quality.services.consensus import aggregate_round
from quality.services.followups import UnusableRound
from quality.services.gold import add_settled_gold
from quality.services.known import add_gold
from quality.services.quiz_pictures import offered
from quality.services.round_changes import apply_change, foretell
from quality.services.rounds import RoundPlan, open_labelling_round, open_repeat_round
from quality.services.workers import note
from tests.quality.scenes import add_image, always_right, crowd, make_dataset, truth_of

pytestmark = pytest.mark.django_db
PLAIN = RoundPlan(audit_rate=0.0)


@pytest.fixture
def dataset():
    return make_dataset(18)


def pictures(dataset, *numbers):
    return [dataset.images.get(phash=n) for n in numbers]


def make(dataset, numbers=(0, 1, 2, 3, 4), title="First", **more):
    asked = [NewQuestion(i.sha256, truth_of(i), "look closely") for i in pictures(dataset, *numbers)]
    return save_quiz(dataset, Wanted(title, "classify", asked, **more), by=None)


@pytest.fixture
def curator(client, dataset):
    user = User.objects.create(username="cora")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    return client


def annotator(dataset, name="ann"):
    user = User.objects.create(username=name)
    Membership.objects.create(user=user, dataset=dataset, role="annotator")
    return user


def take(user, quiz, right):
    sitting = begin(user, quiz)
    for n, q in enumerate(sitting.questions):
        answer(user, quiz, sitting.number, q.pk, q.answer if n < right else "__unsure__")


def test_rounds_leave_the_quiz_out_and_no_quiz_teaches_gold(dataset):
    add_gold(dataset, [(i.sha256, truth_of(i)) for i in pictures(dataset, 3, 4, 5, 6)])
    quiz = make(dataset)
    told = {i.pk for i in pictures(dataset, 0, 1, 2, 3, 4)}
    chosen = choose_tasks(dataset, "classify", plan=RoundPlan(quiz=quiz.pk, gold_rate=0.2))
    assert chosen.quizzed == 5
    assert not told & {pair[0] for pair in chosen.pairs}
    assert chosen.gold == {i.pk for i in pictures(dataset, 5, 6)}, "what a quiz tells measures nobody"
    without = choose_tasks(dataset, "classify", plan=RoundPlan(gold_rate=0.2))
    assert len(without.pairs) == 18
    assert without.gold == chosen.gold, "people work in several rounds"
    some = [i.sha256 for i in pictures(dataset, 9, 10)]
    verify = choose_tasks(dataset, "verify", plan=RoundPlan(quiz=save_verify(dataset).pk), images=some)
    assert {pair[0] for pair in verify.pairs} == {pictures(dataset, 9)[0].pk}
    for plan, words in (
        (RoundPlan(quiz=999), "no such quiz"),
        (RoundPlan(quiz=Quiz.objects.get(question="verify").pk), "verify questions"),
    ):
        with pytest.raises(UnusableRound, match=words):
            choose_tasks(dataset, "classify", plan=plan)
    keys = [i.sha256 for i in pictures(dataset, 0, 1)]
    with pytest.raises(UnusableRound, match="in the quiz"):
        choose_tasks(dataset, "classify", plan=RoundPlan(quiz=quiz.pk), images=keys)
    add_gold(dataset, [(i.sha256, truth_of(i)) for i in pictures(dataset, 0)])
    make(dataset, (5, 6, 7, 8, 11), title="Third")
    with pytest.raises(UnusableRound, match="all gold is in quizzes"):
        choose_tasks(dataset, "classify", plan=RoundPlan(gold_rate=0.2))


def save_verify(dataset):
    images = pictures(dataset, 10, 12, 13, 14, 15)
    asked = [NewQuestion(i.sha256, always_right(i, "cat"), category="cat") for i in images]
    return save_quiz(dataset, Wanted("Cats?", "verify", asked), by=None)


def test_a_round_that_is_open_can_ask_for_a_quiz(dataset):
    add_gold(dataset, [(i.sha256, truth_of(i)) for i in pictures(dataset, 5, 6)])
    round = open_labelling_round(dataset, "classify", plan=RoundPlan(audit_rate=0.0, gold_rate=0.1))
    quiz = make(dataset)
    assert "5 pictures" in foretell(round, {"quiz_id": quiz.pk})[0]
    apply_change(round, {"quiz_id": quiz.pk}, "cora")
    left = Task.objects.filter(round=round, state=Task.State.WITHDRAWN)
    assert {task.image.phash for task in left} == {0, 1, 2, 3, 4}
    assert (round.quiz, round.tasks_total) == (quiz, 13)
    with pytest.raises(UnusableRound, match="leave out the quiz"):
        open_repeat_round(round, plan=RoundPlan(quiz=quiz.pk))
    close_round(round)
    second = make(dataset, (5, 6, 7, 8, 9), title="Second")
    Round.objects.filter(pk=round.pk).update(state="open")
    with pytest.raises(NotChangeable, match="2 of the quiz's pictures are gold in this round"):
        apply_change(round, {"quiz_id": second.pk}, "cora")
    apply_change(round, {"quiz_id": None, "tells_agreement": False}, "cora")
    assert Round.objects.values_list("quiz", "tells_agreement").get() == (None, False)


def test_what_is_offered(dataset):
    gold, *_ = pictures(dataset, 0)
    add_gold(dataset, [(gold.sha256, "cat")])
    [reference, hidden, nothing] = pictures(dataset, 3, 6, 7)
    cat = dataset.categories.get(key="cat")
    for image, category in ((reference, cat), (hidden, cat), (nothing, None)):
        Reference.objects.create(dataset=dataset, image=image, category=category, expert="e")
    dataset.groups.filter(representative=hidden).update(draw=0.0)  # of the test split
    copy = add_image(dataset, 100, hidden.group)
    round = open_labelling_round(dataset, "classify", plan=PLAIN)
    crowd(round, [always_right] * 3)
    aggregate_round(round)
    found = {o.sha256: o for o in offered(dataset, "classify", cat)}
    assert {found[i.sha256].origin for i in pictures(dataset, 9, 12, 15)} == {"settled"}
    assert (found[gold.sha256].origin, found[reference.sha256].origin) == ("gold", "reference")
    assert not {hidden.sha256, copy.sha256} & set(found)
    assert {o.answer for o in found.values()} == {"cat"}
    assert [o.answer for o in offered(dataset, "classify", None)] == ["__none__"]
    asked = offered(dataset, "verify", cat)
    assert {(o.category, o.answer) for o in asked} == {("cat", "yes")}
    assert offered(dataset, "verify", None) == []
    make(dataset, (9, 10, 11, 12, 13))
    fresh = set(add_settled_gold(dataset, 99)["image"])
    assert fresh
    assert not fresh & {i.sha256 for i in pictures(dataset, 9, 10, 11, 12, 13)}


def test_a_curator_makes_one_and_sees_how_people_fare(curator, dataset):
    here = "/d/pets/quizzes/"
    assert "No quiz yet" in curator.get(here).content.decode()
    add_gold(dataset, [(i.sha256, truth_of(i)) for i in pictures(dataset, 0, 3)])
    page = curator.get(f"{here}new").content.decode()
    assert page.count("(gold)") == 2
    form = {
        "title": "Pets",
        "question": "classify",
        "pass_share": "80",
        "tries": "1",
        "read": "0",
        "category": "dog",
    }
    rows = [(i.sha256, truth_of(i), "because") for i in pictures(dataset, 0, 3, 1, 2)]
    for n, (sha, label, why) in enumerate(rows):
        form |= {f"sha-{n}": sha, f"ask-{n}": "1", f"answer-{n}": label, f"why-{n}": why}
    form |= {"sha-4": pictures(dataset, 5)[0].sha256, "answer-4": "dog", "why-4": "not ticked"}
    kept = curator.post(f"{here}new", {**form, "offer": "1"}).content.decode()
    assert kept.count('value="because"') == 4, "what was typed stays"
    assert not Quiz.objects.exists()
    few = curator.post(f"{here}new", form)
    assert (few.status_code, "5 to 20 pictures, not 4" in few.content.decode()) == (400, True)
    form["ask-4"] = "1"
    made = curator.post(f"{here}new", form, follow=True)
    assert "The quiz is saved (version 1)" in made.content.decode()
    quiz = Quiz.objects.get()
    assert [q.answer for q in quiz.versions.get().questions.all()] == ["cat", "cat", "dog", "eel", "dog"]
    edit = f"{here}{quiz.pk}"
    assert curator.post(f"{here}new", form).status_code == 400, "that name is taken"
    stale = curator.post(edit, {**form, "read": "7", "answer-4": "eel"})
    assert stale.status_code == 409
    ann, bob = annotator(dataset), annotator(dataset, "bob")
    take(ann, quiz, 5)
    take(bob, quiz, 3)
    page = curator.get(edit).content.decode()
    assert "5/5" in page
    assert "3/5" in page
    assert "no try left" in page
    assert len(re.findall(r"1 of 2 people wrong at first", page)) >= 1
    record = bob.quiz_records.get().pk
    assert "bob has one more try" in curator.post(edit, {"more": record}, follow=True).content.decode()
    take(bob, quiz, 4)
    assert "1 of 2 people wrong at first" in curator.get(edit).content.decode()
    assert "2 of 2 people have passed" in curator.get(here).content.decode()
    for wrong in ("x", "9" * 30, "99999"):
        assert "no such person" in curator.post(edit, {"more": wrong}, follow=True).content.decode()
    programs_see_and_do_the_same(curator, quiz)
    curator.post(edit, {"again": "1"})
    assert "0 of 2 people have passed" in curator.get(here).content.decode()
    for broken in ({"pass_share": "0"}, {"tries": "x"}, {"title": ""}, {"sha-0": "é"}, {"answer-0": "cow"}):
        assert curator.post(edit, {**form, "read": "1", **broken}).status_code == 400
    assert QuizAttempt.objects.count() == 3
    reviewer = Client()
    user = User.objects.create(username="rex")
    Membership.objects.create(user=user, dataset=dataset, role="reviewer")
    reviewer.force_login(user)
    assert reviewer.get(here).status_code == 200
    assert reviewer.get(edit).status_code == 403


def programs_see_and_do_the_same(curator, quiz):
    def ask(method, path, body=None, status=200):
        answer = curator.generic(method, f"/api/v1/datasets/pets/quizzes{path}", json.dumps(body))
        assert answer.status_code == status, answer.content
        return answer.json()

    [line] = ask("GET", "")["quizzes"]
    assert (line["begun"], line["passed"], line["needed"], line["version"]) == (2, 2, 4, 1)
    whole = ask("GET", f"/{quiz.pk}")
    assert {q["answers"] for q in whole["questions"]} == {2}
    [_ann, bob] = ask("GET", f"/{quiz.pk}/people")["people"]
    assert [t["right"] for t in bob["tries"]] == [3, 4]
    assert ask("POST", f"/{quiz.pk}/people/bob/tries")["tries_left"] == bob["tries_left"] + 1
    ask("POST", f"/{quiz.pk}/people/nobody/tries", status=404)
    asked = [{key: q[key] for key in ("image", "answer", "why")} for q in whole["questions"]]
    body = {"title": "Pets", "questions": asked, "tries": 1, "read": 1}
    assert ask("PUT", f"/{quiz.pk}", body)["version"] == 1, "the same again"
    ask("PUT", f"/{quiz.pk}", {**body, "read": 3}, 409)
    ask("POST", "", body, 422)
    assert ask("POST", "", {**body, "title": "Another"}, 201)["pictures"] == 5
    Quiz.objects.get(title="Another").delete()
    assert {o["origin"] for o in ask("GET", "/offers?category=cat")["pictures"]} == {"gold"}
    ask("GET", "/offers?category=cow", status=404)
    assert ask("POST", f"/{quiz.pk}/ask-again")["passed"] == 0


def test_the_new_round_form_and_the_commands(curator, dataset, tmp_path, capsys):
    table = tmp_path / "quiz.csv"
    lines = [f"{n}.jpg,{truth_of(i)},look at {n}" for n, i in enumerate(pictures(dataset, 0, 1, 2, 3, 4))]
    table.write_text("image,label,why\n" + "\n".join(lines))
    call_command("make_quiz", "pets", "From a file", file=str(table), tries=2, json=True)
    told = json.loads(capsys.readouterr().out)
    quiz = Quiz.objects.get()
    assert told == {"quiz": quiz.pk, "title": "From a file", "version": 1, "pictures": 5, "needed": 4}
    call_command(
        "make_quiz", "pets", "From a file", file=str(table_of(tmp_path, dataset, (1, 2, 3, 4, 5))), json=True
    )
    assert json.loads(capsys.readouterr().out)["version"] == 2
    assert Quiz.objects.get().tries == 2, "what is not told stays"
    for bad, words in (("nowhere.jpg,cat", "unknown"), ("0.jpg,cow", "no answer of this quiz")):
        broken = tmp_path / "bad.csv"
        broken.write_text(
            "image,label\n" + "\n".join([bad, "6.jpg,cat", "7.jpg,dog", "8.jpg,eel", "9.jpg,cat"])
        )
        with pytest.raises(BadInput, match=words):
            call_command("make_quiz", "pets", "Bad", file=str(broken))
    call_command("open_round", "pets", question="classify", quiz="From a file", json=True)
    assert json.loads(capsys.readouterr().out)["quiz"] == "From a file"
    assert Round.objects.get().tasks_total == 12, "those of the first version, too, are left out"
    with pytest.raises(BadInput, match="it has: From a file"):
        call_command("open_round", "pets", question="classify", quiz="Another")
    call_command("change_round", str(Round.objects.get().pk), quiz="none")
    assert Round.objects.get().quiz is None
    page = curator.get("/d/pets/rounds/new").content.decode()
    form = {
        name: value
        for name, value in re.findall(r'<input[^>]*name="([\w-]+)"[^>]*value="([^"]*)"', page)
        if name != "csrfmiddlewaretoken"
    }
    form |= {
        "question": "classify",
        "images": "all",
        "access": "everyone",
        "quiz": str(quiz.pk),
        "tells_agreement": "on",
    }
    seen = curator.post("/d/pets/rounds/new", form).content.decode()
    assert "pictures of the quiz, left out" in seen
    hidden = dict(re.findall(r'<input type="hidden" name="([\w-]+)"(?: value="([^"]*)")?', seen))
    hidden.pop("csrfmiddlewaretoken", None)
    curator.post("/d/pets/rounds/new", {**hidden, "open": "1"})
    opened = Round.objects.order_by("pk").last()
    assert (opened.quiz, opened.tells_agreement, opened.tasks_total) == (quiz, True, 12)
    assert "Annotators pass a quiz first" in curator.get(f"/d/pets/rounds/{opened.pk}").content.decode()


def table_of(tmp_path, dataset, numbers):
    path = tmp_path / "second.csv"
    path.write_text(
        "image,label\n" + "\n".join(f"{i.sha256},{truth_of(i)}" for i in pictures(dataset, *numbers))
    )
    return path


def test_own_agreement_is_kept_as_of_the_close(dataset):
    add_gold(dataset, [(i.sha256, truth_of(i)) for i in pictures(dataset, *range(12))])
    round = open_labelling_round(dataset, "classify", plan=RoundPlan(audit_rate=0.0, gold_rate=0.6))
    [worker] = crowd(round, [lambda image, proposed: "cat"])
    aggregate_round(round)
    part = Participation.objects.get(worker=worker)
    gold = part.gold_votes
    assert part.gold_judged == gold > 5
    assert 0 < part.gold_right < gold
    close_round(round)
    round.refresh_from_db()
    late = worker.vote_set.filter(task__gold=True).first()
    late.created = round.closed.replace(year=round.closed.year + 1)
    late.save(update_fields=["created"])
    aggregate_round(round)
    part.refresh_from_db()
    assert part.gold_judged == gold - 1, "what comes after the close moves nothing"
    assert part.look_again is None
    note(worker, dataset, "warn", "too quick")
    part.refresh_from_db()
    assert part.look_again is None
    note(worker, dataset, "retrain", "look again")
    part.refresh_from_db()
    assert part.look_again is not None
