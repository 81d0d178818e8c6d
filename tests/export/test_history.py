"""Releases that follow each other: test never changes but by a new major version, and nothing moves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from export import layout
from export.services.publish import ReleaseFailed, publish_release
from ingest.models import DuplicateGroup, Image
from quality.models import Reference
from tests.export.world import World

pytestmark = pytest.mark.django_db


def splits_of(folder: Path) -> dict[str, str]:
    frame = pd.read_parquet(folder / layout.MANIFEST)
    return dict(zip(frame["image"], frame["split"], strict=True))


def merge(into: Image, other: Image, representative: Image) -> None:
    """Two groups turn out to show the same picture: the smaller draw wins, as dedup does it."""
    first, second = DuplicateGroup.objects.get(images=into), DuplicateGroup.objects.get(images=other)
    Image.objects.filter(group=second).update(group=first)
    first.draw = min(first.draw, second.draw)
    second.delete()
    first.representative = representative
    first.size = first.images.count()
    first.save()


def labelled(world: World, split: str, key: str = "owl") -> Image:
    image = world.add_image(split=split)
    world.vote(image, [key, key, key])
    if split == "test":
        world.refer(image, key)
    return image


def test_test_grows_in_a_new_major_version_only(world: World, tmp_path: Path) -> None:
    first = splits_of(publish_release(world.dataset, "1.0.0", tmp_path).folder)
    new = labelled(world, "test")
    made = publish_release(world.dataset, "1.1.0", tmp_path)
    assert splits_of(made.folder) == first
    assert made.release.counts["left_out"] == {"test_closed": 1}
    assert made.release.parent.version == "1.0.0"
    grown = splits_of(publish_release(world.dataset, "2.0.0", tmp_path).folder)
    assert grown == first | {new.sha256: "test"}


def test_merged_groups_take_the_most_protected_split(world: World, tmp_path: Path) -> None:
    images = {s: [labelled(world, s) for _ in range(2)] for s in ("train", "val", "test")}
    before = splits_of(publish_release(world.dataset, "1.0.0", tmp_path).folder)
    merge(images["train"][0], images["test"][0], representative=images["train"][0])
    merge(images["val"][0], images["train"][1], representative=images["train"][1])
    merge(images["test"][1], images["val"][1], representative=images["val"][1])
    after = splits_of(publish_release(world.dataset, "1.0.1", tmp_path).folder)
    gone = {images["train"][0].sha256, images["train"][1].sha256, images["val"][1].sha256}
    assert after == {image: split for image, split in before.items() if image not in gone}


def test_a_test_picture_stays_whatever_happens_to_its_reference(world: World, tmp_path: Path) -> None:
    image = labelled(world, "test", "owl")
    publish_release(world.dataset, "1.0.0", tmp_path)
    world.refer(image, "finch", expert="grace")
    made = publish_release(world.dataset, "1.0.1", tmp_path)
    frame = pd.read_parquet(made.folder / layout.MANIFEST).set_index("image")
    assert frame.loc[image.sha256, ["split", "category", "reference"]].tolist() == ["test", "owl", "owl"]
    assert any("the earlier category was kept for 1 test picture" in w for w in made.warnings)
    world.refer(image, "finch", expert="edsger")
    made = publish_release(world.dataset, "1.0.2", tmp_path)
    frame = pd.read_parquet(made.folder / layout.MANIFEST).set_index("image")
    assert frame.loc[image.sha256, "category"] == "finch"


def test_two_test_pictures_that_turn_out_the_same_both_stay(world: World, tmp_path: Path) -> None:
    a, b = labelled(world, "test"), labelled(world, "test")
    before = splits_of(publish_release(world.dataset, "1.0.0", tmp_path).folder)
    merge(a, b, representative=b)
    assert splits_of(publish_release(world.dataset, "1.1.0", tmp_path).folder) == before


def test_a_test_picture_that_would_be_lost_stops_the_release(world: World, tmp_path: Path) -> None:
    publish_release(world.dataset, "1.0.0", tmp_path)
    image = Image.objects.get(pk=Reference.objects.first().image_id)
    image.candidates.all().delete()
    with pytest.raises(ReleaseFailed, match="of earlier releases 1 test picture would"):
        publish_release(world.dataset, "1.1.0", tmp_path)
    assert not list(tmp_path.glob(".birds*"))
