"""What was taken down never comes back: same bytes, same address, and its like is pointed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingest.models import Candidate, Dataset, DuplicateGroup, Image, NearTakedown, Takedown
from ingest.services import outcomes
from ingest.services.dedup import group_duplicates
from ingest.services.images import store_image
from ingest.services.outcomes import tally
from ingest.services.takedown import TakenDown, block, discard_bytes
from ingest.storage import open_store
from tests.ingest.local_web import Answer, Web
from tests.ingest.test_dedup_service import data_of, put, scene
from tests.ingest.test_ingest_command import ends, ingest

pytestmark = pytest.mark.django_db
FORBIDDEN = ("forbidden", "taken_down")


@pytest.fixture
def dataset(tmp_path: Path, settings: Any) -> Dataset:
    settings.STORAGE_URL = str(tmp_path / "store")
    return Dataset.objects.create(name="birds", split_key="key", splits="60/20/20")


def kept(image: Image, settings: Any) -> bool:
    return open_store(settings.STORAGE_URL).has(image.sha256)


def down(image: Image) -> None:
    block(image.dataset, [image], [], [], "its author asked", "ada")
    discard_bytes([image.sha256])
    image.refresh_from_db()


def listed(web: Web, tmp_path: Path, *paths: str) -> Path:
    file = tmp_path / f"list{len(list(tmp_path.iterdir()))}.txt"
    file.write_text("".join(f"{web.url(path)}\n" for path in paths))
    return file


def test_the_same_address_and_the_same_bytes_are_refused(web, dataset, tmp_path, settings):
    for path, seed in (("/a.jpg", 1), ("/b.jpg", 1), ("/c.jpg", 2)):
        web.picture(path, seed)
    ingest(listed(web, tmp_path, "/a.jpg"), web=web)
    image = dataset.images.get()
    down(image)
    assert not kept(image, settings)
    web.hits.clear()
    report = ingest(listed(web, tmp_path, "/a.jpg", "/b.jpg", "/c.jpg"), web=web)
    assert report["forbidden"] == {"taken_down": 2}
    assert web.hits["/a.jpg"] == 0, "it is not even asked for"
    assert web.hits["/b.jpg"] == 1
    assert not kept(image, settings)
    assert ends(dataset)["b.jpg"] == FORBIDDEN
    assert ends(dataset)["c.jpg"] == ("stored", "")
    dataset.refresh_from_db()
    assert dataset.images_stored == 1


def test_a_takedown_during_a_crawl_holds_too(web, dataset, tmp_path, settings, monkeypatch):
    """The crawler began before the takedown: its picture is refused when it is written down."""
    web.picture("/a.jpg", 1)
    ingest(listed(web, tmp_path, "/a.jpg"), web=web)
    image = dataset.images.get()
    down(image)
    web.picture("/b.jpg", 1)
    monkeypatch.setattr("ingest.services.crawling.refused_hashes", lambda dataset: frozenset())
    report = ingest(listed(web, tmp_path, "/b.jpg"), web=web)
    assert report["forbidden"] == {"taken_down": 1}
    assert not kept(image, settings)
    assert dataset.images.count() == 1


def test_another_dataset_keeps_its_picture_and_the_bytes(dataset, settings):
    other = Dataset.objects.create(name="other")
    image, theirs = put(dataset, scene(1)), put(other, scene(1))
    down(image)
    assert kept(image, settings)
    theirs.refresh_from_db()
    assert theirs.taken_down is None
    assert put(other, scene(1)).pk == theirs.pk
    down(theirs)
    assert not kept(image, settings)


def test_what_nobody_holds_can_be_refused_in_advance(web, dataset, tmp_path):
    web.picture("/a.jpg", 1)
    block(dataset, [], [], [web.url("/a.jpg")], "never", "")
    report = ingest(listed(web, tmp_path, "/a.jpg"), web=web)
    assert report["forbidden"] == {"taken_down": 1}
    assert Takedown.objects.get().sha256 == ""


def test_trusted_pictures_are_refused_too(dataset):
    image = put(dataset, scene(1))
    down(image)
    with pytest.raises(TakenDown, match="birds"):
        store_image(dataset, data_of(scene(1)))


def test_its_like_is_pointed_out_and_others_are_not(dataset):
    image = put(dataset, scene(1))
    down(image)
    like, other = put(dataset, scene(1).resize((150, 150))), put(dataset, scene(2))
    near = NearTakedown.objects.get()
    assert (near.image, near.takedown.sha256) == (like, image.sha256)
    assert near.distance <= 10
    assert other.taken_down is None


def test_twice_changes_nothing(dataset):
    image = put(dataset, scene(1))
    down(image)
    first = image.taken_down
    down(image)
    dataset.refresh_from_db()
    assert (image.taken_down, dataset.images_stored, Takedown.objects.count()) == (first, 0, 1)


def test_another_file_stands_for_the_group_and_the_split_stays(dataset):
    big, small = put(dataset, scene(3).resize((220, 220))), put(dataset, scene(3))
    group_duplicates(dataset)
    group = DuplicateGroup.objects.get()
    draw = group.draw
    assert group.representative == big
    down(big)
    group.refresh_from_db()
    assert (group.representative, group.size, group.draw) == (small, 1, draw)
    down(small)
    group.refresh_from_db()
    dataset.refresh_from_db()
    assert (group.representative, group.size, group.draw) == (None, 0, draw)
    assert (dataset.groups_found, dataset.images_stored) == (0, 0)


def test_dedup_leaves_alone_what_was_taken_down(dataset):
    one = put(dataset, scene(4))
    down(one)
    put(dataset, scene(4).resize((150, 150)))
    summary = group_duplicates(dataset)
    assert (summary.new, summary.groups, summary.unreadable) == (1, 1, {})
    one.refresh_from_db()
    assert one.group is None


def test_the_page_of_sources_says_why(web, dataset, tmp_path, client, django_user_model):
    web.pages["/a.jpg"] = Answer(data_of(scene(1)))
    block(dataset, [], [], [web.url("/a.jpg")], "never", "")
    ingest(listed(web, tmp_path, "/a.jpg"), web=web)
    user = django_user_model.objects.create_user("ada")
    user.memberships.create(dataset=dataset, role="curator")
    client.force_login(user)
    text = client.get("/d/birds/sources/?state=forbidden&reason=taken_down").content.decode()
    assert "it was taken down, and is never to come back" in text
    assert tally(dataset.sources.all())[0].forbidden == {"taken_down": 1}
    assert Candidate.objects.get().reason == outcomes.TAKEN_DOWN
