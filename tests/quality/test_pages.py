from copy import deepcopy

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation_site.models import Membership, Round, User, Worker
from ingest.models import Candidate, Image, Takedown
from quality.models import Consensus, QCPass
from quality.services.consensus import aggregate_round
from quality.services.known import add_gold, add_references
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import add_image, always_right, crowd, make_dataset, right_with

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def made(kept_rows):
    """A round after its first pass; four workers, good and bad."""
    dataset = make_dataset(30)
    add_image(dataset, 100, group=Image.objects.get(dataset=dataset, phash=0).group)
    add_gold(dataset, [("0.jpg", "cat"), ("1.jpg", "dog")])
    add_references(dataset, [("4.jpg", "dog", "anna"), ("5.jpg", "eel", "anna")])
    # Gold often enough that each of the four meets both questions, whichever places the draw picks.
    plan = RoundPlan(votes_min=4, votes_max=6, gold_rate=0.4, audit_rate=0.0, title="First pass")
    round = open_labelling_round(dataset, "classify", plan=plan)
    crowd(round, [always_right, right_with(0.8, 1), right_with(0.6, 2), lambda *_: "cat"])
    aggregate_round(round)
    return round


@pytest.fixture
def round(db, made):
    return deepcopy(made)


@pytest.fixture
def dataset(round):
    return round.dataset


def person(client, dataset, role):
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def curator(client, dataset):
    return person(client, dataset, "curator")


def pages(dataset, round):
    sha = Image.objects.get(dataset=dataset, phash=0).sha256
    code = Worker.objects.filter(participations__round=round).order_by("id")[3].code
    return {
        "rounds": reverse("rounds", args=[dataset.name]),
        "round": reverse("round", args=[dataset.name, round.pk]),
        "review": reverse("review", args=[dataset.name]),
        "image": reverse("image", args=[dataset.name, sha]),
        "workers": reverse("workers", args=[dataset.name]),
        "worker": reverse("worker", args=[dataset.name, code]),
    }


def actions(dataset, round):
    code = Worker.objects.filter(participations__round=round).order_by("id")[3].code
    return {
        "settle": reverse("round_settle", args=[dataset.name, round.pk]),
        "close": reverse("round_close", args=[dataset.name, round.pk]),
        "suspend": reverse("worker_act", args=[dataset.name, code]),
    }


# --- who may see what ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        ("annotator", set()),
        ("researcher", {"rounds", "round", "review", "image"}),
        ("reviewer", {"rounds", "round", "review", "image", "workers", "worker"}),
        ("curator", {"rounds", "round", "review", "image", "workers", "worker"}),
    ],
)
def test_pages_open_by_role(client, dataset, round, role, sees):
    person(client, dataset, role)
    found = {name: client.get(url).status_code for name, url in pages(dataset, round).items()}
    assert found == {name: 200 if name in sees else 403 for name in found}


@pytest.mark.parametrize("role", ["annotator", "researcher"])
def test_only_curators_and_reviewers_act(client, dataset, round, role):
    person(client, dataset, role)
    for url in actions(dataset, round).values():
        assert client.post(url, {"action": "suspend", "reason": "x"}).status_code == 403
    assert Round.objects.get().state == "open"
    assert not Worker.objects.filter(suspended=True).exists()
    if role == "researcher":
        assert "Settle now" not in client.get(pages(dataset, round)["round"]).content.decode()


def test_without_a_log_in_one_is_sent_there(client, dataset, round):
    for url in pages(dataset, round).values():
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("login"))


def test_what_does_not_exist_is_404(curator, dataset, round):
    other = make_dataset(1, "other")
    for url in (
        reverse("rounds", args=["zoo"]),
        reverse("round", args=[dataset.name, 999]),
        reverse("round", args=[other.name, round.pk]),
        reverse("worker", args=[dataset.name, "nobody"]),
        reverse("image", args=[dataset.name, "0" * 64]),
    ):
        User.objects.filter(username="curator").update(is_superuser=True)
        assert curator.get(url).status_code == 404


def test_actions_need_post(curator, dataset, round):
    for url in actions(dataset, round).values():
        assert curator.get(url).status_code == 405


# --- what they show -----------------------------------------------------------------------------------


def test_rounds_and_round_say_how_far(curator, dataset, round):
    round.refresh_from_db()
    found = pages(dataset, round)
    text = curator.get(found["rounds"]).content.decode()
    assert f"{round.tasks_settled} of 30 tasks are settled by 120 votes" in text
    assert "First pass" in text
    text = curator.get(found["round"]).content.decode()
    assert "How far is this round?" in text
    assert f"{round.tasks_settled} of 30 tasks" in text
    assert "2 references" in text
    made = QCPass.objects.get()
    assert f'<td class="num">{made.votes_asked}</td>' in text
    assert "Settle now" in text


def test_review_shows_the_least_sure_first_and_no_gold(curator, dataset, round):
    held = Consensus.objects.filter(task__gold=False).order_by("confidence", "id")
    url = pages(dataset, round)["review"]
    first = curator.get(url)
    shown = [card["consensus"].pk for card in first.context["cards"]]
    assert shown == list(held.values_list("pk", flat=True)[:24])
    second = curator.get(f"{url}?{first.context['next']}")
    shown += [card["consensus"].pk for card in second.context["cards"]]
    assert shown == list(held.values_list("pk", flat=True))
    assert second.context["next"] == ""
    votes = dict(first.context["cards"][0]["votes"])
    assert sum(votes.values()) == 4


def test_review_filters_and_survives_nonsense(curator, dataset, round):
    url = pages(dataset, round)["review"]
    cats = curator.get(url, {"category": "cat", "round": round.pk}).context["cards"]
    assert cats
    assert {card["consensus"].label for card in cats} == {"cat"}
    assert "No consensus matches" in curator.get(url, {"category": "cow"}).content.decode()
    for query in ({"after": "x"}, {"after": "nan,1"}, {"after": f"0.5,{10**30}"}, {"round": "x"}):
        assert curator.get(url, query).status_code == 200


def test_workers_are_ranked_with_gold_and_flags(curator, dataset, round):
    context = curator.get(pages(dataset, round)["workers"]).context
    skills = [row["skill"].skill for row in context["rows"]]
    assert skills == sorted(skills, reverse=True)
    assert len(skills) == 4
    best, worst = context["rows"][0], context["rows"][-1]
    assert best["gold"] == (2, 2)
    assert worst["gold"] == (1, 2)
    assert [flag["flag"] for flag in worst["flags"]] == ["constant"]
    text = curator.get(pages(dataset, round)["workers"], {"flagged": "1"}).content.decode()
    assert worst["worker"].code in text
    assert best["worker"].code not in text


def test_worker_shows_confusions_and_can_be_suspended(curator, dataset, round):
    page, act = pages(dataset, round)["worker"], actions(dataset, round)["suspend"]
    context = curator.get(page).context
    assert context["votes"] == 30
    assert {answer for _, answer, _ in context["confusions"]} == {"cat"}
    assert {truth for truth, _, _ in context["confusions"]} == {"dog", "eel"}
    assert context["pace"]["median"] == 1.5
    assert "the 30 votes given here stay counted" in curator.get(page).content.decode()
    curator.post(act, {"action": "suspend", "reason": "constant"})
    assert Worker.objects.filter(suspended=True).count() == 1
    assert "Suspended: gets no more work." in curator.get(page).content.decode()
    curator.post(act, {"action": "restore", "reason": "talked"})
    assert not Worker.objects.filter(suspended=True).exists()


def test_image_tells_its_story_from_any_copy(curator, dataset, round):
    for number in (0, 100):
        sha = Image.objects.get(dataset=dataset, phash=number).sha256
        text = curator.get(reverse("image", args=[dataset.name, sha])).content.decode()
        assert "The consensus says Cat, 100% sure, from 4 votes." in text
        assert "0.jpg" in text
        assert "Gold: Cat" in text
        assert "One other file shows the same picture." in text
    sha = Image.objects.get(dataset=dataset, phash=4).sha256
    text = curator.get(reverse("image", args=[dataset.name, sha])).content.decode()
    assert "Reference: Dog, by anna." in text


def test_settle_now_runs_a_pass_and_close_closes(curator, dataset, round):
    done = actions(dataset, round)
    before = QCPass.objects.count()
    crowd(round, [always_right, always_right])
    answer = curator.post(done["settle"], follow=True)
    round.refresh_from_db()
    assert f"{round.tasks_settled} of 30 tasks are settled" in answer.content.decode()
    assert QCPass.objects.count() == before + 1
    curator.post(done["close"])
    assert Round.objects.get().state == "closed"
    assert "Close this round" not in curator.get(pages(dataset, round)["round"]).content.decode()


def test_empty_pages_say_what_to_do(client):
    dataset = make_dataset(3, "zebras")
    curator = person(client, dataset, "curator")
    assert "manage.py open_round zebras" in curator.get(reverse("rounds", args=["zebras"])).content.decode()
    assert "manage.py aggregate zebras" in curator.get(reverse("workers", args=["zebras"])).content.decode()
    assert "manage.py aggregate zebras" in curator.get(reverse("review", args=["zebras"])).content.decode()
    round = open_labelling_round(dataset, "classify")
    assert "No pass yet" in curator.get(reverse("round", args=["zebras", round.pk])).content.decode()


# --- at any size --------------------------------------------------------------------------------------


def queries(client, url):
    client.get(url)
    with CaptureQueriesContext(connection) as found:
        assert client.get(url).status_code == 200
    return len(found)


def test_the_number_of_queries_does_not_grow(curator, dataset, round):
    found = pages(dataset, round)
    before = {name: queries(curator, url) for name, url in found.items()}
    for number in range(200, 230):
        add_image(dataset, number)
    for _ in range(3):
        more = open_labelling_round(dataset, "classify")
        crowd(more, [always_right] * 3)
        aggregate_round(more)
    after = {name: queries(curator, url) for name, url in found.items() if name != "worker"}
    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 0)
    assert max(after.values()) <= 22


def test_image_tells_skills_passes_sources_and_copies(curator, dataset, round):
    image = Image.objects.get(dataset=dataset, phash=0)
    Candidate.objects.filter(image=image).update(
        page_url="https://photos.example/page", author="Ada", licence="CC-BY-4.0"
    )
    answer = curator.get(reverse("image", args=[dataset.name, image.sha256]))
    text = answer.content.decode()
    assert '<a href="https://photos.example/page" rel="nofollow noopener noreferrer">' in text
    assert "Ada" in text
    assert "CC-BY-4.0" in text
    assert "/pictures/cat" in text
    assert "bits apart" in text
    assert "No release holds this file." in text
    story = answer.context["stories"][0]
    assert all(skill is not None for _, skill in story["rows"])
    assert [row["votes"] for row in story["passes"]] == [4]


def test_a_dangerous_address_is_no_link(curator, dataset, round):
    image = Image.objects.get(dataset=dataset, phash=0)
    Candidate.objects.filter(image=image).update(url="javascript:alert(1)", page_url="javascript:alert(2)")
    text = curator.get(reverse("image", args=[dataset.name, image.sha256])).content.decode()
    assert 'href="javascript' not in text


def test_a_researcher_sees_no_workers_beside_votes(client, dataset, round):
    code = Worker.objects.filter(participations__round=round).order_by("id")[3].code
    url = pages(dataset, round)["image"]
    assert code not in person(client, dataset, "researcher").get(url).content.decode()
    assert code in person(client, dataset, "reviewer").get(url).content.decode()


def test_a_picture_that_was_taken_down_is_not_shown(curator, dataset, round):
    image = Image.objects.get(dataset=dataset, phash=1)
    Image.objects.filter(pk=image.pk).update(taken_down=timezone.now())
    Takedown.objects.create(dataset=dataset, sha256=image.sha256, reason="its author asked", by="root")
    text = curator.get(reverse("image", args=[dataset.name, image.sha256])).content.decode()
    assert "Reason: its author asked" in text
    assert "<img" not in text
    review = curator.get(reverse("review", args=[dataset.name]) + "?category=dog").content.decode()
    assert image.sha256 not in review
