"""Close hashes nominate, pixels decide; groups hold verified pairs only and grow by increments."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from ingest import duplicates
from ingest.duplicates import (
    Record,
    candidates,
    choose_representative,
    components,
    group_duplicates,
    make_record,
    verified_pairs,
)
from ingest.second_look import compare, look


def scene(seed, size=(160, 120)):
    """A soft backdrop with many hard-edged patches: detail enough for features."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(
        (160, 120), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 4, 4), (150, 110, 24, 24)))
        draw.rectangle((x, y, x + w, y + h), fill=tuple(int(c) for c in rng.integers(0, 255, 3)))
    return image.resize(size, Image.Resampling.BICUBIC)


def jpeg(image, quality=40):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def watermark(image):
    marked = image.copy()
    ImageDraw.Draw(marked).text((20, 70), "SAMPLE", fill="white", font_size=22)
    return marked


COPIES = {
    "resized": lambda i: jpeg(i.resize((88, 66), Image.Resampling.BICUBIC), 85),
    "enlarged": lambda i: jpeg(i.resize((400, 300), Image.Resampling.BICUBIC), 85),
    "recompressed": lambda i: jpeg(i, 30),
    "watermarked": lambda i: jpeg(watermark(i), 85),
    "cropped": lambda i: jpeg(i.crop((4, 3, 156, 117)), 85),
    "cropped at a corner": lambda i: jpeg(i.crop((0, 5, 154, 120)), 85),
    "brightened": lambda i: jpeg(ImageEnhance.Brightness(i).enhance(1.15), 85),
    "grey": lambda i: jpeg(i.convert("L").convert("RGB"), 85),
}


def library(images, **options):
    """Records and a loader for {key: image}."""
    records = [make_record(key, image, 1000, **options) for key, image in images.items()]
    return records, lambda key: images[key]


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_grouped_with_their_originals(kind):
    images = {}
    for seed in range(4):
        images[f"{seed}"] = scene(seed)
        images[f"{seed}copy"] = COPIES[kind](scene(seed))
    groups = group_duplicates(*library(images))
    assert sorted(sorted(r.key for r in g) for g in groups) == [[f"{s}", f"{s}copy"] for s in range(4)]


def test_a_close_hash_alone_never_merges():
    # The same hash by construction, other pixels.
    images = {"a": scene(1), "b": scene(2)}
    records = [Record(key, 0, 160, 120, 1000) for key in images]
    assert len(candidates(records, [])) == 1
    assert verified_pairs(records, [], images.__getitem__) == []


def test_another_print_on_the_same_backdrop_is_another_picture():
    def shirt(seed, colour):
        image = scene(50)
        image.paste(scene(seed).crop((0, 0, 90, 80)), (35, 20))
        return ImageOps.colorize(image.convert("L"), "black", colour) if colour else image

    assert compare(look(shirt(1, None)), look(jpeg(shirt(1, None)))).outcome == "copy"
    assert compare(look(shirt(1, None)), look(shirt(2, None))).outcome != "copy"
    # Without colours it is up to the detail alone.
    grey = [look(shirt(seed, None).convert("L").convert("RGB")) for seed in (1, 2)]
    assert compare(*grey).outcome != "copy"
    assert compare(look(shirt(1, (255, 120, 0))), look(shirt(1, (0, 160, 255)))).outcome != "copy"


def test_flat_pictures_share_a_hash_and_are_never_merged():
    images = {c: Image.new("RGB", (200, 150), c) for c in ("white", "blue", "red")} | {
        f"white{n}": Image.new("RGB", (100 + n, 75), "white") for n in range(40)
    }
    records, load = library(images)
    assert len({r.phash for r in records}) == 1
    assert verified_pairs(records, [], load) == []
    assert compare(look(images["white"]), look(images["white1"])).how == "flat"


def test_mirrored_copies_only_where_asked():
    images = {"a": scene(7), "b": jpeg(ImageOps.mirror(scene(7)), 80)}
    assert len(group_duplicates(*library(images))) == 2
    assert len(group_duplicates(*library(images, mirrored=True))) == 1


def test_increments_give_the_groups_of_one_run():
    images = {}
    for seed in range(6):
        images[f"{seed}"] = scene(seed)
        for kind in ("recompressed", "cropped", "watermarked"):
            images[f"{seed}{kind}"] = COPIES[kind](scene(seed))
    records, load = library(images)
    whole = components((p.a, p.b) for p in verified_pairs(records, [], load))
    assert [len(group) for group in whole] == [4] * 6
    order = np.random.default_rng(0).permutation(len(records))
    edges, old = [], []
    for part in np.array_split(order, 5):
        new = [records[i] for i in part]
        edges += [(p.a, p.b) for p in verified_pairs(new, old, load)]
        old += new
    assert components(edges) == whole


def test_old_pairs_are_not_looked_at_again():
    images = {"a": scene(1), "b": jpeg(scene(1)), "c": scene(2)}
    records, load = library(images)
    seen = []
    found = verified_pairs(records[2:], records[:2], lambda key: seen.append(key) or load(key))
    assert found == []
    assert seen == []


def test_a_crowd_of_one_hash_is_not_quadratic(monkeypatch):
    records = [Record(f"{n:04d}", 5, 10, 10, 10) for n in range(400)]
    found = candidates(records, [])
    assert len(found) <= 400 * (duplicates.MAX_PEERS + 1)
    # Every member is nominated with the first, so copies of one picture still become one group.
    assert components((c.a, c.b) for c in found) == [[r.key for r in records]]
    looked = []
    monkeypatch.setattr(duplicates, "compare", lambda a, b: looked.append(1) or compare(a, b))
    picture = scene(3)
    assert len(components((p.a, p.b) for p in verified_pairs(records, [], lambda key: picture))[0]) == 400
    assert len(looked) == 399


def test_a_pair_that_nobody_can_settle_stays_apart(monkeypatch):
    monkeypatch.setattr(duplicates, "compare", lambda a, b: duplicates_verdict("unsure"))
    images = {"a": scene(1), "b": jpeg(scene(1))}
    records, load = library(images)
    (pair,) = verified_pairs(records, [], load)
    assert pair.outcome == "unsure"
    assert len(group_duplicates(records, load)) == 2


def duplicates_verdict(outcome):
    from ingest.second_look import Verdict

    return Verdict(outcome, "aligned", 0.7, 20)


def test_the_representative_is_largest_then_least_compressed_then_smallest_key():
    small, large = Record("a", 0, 10, 10, 900), Record("d", 0, 20, 10, 300)
    better, twin = Record("c", 0, 10, 20, 400), Record("b", 0, 20, 10, 400)
    assert choose_representative([small, large]) is large
    assert choose_representative([small, large, better]) is better
    assert choose_representative([better, twin, small]) is twin


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_components_equal_a_plain_flood_fill(numbers):
    edges = [(f"{a:02d}", f"{b:02d}") for a, b in numbers]
    near = {}
    for a, b in edges:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    want, seen = [], set()
    for start in sorted(near):
        reach, todo = set(), [start]
        while todo:
            key = todo.pop()
            if key not in reach:
                reach.add(key)
                todo += near[key]
        if start not in seen and len(reach) > 1:
            want.append(sorted(reach))
        seen |= reach
    assert components(edges) == want
    assert components(reversed(edges)) == want
