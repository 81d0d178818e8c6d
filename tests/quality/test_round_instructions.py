"""What people are told: a text and example pictures, each change a version of its own."""

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation_site.models import Instructions, Membership, User
from annotation_site.services.claims import claim_batch
from annotation_site.services.instructions import Told, told
from annotation_site.services.rounds import close_round
from quality.services.consensus import aggregate_round
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import add_image, always_right, crowd, make_dataset, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset():
    return make_dataset(15)


@pytest.fixture
def round(dataset):
    return open_labelling_round(
        dataset, "classify", plan=RoundPlan(instructions="Look twice.", audit_rate=0.0)
    )


@pytest.fixture
def curator(client, dataset):
    user = User.objects.create(username="curator")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    return client


def at(round, name="round_instructions"):
    return reverse(name, args=[round.dataset.name, round.pk])


def picture(dataset, number):
    return dataset.images.get(phash=number)


def form(round, text, *rows, **more):
    """What the page's form sends: `rows` are (category, sha, kind, note)."""
    sent = {"text": text, "read": told(round).version, "category": "cat"} | more
    for n, row in enumerate(rows):
        sent |= {
            f"{name}-{n}": value for name, value in zip(("category", "sha", "kind", "note"), row, strict=True)
        }
    return sent


def test_a_change_is_a_new_version_and_the_old_one_stays(curator, dataset, round):
    cat, dog = picture(dataset, 0), picture(dataset, 1)
    rows = [("cat", dog.sha256, "bad", "a dog's nose"), ("cat", cat.sha256, "good", "whiskers")]
    answer = curator.post(at(round), form(round, "Look\r\nthree times.", *rows), follow=True)
    assert "(version 2)" in answer.content.decode()
    round.refresh_from_db()
    assert told(round) == Told(
        "Look\nthree times.", 2,
        {"cat": [(cat.sha256, True, "whiskers"), (dog.sha256, False, "a dog's nose")]},
    )  # fmt: skip
    assert told(round, 1) == Told("Look twice.", 1, {})
    batch = claim_batch(make_worker("w"), round)
    assert batch.assignment.instructions_version == 2
    text = curator.get(at(round)).content.decode()
    assert cat.sha256 in text
    assert "a dog&#x27;s nose" in text


def test_saving_the_same_again_is_no_version(curator, dataset, round):
    rows = [("cat", picture(dataset, 0).sha256, "good", ""), ("dog", picture(dataset, 1).sha256, "good", "")]
    for _ in range(2):
        curator.post(at(round), form(round, "Look.", *rows))
        round.refresh_from_db()
        assert round.instructions_version == 2
    curator.post(at(round), form(round, "Look.", rows[0], (*rows[1][:2], "", "")))
    round.refresh_from_db()
    assert list(told(round).examples) == ["cat"]
    assert round.instructions_version == 3
    assert Instructions.objects.filter(round=round).count() == 3


def test_two_people_at_once_lose_nothing(curator, round):
    first = form(round, "Mine.")
    curator.post(at(round), form(round, "Theirs."))
    answer = curator.post(at(round), first)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert "Somebody else changed the instructions meanwhile" in text
    assert "Mine." in text  # what was typed is not taken away
    round.refresh_from_db()
    assert told(round).text == "Theirs."


def barred(dataset, round):
    """Pictures that nobody may be shown, by what they are."""
    test, gold, gone = (picture(dataset, n) for n in (3, 9, 12))
    dataset.groups.filter(pk=test.group_id).update(draw=0.0)
    twin = add_image(dataset, 30, group=test.group)
    round.tasks.filter(image=gold).update(gold=True)
    golden = add_image(dataset, 33, group=gold.group)
    dataset.images.filter(pk=gone.pk).update(taken_down=timezone.now())
    return {"test split": [test, twin], "gold in this round": [gold, golden], "taken down": [gone]}


@pytest.mark.parametrize("what", ["test split", "gold in this round", "taken down"])
def test_what_must_not_be_shown_is_refused_and_never_offered(curator, dataset, round, what, caplog):
    pictures = barred(dataset, round)[what]
    add_gold(dataset, [(picture(dataset, 0).sha256, "cat"), *[(p.sha256, "cat") for p in pictures[:1]]])
    for image in pictures:
        answer = curator.post(at(round), form(round, "Look.", ("cat", image.sha256, "good", "")))
        assert answer.status_code == 400
        assert what in answer.content.decode()
    text = curator.get(f"{at(round)}?category=cat").content.decode()
    assert picture(dataset, 0).sha256 in text  # gold, and not of this round
    assert not any(image.sha256 in text for image in pictures)
    assert not Instructions.objects.filter(round=round, version=2).exists()
    assert f"instructions of round {round.pk}" in caplog.text


def test_an_example_that_is_taken_down_later_is_shown_no_more(curator, dataset, round):
    image = picture(dataset, 0)
    curator.post(at(round), form(round, "Look.", ("cat", image.sha256, "good", "")))
    round.refresh_from_db()
    dataset.images.filter(pk=image.pk).update(taken_down=timezone.now())
    assert told(round).examples == {}


@pytest.mark.parametrize(
    ("category", "sha", "note"),
    [("fox", None, ""), ("cat", "0" * 64, ""), ("cat", "<script>alert(1)</script>", ""), ("", None, ""),
     ("cat", None, "x" * 201), ("cat", "a\0b", ""), ("cat", None, "a\0b")],
)  # fmt: skip
def test_bad_rows_change_nothing(curator, dataset, round, category, sha, note):
    sent = form(round, "Look.", (category, sha or picture(dataset, 0).sha256, "good", note))
    answer = curator.post(at(round), sent)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.content.decode()
    assert told(round).text == "Look twice."


@pytest.mark.parametrize(
    "more", [{"text": "x" * 20_001}, {"text": "a\0b"}, {"read": "x"}, {"read": ""}, {"read": "9" * 40}]
)
def test_bad_texts_and_versions_change_nothing(curator, round, more):
    answer = curator.post(at(round), form(round, "Look.") | more)
    assert answer.status_code in (400, 409)
    assert told(round).text == "Look twice."


def test_too_many_or_the_same_twice(curator, dataset, round):
    shas = list(dataset.images.values_list("sha256", flat=True))
    many = [("cat", sha, "good", "") for sha in shas[:13]]
    assert curator.post(at(round), form(round, "", *many)).status_code == 400
    assert curator.post(at(round), form(round, "", many[0], many[0])).status_code == 400


def test_settled_pictures_are_offered_by_what_they_show_and_what_they_were_taken_for(curator, dataset):
    first = open_labelling_round(
        dataset, "classify", plan=RoundPlan(votes_min=2, votes_max=4, audit_rate=0.0)
    )
    odd = picture(dataset, 3)  # found as a cat; everybody says dog

    def say(image, proposed):
        return "dog" if image == odd else always_right(image, proposed)

    crowd(first, [say] * 4)
    aggregate_round(first)
    text = curator.get(f"{at(first)}?category=cat").content.decode()
    shows, taken_for = text.split("taken for it and are not")
    assert picture(dataset, 0).sha256 in shows
    assert odd.sha256 in taken_for
    assert picture(dataset, 1).sha256 not in text
    assert curator.get(f"{at(first)}?category=nonsense").status_code == 200


def test_a_verify_round_offers_by_its_answers(curator, dataset):
    verify = open_labelling_round(dataset, "verify", plan=RoundPlan(votes_min=2, votes_max=4, audit_rate=0.0))
    odd = picture(dataset, 4)  # found as a dog
    crowd(verify, [lambda image, proposed: "no" if image == odd else "yes"] * 4)
    aggregate_round(verify)
    shows, taken_for = (
        curator.get(f"{at(verify)}?category=dog").content.decode().split("taken for it and are not")
    )
    assert picture(dataset, 1).sha256 in shows
    assert odd.sha256 in taken_for
    rows = [("dog", odd.sha256, "bad", "not one")]
    curator.post(at(verify), form(verify, "", *rows))
    verify.refresh_from_db()
    assert told(verify).examples == {"dog": [(odd.sha256, False, "not one")]}


def test_a_closed_round_tells_nobody_anything(curator, round):
    close_round(round)
    assert curator.post(at(round), form(round, "Late.")).status_code == 409
    assert told(round).text == "Look twice."


def test_the_worker_sees_the_examples(curator, dataset, round):
    image = picture(dataset, 0)
    curator.post(at(round), form(round, "Look.", ("cat", image.sha256, "good", "whiskers")))
    text = curator.get(at(round, "round_preview")).content.decode()
    assert "whiskers" in text
