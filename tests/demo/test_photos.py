"""The bundled photos: there, small enough, licensed, labelled."""

from collections import Counter

import pytest
from PIL import Image

from demo import plan
from demo.plan import HERE, NONE, photo_bytes, pick, read_category_names, read_labels

PHOTOS = sorted((HERE / "photos").glob("*.jpg"))


def test_every_label_has_its_photo_and_every_photo_its_label():
    assert set(read_labels()) == {path.stem for path in PHOTOS}
    assert set(read_labels().values()) == set(read_category_names()) | {NONE}


def test_there_are_enough_of_every_category():
    counts = Counter(read_labels().values())
    assert len(PHOTOS) >= 2500
    assert sum(n for label, n in counts.items() if label != NONE) >= 2300
    assert min(counts.values()) >= 100


def test_they_stay_within_the_size_that_a_clone_should_carry():
    assert sum(path.stat().st_size for path in PHOTOS) < 25e6


def test_they_are_small_upright_and_without_camera_data():
    for path in PHOTOS:
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            assert max(picture.size) <= 160
            assert not picture.getexif()


def test_the_licence_says_what_and_where_from():
    text = (HERE / "LICENSE").read_text()
    assert "CC0 1.0 Universal" in text
    assert "alexeygrigorev/clothing-dataset" in text


def test_no_two_photos_are_the_same_file():
    assert len({photo_bytes(path.stem) for path in PHOTOS}) == len(PHOTOS)


@pytest.mark.parametrize("count", [100, 300, 1000])
def test_a_smaller_demo_keeps_every_category(count):
    few = pick(read_labels(), count)
    assert abs(len(few) - count) <= 11
    assert set(few.values()) == set(read_labels().values())
    assert few.items() <= read_labels().items()


def test_every_category_says_what_it_is():
    import csv

    with (HERE / "categories.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "name", "gloss", "parent", "synonyms"]
    assert all(len(row["gloss"]) > 30 for row in rows)


@pytest.mark.parametrize("damage", ["missing", "cut short", "no picture"])
def test_a_damaged_photo_is_named_with_what_to_do(tmp_path, monkeypatch, damage):
    photo = next(iter(read_labels()))
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (plan.HERE / "photos" / f"{photo}.jpg").read_bytes()
    if damage != "missing":
        (folder / f"{photo}.jpg").write_bytes(whole[:600] if damage == "cut short" else b"<html>")
    plan.check_photos([photo])
    monkeypatch.setattr(plan, "HERE", tmp_path)
    with pytest.raises(plan.BadPhoto, match=rf"demo/photos/{photo}\.jpg cannot be read .*git checkout"):
        plan.check_photos([photo])
