"""The page of images: what it shows by filter and order, that pages join up, and that it stays bounded."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation_site.models import Membership, Round, Task, User
from ingest.models import Candidate, Category, DuplicateGroup, Image
from quality.models import Consensus
from quality.services import browsing
from quality.services.browsing import page_of_pictures
from quality.services.consensus import aggregate_round
from quality.services.image_filters import ORDERS, STATES, Wanted
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import add_image, always_right, crowd, make_dataset, truth_of

pytestmark = pytest.mark.django_db


def label(dataset):
    """A closed round that asked about each picture; consensus as a pass would have left it."""
    round = Round.objects.create(dataset=dataset, question="classify", tasks_total=30)
    states = [Task.State.SETTLED, Task.State.SETTLED, Task.State.EXHAUSTED, Task.State.OPEN]
    for place, image in enumerate(dataset.images.filter(represents__isnull=False).order_by("pk")):
        task = Task.objects.create(
            round=round, image=image, rank=place, state=states[place % 4], wanted=5, claimable=False
        )
        said = ("cat", "dog", "cat", "eel", "__none__")[place % 5]
        Consensus.objects.create(
            task=task,
            label=said,
            category=dataset.categories.filter(key=said).first(),
            confidence=round_to(0.4 + (place * 7 % 12) / 20),
            votes=3 + place % 4,
            method="majority",
            posterior={said: round_to(0.4 + (place * 7 % 12) / 20)},
        )


def round_to(number):
    return float(f"{number:.6f}")


@pytest.fixture(scope="module")
def made(kept_rows):
    dataset = make_dataset(30)
    group = Image.objects.get(dataset=dataset, phash=3).group
    add_image(dataset, 103, group=group)
    DuplicateGroup.objects.filter(pk=group.pk).update(size=2)
    label(dataset)
    for number in range(200, 206):  # came after the round: without a label
        add_image(dataset, number)
    dataset.images_stored = dataset.images.count()
    dataset.save()
    return dataset


@pytest.fixture
def dataset(db, made):
    return deepcopy(made)


@pytest.fixture
def curator(client, dataset):
    user = User.objects.create(username="curator")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    return client


@pytest.fixture(params=["few", "walk"])
def way(request, monkeypatch):
    """Both ways to a page give the same pictures in the same order."""
    if request.param == "walk":
        monkeypatch.setattr(browsing, "FEW", 0)
    return request.param


def every_page(dataset, wanted, size=7):
    found, after = [], None
    for _ in range(50):
        page = page_of_pictures(dataset, wanted, size, after)
        assert len(page.pictures) <= size
        found += page.pictures
        after = page.after
        if after is None:
            return found
    raise AssertionError("pages without end")


def test_newest_first_shows_every_picture_once(dataset):
    shown = every_page(dataset, Wanted())
    assert [s.id for s in shown] == sorted(dataset.images.values_list("pk", flat=True), reverse=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("category", ["cat", "dog"])
def test_category_of_the_consensus(dataset, way, order, category):
    wanted = Wanted(category=category, order=order)
    shown = every_page(dataset, wanted)
    said = Consensus.objects.filter(label=category)
    images = set(said.values_list("task__image", flat=True))
    if order == "newest":  # a copy carries its group's label
        copies = Image.objects.filter(group__images__in=images).values_list("pk", flat=True)
        images |= set(copies)
    assert len(shown) == len(images)
    assert {s.id for s in shown} == images
    keys = [s.place for s in shown]
    assert keys == sorted(keys, reverse=order != "sure")


def test_least_sure_and_most_votes_show_each_labelled_picture_once(dataset, way):
    asked = set(Consensus.objects.values_list("task__image", flat=True))
    for order in ("sure", "votes"):
        shown = every_page(dataset, Wanted(order=order))
        assert len(shown) == len(asked)
        assert {s.id for s in shown} == asked
    sure = [s.confidence for s in every_page(dataset, Wanted(order="sure"))]
    assert sure == sorted(sure)


def test_confidence_range(dataset, way):
    for order in ORDERS:
        shown = every_page(dataset, Wanted(least=0.6, most=0.9, order=order))
        assert all(0.6 <= s.confidence <= 0.9 for s in shown)
        held = Consensus.objects.filter(confidence__gte=0.6, confidence__lte=0.9)
        assert {s.id for s in shown} >= set(held.values_list("task__image", flat=True))


def test_states(dataset, way):
    found = {state: {s.id for s in every_page(dataset, Wanted(state=state))} for state in STATES}
    assert set().union(*found.values()) == set(dataset.images.values_list("pk", flat=True))
    assert sum(map(len, found.values())) == dataset.images.count()
    assert found["unlabelled"] == set(dataset.images.filter(phash__gte=200).values_list("pk", flat=True))
    settled = Task.objects.filter(state=Task.State.SETTLED).values_list("image", flat=True)
    assert found["settled"] >= set(settled)
    assert found["disputed"] >= set(
        Task.objects.filter(state=Task.State.EXHAUSTED).values_list("image", flat=True)
    )


def test_source_licence_and_group(dataset, way):
    source = dataset.sources.first()
    for order in ORDERS:
        shown = every_page(dataset, Wanted(source=source.pk, order=order))
        of_source = set(Candidate.objects.filter(source=source).values_list("image", flat=True))
        assert {s.id for s in shown} <= of_source
        if order == "newest":
            assert {s.id for s in shown} == of_source
    some = dataset.images.get(phash=7)
    some.candidates.update(licence="CC-BY-4.0")
    other = dataset.images.get(phash=8)
    other.candidates.update(licence="")
    assert [s.id for s in every_page(dataset, Wanted(licence="CC-BY-4.0"))] == [some.pk]
    assert [s.id for s in every_page(dataset, Wanted(licence="-"))] == [other.pk]
    group = dataset.images.get(phash=3).group
    assert {s.id for s in every_page(dataset, Wanted(group=group.pk))} == {i.pk for i in group.images.all()}
    once = every_page(dataset, Wanted(group=group.pk, once=True))
    assert [s.id for s in once] == [group.representative_id]


def test_a_verify_round_counts_by_the_category_it_proposed(dataset):
    round = open_labelling_round(dataset, "verify", plan=RoundPlan(votes_min=1, votes_max=1, audit_rate=0))
    crowd(round, [always_right])
    aggregate_round(round)
    shown = every_page(dataset, Wanted(category="dog", order="sure"))
    truly = {i.pk for i in dataset.images.all() if truth_of(i) == "dog" and i.phash != 103}
    assert {s.id for s in shown} == truly


def test_what_was_taken_down_is_not_shown(dataset, way):
    gone = dataset.images.get(phash=5)
    Image.objects.filter(pk=gone.pk).update(taken_down=datetime.now(UTC))
    for order in ORDERS:
        assert gone.pk not in {s.id for s in every_page(dataset, Wanted(order=order))}


def test_a_merged_category_shows_what_was_labelled_before(dataset):
    cat, dog = (Category.objects.get(dataset=dataset, key=key) for key in ("cat", "dog"))
    dogs = len(every_page(dataset, Wanted(category="dog", order="sure")))
    cats = len(every_page(dataset, Wanted(category="cat", order="sure")))
    dog.retired, dog.merged_into = datetime.now(UTC), cat
    dog.save()
    assert len(every_page(dataset, Wanted(category="cat", order="sure"))) == cats + dogs


def test_a_page_looks_at_so_many_pictures_and_then_goes_on(dataset, monkeypatch):
    monkeypatch.setattr(browsing, "FEW", 0)
    monkeypatch.setattr(browsing, "LOOKED_AT", 10)
    newest = dataset.images.order_by("-pk")[0]
    Candidate.objects.exclude(image=newest).update(licence="other")
    oldest = dataset.images.order_by("pk")[0]
    oldest.candidates.update(licence="rare")
    page = page_of_pictures(dataset, Wanted(licence="rare"), 5)
    assert (page.pictures, page.after is None) == ([], False)
    assert page.looked_at <= 20
    assert [s.id for s in every_page(dataset, Wanted(licence="rare"), 5)] == [oldest.pk]


def test_queries_do_not_grow_with_the_dataset(dataset, curator):
    def asked(query):
        with CaptureQueriesContext(connection) as seen:
            assert curator.get(reverse("images", args=[dataset.name]) + query).status_code == 200
        return len(seen)

    for number in range(300, 320):
        add_image(dataset, number)
    queries = ("?n=10", "?n=10&order=sure", "?n=10&category=cat", "?n=10&state=settled")
    before = [asked(query) for query in queries]
    assert max(before) < 20
    for number in range(400, 440):
        add_image(dataset, number)
    assert all(asked(query) <= most + 1 for query, most in zip(queries, before, strict=True))


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_and_its_next_page(dataset, curator):
    url = reverse("images", args=[dataset.name])
    page = curator.get(url + "?n=10")
    text = page.content.decode()
    assert "It holds 37 pictures" in text
    assert text.count('<figure class="thumb">') == 10
    assert f"{page.context['next']}".startswith("n=10&after=")
    second = curator.get(f"{url}?{page.context['next']}").content.decode()
    assert second.count('<figure class="thumb">') == 10
    assert "Back to the first pictures" in second
    assert "split" not in text.lower()


def test_filters_stay_in_the_address(dataset, curator):
    page = curator.get(reverse("images", args=[dataset.name]), {"category": "cat", "order": "sure", "n": 2})
    assert "category=cat&order=sure&n=2&after=" in page.context["next"]
    assert '<option value="cat" selected>' in page.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "category=unicorn", "least=x", "least=200", "least=nan", "least=90&most=10", "source=999", "source=x",
        "source=9223372036854775808", "group=0", "state=odd", "order=odd", "n=0", "n=9999", "n=x", "after=x",
        "after=nan,1", "category=%00", "licence=%00",
    ],
)  # fmt: skip
def test_bad_filters_get_one_sentence(dataset, curator, query):
    answer = curator.get(reverse("images", args=[dataset.name]) + "?" + query)
    assert answer.status_code == 400
    assert answer.content.decode().count('role="alert"') == 1


@pytest.mark.parametrize(
    ("role", "status"), [("annotator", 403), ("researcher", 200), ("reviewer", 200), ("curator", 200)]
)
def test_who_may_see_it(client, dataset, role, status):
    user = User.objects.create(username="somebody")
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    assert client.get(reverse("images", args=[dataset.name])).status_code == status


def test_another_datasets_pictures_and_sources_are_not_shown(dataset, curator):
    other = make_dataset(3, "other")
    page = curator.get(reverse("images", args=[dataset.name]) + f"?source={other.sources.first().pk}")
    assert page.status_code == 400
    mine = {card["image"].id for card in curator.get(reverse("images", args=[dataset.name])).context["cards"]}
    assert mine.isdisjoint(other.images.values_list("pk", flat=True))
