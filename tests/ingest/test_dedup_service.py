"""Groups in the database: what joins, who represents, which split wins, and what a second run does."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from ingest.models import Dataset, DuplicateGroup, Image
from ingest.services.dedup import group_duplicates
from ingest.services.images import store_image
from ingest.splits import draw

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(tmp_path, settings):
    settings.STORAGE_URL = str(tmp_path / "store")
    return Dataset.objects.create(name="d", split_key="key", splits="60/20/20")


def scene(seed: int, side: int = 192) -> Picture.Image:
    """A picture with structure at every scale, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Picture.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((side, side)), float
        )
        for n in (3, 6, 12, 48)
    ]
    mixed = sum(w * layer for w, layer in zip((0.4, 0.3, 0.2, 0.1), layers, strict=True))
    return Picture.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def data_of(picture: Picture.Image, quality: int = 92) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def put(dataset, picture, quality=92) -> Image:
    return store_image(dataset, data_of(picture, quality))[0]


def test_copies_join_and_different_pictures_stay_apart(dataset):
    originals = [put(dataset, scene(i)) for i in range(6)]
    smaller = put(dataset, scene(0).resize((120, 120)))
    worse = put(dataset, scene(1), quality=35)
    summary = group_duplicates(dataset)
    home = dict(dataset.images.values_list("pk", "group"))
    assert home[smaller.pk] == home[originals[0].pk]
    assert home[worse.pk] == home[originals[1].pk]
    assert len(set(home.values())) == 6
    assert (summary.new, summary.groups, summary.copies) == (8, 6, 2)
    assert dataset.groups_found == DuplicateGroup.objects.count() == 6


def test_the_largest_represents_and_stays_when_a_larger_one_comes(dataset):
    small, large = put(dataset, scene(0, 150)), put(dataset, scene(0, 150).resize((220, 220)))
    group_duplicates(dataset)
    group = DuplicateGroup.objects.get()
    assert group.representative == large
    before = group.draw
    put(dataset, scene(0, 150).resize((300, 300)))
    summary = group_duplicates(dataset)
    group.refresh_from_db()
    assert (group.representative, group.draw, group.size) == (large, before, 3)
    assert (summary.new, summary.groups) == (1, 1)
    assert small.sha256 != large.sha256


def test_a_second_run_has_nothing_to_do(dataset):
    put(dataset, scene(0))
    group_duplicates(dataset)
    rows = list(Image.objects.order_by("pk").values())
    summary = group_duplicates(dataset)
    assert summary.new == 0
    assert list(Image.objects.order_by("pk").values()) == rows


def test_where_groups_meet_the_most_protected_split_wins(dataset):
    """Two groups of the same picture, made apart; a third copy brings them together."""
    copies = [put(dataset, scene(7)), put(dataset, scene(7).resize((150, 150)))]
    groups = []
    for image, drawn in zip(copies, (0.9, 0.1), strict=True):
        group = DuplicateGroup.objects.create(dataset=dataset, representative=image, draw=drawn)
        image.group = group
        image.save()
        groups.append(group)
    Dataset.objects.update(groups_found=2)
    put(dataset, scene(7).resize((130, 130)))
    summary = group_duplicates(dataset)
    survivor = DuplicateGroup.objects.get()
    assert (survivor.pk, survivor.draw, survivor.split) == (groups[1].pk, 0.1, "test")
    assert survivor.representative == copies[1], "the train image must not become the test group's face"
    assert survivor.size == 3
    assert (summary.merged, summary.groups) == (1, 1)


def test_a_light_crop_that_comes_later_is_found_by_the_rows_alone(dataset):
    original = put(dataset, scene(3, 300))
    group_duplicates(dataset)
    crop = put(dataset, scene(3, 300).crop((12, 12, 288, 288)))
    group_duplicates(dataset)
    crop.refresh_from_db()
    original.refresh_from_db()
    assert crop.group_id == original.group_id


def test_what_the_store_lost_is_said_and_stays_ungrouped(dataset, tmp_path, capsys):
    lost, kept = put(dataset, scene(1)), put(dataset, scene(2))
    (tmp_path / "store" / lost.sha256[:2] / lost.sha256[2:4] / lost.sha256).unlink()
    summary = group_duplicates(dataset)
    assert list(summary.unreadable) == [lost.sha256]
    lost.refresh_from_db()
    kept.refresh_from_db()
    assert lost.group is None
    assert kept.group is not None


def test_the_command_reports_json(dataset, capsys):
    put(dataset, scene(1))
    call_command("dedup", "d", "--json")
    assert json.loads(capsys.readouterr().out)["groups"] == 1


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_a_draw_is_a_fraction_that_hangs_on_key_and_image(key, sha256):
    assert 0 <= draw(key, sha256) < 1
    assert draw(key, sha256) == draw(key, sha256)
    assert draw(key + "x", sha256) != draw(key, sha256)
