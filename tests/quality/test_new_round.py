"""Making a round in the browser: the form, the numbers before it opens, and the opening itself."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation_site.models import Membership, Round, Task, User
from quality import jobs
from quality.models import PlannedRound
from quality.services import foresight, planned
from quality.services.consensus import aggregate_round
from quality.services.known import add_gold
from tests.quality.scenes import crowd, make_dataset, make_worker, right_with

pytestmark = pytest.mark.django_db
FIELDS = {
    "question": "classify", "category": "", "title": "First look", "images": "all", "below": "95", "keys": "",
    "votes_min": "2", "votes_max": "5", "confidence": "95", "price": "0.02", "batch_size": "10",
    "lease_minutes": "15", "gold_rate": "0", "audit_rate": "10", "preset": "", "access": "everyone",
    "least_skill": "", "workers": "", "instructions": "Look twice.",
}  # fmt: skip


@pytest.fixture
def dataset():
    return make_dataset(30)


@pytest.fixture
def curator(client, dataset):
    user = User.objects.create(username="curator")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    return client


def page_of(dataset):
    return reverse("round_new", args=[dataset.name])


def looked_at(client, dataset, **changes):
    """The page after "Show what it would be", and what its button would send."""
    answer = client.post(page_of(dataset), FIELDS | changes)
    text = answer.content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(key|seen)" value="([^"]*)"', text))
    return answer, FIELDS | changes | hidden | {"open": "1"}


def test_the_form_shows_the_usual_numbers(curator, dataset):
    text = curator.get(page_of(dataset)).content.decode()
    assert 'name="votes_max" value="9"' in text
    assert "Show what it would be" in text
    assert page_of(dataset) in curator.get(reverse("rounds", args=[dataset.name])).content.decode()


def test_numbers_first_and_nothing_is_opened_by_looking(curator, dataset):
    answer, _ = looked_at(curator, dataset)
    text = answer.content.decode()
    # 30 pictures: 27 with 2 votes at least, 3 audited ones with 5; at most 5 each, at 2 cents.
    assert "30 pictures," in text
    assert "69 to 150 votes," in text
    assert "$1.38 to $3.00." in text
    assert not Round.objects.exists()
    assert not PlannedRound.objects.exists()


def test_the_round_is_what_was_asked_for_and_opens_once(curator, dataset):
    _, form = looked_at(curator, dataset)
    first = curator.post(page_of(dataset), form)
    again = curator.post(page_of(dataset), form)
    round = Round.objects.get()
    assert first.url == again.url == reverse("round", args=[dataset.name, round.pk])
    assert (round.votes_min, round.votes_max, round.batch_size, round.lease_seconds) == (2, 5, 10, 900)
    assert (round.confidence, round.audit_rate, round.title) == (0.95, 0.1, "First look")
    assert (round.state, round.tasks_total, str(round.price)) == ("open", 30, "0.0200")
    assert round.instructions.get().text == "Look twice."
    assert round.tasks.filter(audit=True, wanted=5).count() == 3


def test_numbers_that_changed_since_are_shown_again(curator, dataset):
    _, form = looked_at(curator, dataset)
    form["votes_max"] = "7"
    answer = curator.post(page_of(dataset), form)
    assert "look at the numbers once more" in answer.content.decode()
    assert not Round.objects.exists()


def test_verify_one_category_with_gold(curator, dataset):
    sha = dataset.images.order_by("pk")[0].sha256
    add_gold(dataset, [(sha, "cat")])
    answer, form = looked_at(
        curator, dataset, question="verify", category="cat", gold_rate="10", audit_rate="0"
    )
    text = answer.content.decode()
    # Ten pictures were found as cats; one of them is gold. A tenth of what is given is gold, and is paid.
    assert "10 pictures," in text
    assert "18 to 45 votes," in text
    assert "$0.40 to $1.00." in text
    curator.post(page_of(dataset), form)
    round = Round.objects.get()
    assert set(round.tasks.values_list("category__key", flat=True)) == {"cat"}
    assert round.tasks.filter(gold=True).count() == 1


def test_what_earlier_rounds_left_open_for_people_of_choice(curator, dataset):
    _, form = looked_at(curator, dataset, votes_min="1", votes_max="1", audit_rate="0")
    curator.post(page_of(dataset), form)
    first = Round.objects.get()
    crowd(first, [right_with(0.5, 3)])
    aggregate_round(first)
    make_worker("anna")
    answer, form = looked_at(
        curator, dataset, images="disputed", access="invited", workers="anna", votes_min="1", votes_max="3"
    )
    text = answer.content.decode()
    left = first.tasks.filter(state=Task.State.EXHAUSTED).count()
    assert f"{left} pictures," in text
    assert f"{left} to {left} votes," in text  # one person gives one vote each
    curator.post(page_of(dataset), form)
    second = Round.objects.exclude(pk=first.pk).get()
    assert (second.parent, second.access, second.tasks_total) == (first, "invited", left)


BAD = {
    "votes_max": ["1", "0", "x", "100000", ""],
    "votes_min": ["0", "-3", "2.5"],
    "confidence": ["100", "nan", "-1", "inf", "0"],
    "price": ["-1", "NaN", "1e9", "0.00001"],
    "gold_rate": ["95", "20"],  # there is no gold
    "audit_rate": ["101"],
    "batch_size": ["0", "301"],
    "lease_minutes": ["0", "1441"],
    "question": ["", "guess"],
    "images": ["", "some", "disputed", "listed"],
    "preset": ["imagenet", "x"],  # needs ten votes at most
    "access": ["invited", "x"],
    "title": ["x" * 201, "a\0b"],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD.items() for v in values])
def test_bad_input_is_one_page_and_stores_nothing(curator, dataset, field, value, caplog):
    answer, form = looked_at(curator, dataset, **{field: value})
    assert answer.status_code == 400
    assert 'class="errorlist' in answer.content.decode()
    assert "was not opened" in caplog.text
    assert curator.post(page_of(dataset), form | {"key": "a" * 32, "seen": "30-0-150"}).status_code == 400
    assert not Round.objects.exists()
    assert not PlannedRound.objects.exists()


@pytest.mark.parametrize(
    "bad", [{"category": "fox", "question": "verify"}, {"access": "invited", "workers": "nobody-here"},
            {"images": "listed", "keys": "<script>alert(1)</script>"}],
)  # fmt: skip
def test_unknown_names_are_told_and_escaped(curator, dataset, bad):
    answer, _ = looked_at(curator, dataset, **bad)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.content.decode()


@pytest.mark.parametrize("key", ["", "short", "../../etc", "A" * 32, "z" * 5000])
def test_a_form_without_its_key_opens_nothing(curator, dataset, key):
    _, form = looked_at(curator, dataset)
    assert curator.post(page_of(dataset), form | {"key": key}).status_code == 400
    assert not Round.objects.exists()


@pytest.mark.parametrize("role", ["annotator", "reviewer", "researcher"])
def test_only_curators_make_rounds(client, dataset, role):
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    assert client.get(page_of(dataset)).status_code == 403
    assert client.post(page_of(dataset), FIELDS).status_code == 403


# --- large ones ---------------------------------------------------------------------------------------


def ordered(curator, dataset, monkeypatch):
    """A round that is too large to be made at once, ordered; gives its row and what a process was told."""
    told = []
    monkeypatch.setattr(jobs, "AT_ONCE", 10)
    monkeypatch.setattr(jobs, "start_process", lambda *words: told.append(words))
    _, form = looked_at(curator, dataset)
    answer = curator.post(page_of(dataset), form)
    row = PlannedRound.objects.get()
    assert answer.url == reverse("round_planned", args=[dataset.name, row.pk])
    return row, told


def test_a_large_round_is_made_by_a_job_and_its_page_shows_how_far_it_is(curator, dataset, monkeypatch):
    row, told = ordered(curator, dataset, monkeypatch)
    page = reverse("round_planned", args=[dataset.name, row.pk])
    assert told == [("open_round", "pets", "--planned", str(row.pk))]
    assert "being chosen" in curator.get(page).content.decode()
    row.state, row.made = "making", 15
    row.save()
    assert "15 of 30 tasks" in curator.get(page).content.decode()
    row.state = "waiting"
    row.save()
    planned.make_planned(row.pk)
    assert curator.get(page).url == reverse("round", args=[dataset.name, Round.objects.get().pk])
    planned.make_planned(row.pk)  # a job may run twice
    assert Round.objects.get().tasks_total == 30


def test_a_job_that_was_killed_is_made_again_without_its_half(curator, dataset, monkeypatch):
    row, _ = ordered(curator, dataset, monkeypatch)

    whole = planned.open_labelling_round

    def half(*args, made, **kwargs):
        def tell(round, done, of):
            made(round, done, of)
            if done:
                monkeypatch.setattr("annotation_site.services.rounds.discard_unmade", lambda round: None)
                raise SystemExit

        return whole(*args, made=tell, **kwargs)

    monkeypatch.setattr(planned, "open_labelling_round", half)
    with pytest.raises(SystemExit):
        planned.make_planned(row.pk)
    monkeypatch.setattr(planned, "open_labelling_round", whole)
    assert Task.objects.count() == 30
    assert Round.objects.get().tasks_total == 0
    assert planned.make_planned(row.pk).state == "making"  # somebody may be at it still
    long_ago = timezone.now() - 2 * planned.DEAD
    PlannedRound.objects.update(touched=long_ago)
    page = reverse("round_planned", args=[dataset.name, row.pk])
    assert "made again" in curator.get(page).content.decode()
    monkeypatch.setattr(jobs, "start_process", lambda *words: planned.make_planned(row.pk))
    answer = curator.post(reverse("round_make_again", args=[dataset.name, row.pk]))
    round = Round.objects.get()
    assert curator.get(answer.url, follow=True).status_code == 200
    assert (round.state, round.tasks_total, Task.objects.count()) == ("open", 30, 30)


def test_who_was_overtaken_stops_and_leaves_nothing(curator, dataset, monkeypatch):
    row, _ = ordered(curator, dataset, monkeypatch)
    whole = planned.open_labelling_round

    def overtaken(*args, made, **kwargs):
        PlannedRound.objects.update(attempt=7)
        return whole(*args, made=made, **kwargs)

    monkeypatch.setattr(planned, "open_labelling_round", overtaken)
    planned.make_planned(row.pk)
    assert not Round.objects.exists()
    assert not Task.objects.exists()
    assert PlannedRound.objects.get().state == "making"


def test_the_command_makes_what_was_ordered(curator, dataset, monkeypatch, run):
    row, _ = ordered(curator, dataset, monkeypatch)
    code, out, _ = run("open_round", dataset.name, "--planned", row.pk, "--json")
    assert code == 0
    assert '"tasks": 30' in out
    assert run("open_round", dataset.name, "--planned", row.pk)[0] == 0
    assert run("open_round", dataset.name, "--planned", 99)[0] == 2
    assert Round.objects.count() == 1


def test_a_round_that_cannot_be_made_says_why(curator, dataset, monkeypatch, run):
    row, _ = ordered(curator, dataset, monkeypatch)
    dataset.categories.update(retired=timezone.now())
    assert run("open_round", dataset.name, "--planned", row.pk)[0] == 1
    text = curator.get(reverse("round_planned", args=[dataset.name, row.pk])).content.decode()
    assert "has no categories" in text
    assert not Round.objects.exists()


def test_a_large_dataset_is_bounded_by_its_counters(curator, dataset, monkeypatch):
    monkeypatch.setattr(foresight, "COUNTED", 10)
    dataset.images_stored, dataset.groups_found, dataset.candidates_found = 33, 30, 44
    dataset.save()
    assert "30 pictures," in looked_at(curator, dataset)[0].content.decode()
    text = looked_at(curator, dataset, images="unlabelled")[0].content.decode()
    assert "At most 30 pictures," in text
    text = looked_at(curator, dataset, question="verify", category="cat", audit_rate="0")[0].content.decode()
    assert "At most 10 pictures," in text
    assert "20 to 50 votes," in text
    assert looked_at(curator, dataset, images="disputed")[0].status_code == 400
