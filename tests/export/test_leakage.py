"""Near copies across splits are found, and only copies are called so."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from export import layout
from export.leakage import Leakage, Row, main, measure, measure_folder
from export.services.publish import publish_release
from ingest.fingerprint import phash
from tests.export.world import World

HASHES = st.integers(min_value=0, max_value=2**64 - 1)
NEAR = st.builds(
    lambda base, bits: base ^ sum(1 << b for b in bits),
    st.sampled_from([0, 2**40 + 7]),
    st.sets(st.integers(0, 63), max_size=12),
)


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Something with detail: shapes that differ by seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(c) for c in rng.integers(0, 255, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, w, h = (int(v) for v in rng.integers(5, 80, 4))
        pen.ellipse([x, y, x + w, y + h], fill=tuple(int(c) for c in rng.integers(0, 255, 3)))
    return image


def encoded(image: Image.Image, quality: int = 95) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def unseen(path: str) -> Image.Image:
    raise AssertionError(f"{path} was looked at")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(layout.SPLITS), st.one_of(NEAR, HASHES)), max_size=40))
def test_nearest_distances_are_those_of_all_against_all(pictures: list[tuple[str, int]]) -> None:
    rows = [Row(f"{n:064x}", split, value, str(n)) for n, (split, value) in enumerate(pictures)]
    found = measure(lambda: rows, lambda path: Image.new("RGB", (32, 32)))
    pairs = 0
    for split, others in (("test", ("train", "val")), ("val", ("train",))):
        mine = [value for s, value in pictures if s == split]
        theirs = [value for s, value in pictures if s in others]
        if not mine or not theirs:
            assert split not in found.farther
            continue
        distances = [[(a ^ b).bit_count() for b in theirs] for a in mine]
        pairs += sum(d <= 10 for row in distances for d in row)
        nearest = [min(row) for row in distances]
        due = {str(bits): nearest.count(bits) for bits in range(11) if bits in nearest}
        assert found.nearest[split] == due
        assert found.farther[split] == sum(d > 10 for d in nearest)
    assert found.near_pairs == pairs
    assert found.looked_at <= pairs
    assert found.copies == 0, "flat pictures are no copies"


def test_copies_are_told_from_look_alikes() -> None:
    original, other = scene(1), scene(2)
    copy = original.resize((120, 90))
    pictures = {"t1": original, "c": copy, "t2": other, "x": scene(3)}
    value = phash(original)
    rows = [
        Row("a" * 64, "test", value, "t1"),
        Row("b" * 64, "train", phash(copy), "c"),
        Row("c" * 64, "test", value ^ 0b1111, "t2"),
        Row("d" * 64, "val", phash(scene(3)), "x"),
    ]
    found = measure(lambda: rows, pictures.__getitem__)
    assert (found.near_pairs, found.looked_at, found.copies) == (2, 2, 1)
    assert found.named == [
        {"outcome": "copy", "a": "a" * 64, "b": "b" * 64, "distance": (value ^ phash(copy)).bit_count()}
    ]
    assert (
        "of one of train or val: 2 of 2 test pictures; of one of train: 0 of 1 val picture"
        in found.sentence()
    )
    assert "all of 2 such pairs; 1 of the same picture, 0 perhaps." in found.sentence()
    assert "named" not in found.counts()


def test_nothing_near_needs_no_look() -> None:
    rows = [Row("a" * 64, "test", 0, "t"), Row("b" * 64, "train", 2**64 - 1, "c")]
    found = measure(lambda: rows, unseen)
    assert (found.farther, found.looked_at) == ({"test": 1}, 0)
    assert Leakage(10).sentence() == "there is nothing to compare."


@pytest.mark.django_db
def test_a_copy_that_slipped_through_fails_the_check(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, data in (("train", encoded(scene(5))), ("test", encoded(scene(5).resize((140, 105)), 70))):
        image = world.add_image(data, split=split)
        image.phash = phash(scene(5)) % 2**63  # the database keeps it signed
        image.save()
        world.vote(image, ["owl"] * 3)
        if split == "test":
            world.refer(image, "owl")
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    assert any("the same picture in different splits: 1 pair " in warning for warning in made.warnings)
    folder = made.folder
    assert main([str(folder), "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["copies"] == 1
    assert told.err.count("\n") == 1
    (folder / pd.read_parquet(folder / layout.MANIFEST)["path"].iloc[0]).unlink()
    assert measure_folder(folder, radius=0).copies == 1, "only pictures that are near are opened"
    assert main([str(tmp_path)]) == 2
