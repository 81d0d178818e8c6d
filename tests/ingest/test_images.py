"""Finding images by what people call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.categories import CategoryRow
from ingest.decode import RejectedPicture
from ingest.models import Candidate, Dataset, DuplicateGroup, Image, Source
from ingest.services.datasets import create_dataset
from ingest.services.finding import url_key
from ingest.services.images import representatives, resolve_images, store_image
from ingest.storage import open_store
from tests.ingest.local_web import jpeg

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(settings, tmp_path: Path) -> Dataset:
    settings.STORAGE_URL = str(tmp_path / "store")
    return create_dataset("birds", [CategoryRow("owl", "Owl")])


def candidate(source: Source, url: str, image: Image | None) -> None:
    Candidate.objects.create(source=source, url=url, url_sha256=url_key(url), image=image, state=1)


def test_the_same_bytes_are_one_image(dataset: Dataset, settings) -> None:
    image, created = store_image(dataset, jpeg(1))
    again, created_again = store_image(dataset, jpeg(1))
    assert (created, created_again) == (True, False)
    assert image == again
    assert open_store(settings.STORAGE_URL).get(image.sha256) == jpeg(1)
    assert 0 <= image.phash_unsigned < 2**64
    with pytest.raises(RejectedPicture):
        store_image(dataset, b"nothing")
    dataset.refresh_from_db()
    assert dataset.images_stored == 1


def test_images_go_by_hash_url_and_path(dataset: Dataset) -> None:
    page = Source.objects.create(dataset=dataset, kind="page", location="http://h.example/g/")
    one = Source.objects.create(dataset=dataset, kind="folder", location="/photos/one")
    two = Source.objects.create(dataset=dataset, kind="folder", location="/photos/two")
    images = [store_image(dataset, jpeg(n))[0] for n in range(4)]
    candidate(page, "http://h.example/a.jpg", images[0])
    candidate(page, "http://h.example/failed.jpg", None)
    candidate(one, "x.jpg", images[1])
    candidate(two, "x.jpg", images[2])
    candidate(two, "deep/y.jpg", images[3])
    names = {
        images[0].sha256: images[0],
        "HTTP://h.example:80/a.jpg#top": images[0],
        "/photos/one/x.jpg": images[1],
        "/photos/two/x.jpg": images[2],
        "deep/y.jpg": images[3],
    }
    nowhere = ["http://h.example/failed.jpg", "0" * 64, "z.jpg", ""]
    resolved = resolve_images(dataset, [*names, "x.jpg", *nowhere])
    assert resolved.found == names
    assert resolved.ambiguous == ["x.jpg"]
    assert resolved.unknown == nowhere


def test_another_datasets_images_are_unknown(dataset: Dataset) -> None:
    image, _ = store_image(dataset, jpeg(1))
    other = create_dataset("fish", [CategoryRow("eel", "Eel")])
    assert resolve_images(other, [image.sha256]).unknown == [image.sha256]


def test_two_pictures_of_one_group_are_one_answer(dataset: Dataset) -> None:
    first, second, alone = (store_image(dataset, jpeg(n))[0] for n in range(3))
    group = DuplicateGroup.objects.create(dataset=dataset, representative=second, draw=0.5, size=2)
    for image in (first, second):
        image.group = group
        image.save()
    for location, image in (("/one", first), ("/two", second)):
        source = Source.objects.create(dataset=dataset, kind="folder", location=location)
        candidate(source, "x.jpg", image)
    assert resolve_images(dataset, ["x.jpg"]).found == {"x.jpg": first}
    stands = representatives([first, second, alone])
    assert stands == {first.pk: second, second.pk: second, alone.pk: alone}
