"""Taking a picture down: what goes, what is kept, what is said, and that no later release has it."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation_site.models import Membership, Round, Task, User, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.votes import Answer, record_votes
from export import layout
from export.checks import check_release
from export.models import ReleaseImage, Withdrawal
from export.services import image_takedown
from export.services.browsing import shown_image
from export.services.image_takedown import foresee, take_picture_down
from export.services.publish import publish_release
from export.services.takedown import take_down
from ingest.models import Dataset, Image, NearTakedown, Takedown
from ingest.services.duplicates import measure
from ingest.storage import open_store
from quality.models import Gold
from quality.services.choosing import RoundPlan, choose_tasks
from tests.export.test_history import labelled
from tests.export.world import World, picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled(world: World) -> World:
    for split in ("train", "test"):
        labelled(world, split)
    return world


@pytest.fixture
def released(filled: World, tmp_path: Path) -> World:
    publish_release(filled.dataset, "1.0.0", tmp_path)
    return filled


@pytest.fixture
def curator(world: World, client: Client) -> Client:
    return person(client, world.dataset, "curator")


def person(client: Client, dataset: Dataset, role: str) -> Client:
    user = User.objects.create(username=f"a-{role}")
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    return client


def one(split: str) -> Image:
    rows = Image.objects.filter(release_images__split=layout.SPLITS.index(split))
    return rows.order_by("pk").last()


def down(dataset: Dataset, *images: Image, reason: str = "its author asked") -> None:
    take_picture_down(foresee(dataset, hashes=[i.sha256 for i in images]), reason, "ada")


def command(*words: object, **options: Any) -> str:
    out = io.StringIO()
    call_command("takedown", *map(str, words), stdout=out, **options)
    return out.getvalue()


def held_by(folder: Path) -> set[str]:
    return set(pd.read_parquet(folder / layout.MANIFEST)["image"])


# --- what goes, what is kept ------------------------------------------------------------------------------


def test_tasks_are_withdrawn_and_votes_are_kept(filled: World, settings: Any) -> None:
    image = Image.objects.filter(tasks__votes__gt=0).first()
    gold = Gold.objects.create(dataset=filled.dataset, image=image)
    votes = Vote.objects.count()
    url = image.candidates.get().url
    down(filled.dataset, image)
    image.refresh_from_db()
    gold.refresh_from_db()
    assert image.taken_down is not None
    assert gold.retired is not None
    assert set(image.tasks.values_list("state", "claimable")) == {(Task.State.WITHDRAWN, False)}
    assert Vote.objects.count() == votes
    assert not open_store(settings.STORAGE_URL).has(image.sha256)
    entry = Takedown.objects.get()
    assert (entry.sha256, entry.phash, entry.by) == (image.sha256, image.phash, "ada")
    assert entry.urls.get().url == url


def test_counters_of_the_round_follow(filled: World) -> None:
    tasks = list(filled.round.tasks.order_by("pk"))
    filled.round.tasks_total = len(tasks)
    filled.round.tasks_settled = 1
    filled.round.save()
    Task.objects.filter(pk=tasks[0].pk).update(state=Task.State.SETTLED)
    down(filled.dataset, tasks[0].image, tasks[1].image)
    filled.round.refresh_from_db()
    assert (filled.round.tasks_total, filled.round.tasks_settled) == (len(tasks) - 2, 0)


def test_an_answer_under_way_is_stored_and_counts_for_nothing(world: World) -> None:
    image = world.add_image()
    round = Round.objects.create(dataset=world.dataset, question="classify", tasks_total=1)
    task = Task.objects.create(round=round, image=image, rank=0, wanted=3)
    batch = claim_batch(world.workers[0], round)
    assert batch is not None
    down(world.dataset, image)
    told = record_votes(world.workers[0], batch.assignment.pk, "k", [Answer(task.pk, "owl", 1.0)])
    assert told == [(task.pk, "stored")]
    assert claim_batch(world.workers[1], round) is None
    task.refresh_from_db()
    assert task.state == Task.State.WITHDRAWN


def test_copies_go_too_unless_told_otherwise(world: World) -> None:
    first = world.add_image()
    copy = world.add_image(group=first.group)
    measure(first.group)
    only = foresee(world.dataset, hashes=[first.sha256], copies=False)
    assert ([i.pk for i in only.images], only.others) == ([first.pk], 1)
    both = foresee(world.dataset, hashes=[first.sha256])
    assert ([i.pk for i in both.images], both.copies) == ([first.pk, copy.pk], 1)
    take_picture_down(only, "asked", "")
    first.group.refresh_from_db()
    assert first.group.representative == copy


def test_no_round_asks_about_it_again(filled: World) -> None:
    images = list(Image.objects.order_by("pk"))
    down(filled.dataset, images[0])
    chosen = choose_tasks(filled.dataset, "classify", plan=RoundPlan())
    assert {pk for pk, _ in chosen.pairs} == {i.pk for i in images[1:]}
    named = choose_tasks(filled.dataset, "classify", images=[i.sha256 for i in images[:3]], plan=RoundPlan())
    assert {pk for pk, _ in named.pairs} == {i.pk for i in images[1:3]}


def test_killed_in_the_middle_the_second_run_finishes(filled: World, settings: Any, monkeypatch: Any) -> None:
    image = Image.objects.filter(tasks__votes__gt=0).first()

    class Killed(BaseException):
        pass

    def dies(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(image_takedown, "withdraw_tasks", dies)
        with pytest.raises(Killed):
            down(filled.dataset, image)
    assert open_store(settings.STORAGE_URL).has(image.sha256)
    down(filled.dataset, image)
    assert not open_store(settings.STORAGE_URL).has(image.sha256)
    assert not image.tasks.exclude(state=Task.State.WITHDRAWN).exists()
    assert Takedown.objects.count() == 1


# --- releases ---------------------------------------------------------------------------------------------


def test_no_later_release_holds_it_and_test_may_lose_it(released: World, tmp_path: Path) -> None:
    gone = [one("train"), one("test")]
    down(released.dataset, *gone)
    made = publish_release(released.dataset, "1.1.0", tmp_path)
    assert check_release(made.folder) == []
    assert held_by(made.folder).isdisjoint(i.sha256 for i in gone)
    rows = Withdrawal.objects.order_by("image_id")
    assert [(r.image, r.release, r.reason) for r in rows] == [
        (i, made.release, "its author asked") for i in sorted(gone, key=lambda i: i.pk)
    ]
    again = publish_release(released.dataset, "1.2.0", tmp_path)
    assert held_by(again.folder).isdisjoint(i.sha256 for i in gone)


def test_the_command_that_is_named_works_as_it_stands(released: World, tmp_path: Path) -> None:
    gone = one("test")
    foreseen = foresee(released.dataset, hashes=[gone.sha256])
    take_picture_down(foreseen, "it's hers", "")
    (line,) = foreseen.commands("it's hers")
    python, manage, *words = shlex.split(line)
    assert (python, manage, words[0]) == ("python", "manage.py", "takedown_release")
    call_command(*words, stdout=io.StringIO())
    made = released.dataset.releases.order_by("-id").first()
    assert made.version == "1.0.1"
    assert not ReleaseImage.objects.filter(release=made, image=gone).exists()
    assert Withdrawal.objects.get().reason == "it's hers"


def test_a_copy_of_it_takes_no_place_in_a_release(filled: World, tmp_path: Path) -> None:
    image = Image.objects.filter(tasks__votes__gt=0).first()
    filled.add_image(group=image.group)
    take_picture_down(foresee(filled.dataset, hashes=[image.sha256], copies=False), "asked", "")
    made = publish_release(filled.dataset, "1.0.0", tmp_path)
    assert held_by(made.folder).isdisjoint(image.group.images.values_list("sha256", flat=True))


def test_public_pages_of_releases_that_hold_it_do_not_show_it(released: World) -> None:
    image, release = one("train"), released.dataset.releases.get()
    assert shown_image(release, image.sha256) is not None
    down(released.dataset, image)
    assert shown_image(release, image.sha256) is None


def test_takedown_release_still_finds_it(released: World, tmp_path: Path) -> None:
    gone = one("train")
    down(released.dataset, gone)
    made = take_down(released.dataset, "1.0.1", [gone.sha256], "asked", tmp_path)
    assert gone.sha256 not in held_by(made.folder)


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_by_url(released: World) -> None:
    gone = one("test")
    url = gone.candidates.get().url
    told = json.loads(command("birds", "--url", url, "--reason", "asked", json=True, dry_run=True))
    assert told["images"] == [gone.sha256]
    assert told["releases"] == ["birds-1.0.0"]
    assert told["commands"][0].startswith(f"python manage.py takedown_release birds 1.0.1 {gone.sha256}")
    assert not Takedown.objects.exists()
    text = command("birds", "--url", url, "--reason", "asked")
    assert "birds: 1 file taken down." in text
    assert "Held by birds-1.0.0. Next:" in text
    gone.refresh_from_db()
    assert gone.taken_down is not None


def test_what_is_not_there_is_refused_in_advance(world: World) -> None:
    text = command("birds", "--image", "ab" * 32, "--url", "https://x.example/a.jpg", "--reason", "asked")
    assert text.count("later crawls refuse it") == 2
    assert Takedown.objects.count() == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name from 1 to"),
        (["--image", "abc"], "no SHA-256"),
        (["--url", "nonsense"], "no address"),
        (["--url", "file:///etc/passwd"], "no address"),
        (["--image", "ab" * 32, "--reason", "  "], "say why"),
        (["--image", "ab" * 32, "--reason", "x" * 501], "say why"),
    ],
)
def test_unusable_arguments(world: World, words: list[str], says: str) -> None:
    if "--reason" not in words:
        words = [*words, "--reason", "asked"]
    with pytest.raises(CommandError, match=says) as refused:
        command("birds", *words)
    assert refused.value.returncode == 2
    assert not Takedown.objects.exists()


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_says_in_numbers_what_it_does_and_asks_once(released: World, curator: Client) -> None:
    gone = one("train")
    page = curator.get(f"/d/birds/takedown/?image={gone.sha256}").content.decode()
    assert "This takes 1 file down, for good." in page
    assert "1 task is withdrawn" in page
    assert "/d/birds/releases/1.0.0" in page
    assert not Takedown.objects.exists()
    body = {"image": gone.sha256, "url": "", "reason": "its author asked"}
    done = curator.post("/d/birds/takedown/", body).content.decode()
    assert "takedown_release birds 1.0.1" in done
    assert "1 file was taken down." in done
    assert Takedown.objects.get().by == "a-curator"
    assert curator.get(f"/images/birds/{gone.sha256}/thumb").status_code == 404


def test_pictures_that_are_near_wait_for_a_person(world: World, curator: Client) -> None:
    gone, like = world.add_image(), world.add_image(picture(77))
    down(world.dataset, gone)
    near = NearTakedown.objects.create(takedown=Takedown.objects.get(), image=like, distance=4)
    assert "4 bits from" in curator.get("/d/birds/takedown/").content.decode()
    curator.post(f"/d/birds/takedown/{near.pk}/keep")
    near.refresh_from_db()
    assert near.kept_by == "a-curator"
    assert "4 bits from" not in curator.get("/d/birds/takedown/").content.decode()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image": "abc", "reason": "x"},
        {"url": "javascript:1", "reason": "x"},
        {"url": "https://x.example/\0", "reason": "\0"},
        {"image": "ab" * 32},
        {"image": "ab" * 32, "reason": "x\0"},
    ],
)
def test_bad_input_does_nothing_and_says_why(world: World, curator: Client, body: dict[str, str]) -> None:
    answer = curator.post("/d/birds/takedown/", body)
    assert answer.status_code == 400
    assert answer.content.decode().count('role="alert"') == 1
    assert not Takedown.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("annotator", 403), ("researcher", 403), ("reviewer", 403)])
def test_only_curators(world: World, client: Client, role: str, status: int) -> None:
    person(client, world.dataset, role)
    assert client.get("/d/birds/takedown/").status_code == status
    assert client.post("/d/birds/takedown/", {"image": "ab" * 32, "reason": "x"}).status_code == status
    assert not Takedown.objects.exists()


def test_another_datasets_pictures_are_left_alone(world: World, curator: Client) -> None:
    mine = world.add_image()
    other = Dataset.objects.create(name="other")
    theirs = Image.objects.create(
        dataset=other, sha256=mine.sha256, phash=1, hash_version=1, format="jpeg", width=9, height=9, bytes=9
    )
    down(world.dataset, mine)
    theirs.refresh_from_db()
    assert theirs.taken_down is None


def test_thumbnails_are_gone(world: World, curator: Client, settings: Any) -> None:
    image = world.add_image()
    thumb = f"/images/birds/{image.sha256}/thumb"
    assert curator.get(thumb).status_code == 200
    files = [p for p in (settings.DATA_DIR / "thumbs").rglob("*") if p.is_file()]
    assert files
    down(world.dataset, image)
    assert not any(p.exists() for p in files)
    assert curator.get(thumb).status_code == 404
    assert "Reason: its author asked" in curator.get(f"/d/birds/images/{image.sha256}").content.decode()
