"""Splits that a set brings along: kept for good, the most protected one wins, draws agree with them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export import layout
from export.checks import check_release
from export.models import GivenSplit
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import publish_release
from export.split_file import digest, moved_draw, read_split_file
from ingest.models import Image
from ingest.splits import Shares, split_of
from ingest.tables import BadTable
from tests.export.world import World

shares = st.tuples(st.integers(1, 98), st.integers(0, 98)).filter(lambda s: sum(s) < 100)


@given(st.floats(0, 1, exclude_max=True), shares, st.sampled_from(layout.SPLITS))
def test_a_moved_draw_lies_in_its_split_and_moves_once(
    draw: float, parts: tuple[int, int], split: str
) -> None:
    train, val = parts
    share = Shares.parse(f"{train}/{val}/{100 - train - val}")
    if not getattr(share, split):
        return
    moved = moved_draw(draw, split, share)
    assert 0 <= moved < 1
    assert split_of(moved, share) == split
    assert moved_draw(moved, split, share) == moved


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,split\n", "holds no row"),
        ("image,label\na,train\n", "no column split"),
        ("image,split\na,tset\n", "row 2: 'tset' is no split"),
        ("image,split\n,test\n", "row 2 names no image"),
        ("image,split\na,test\na,train\n", "row 3: a is named twice"),
    ],
)
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "splits.csv"
    file.write_text(text)
    with pytest.raises(BadTable, match=said):
        read_split_file(file)


def test_a_file_is_read_whatever_its_spelling_and_order(tmp_path: Path) -> None:
    file = tmp_path / "splits.csv"
    file.write_text("split,image\nTest , a \ntrain,b\nTEST,a\n")
    assert read_split_file(file) == {"a": "test", "b": "train"}
    pd.DataFrame({"image": ["a"], "split": ["val"]}).to_parquet(tmp_path / "s.parquet")
    assert read_split_file(tmp_path / "s.parquet") == {"a": "val"}
    assert digest([("a", "test"), ("b", "train")]) == digest([("b", "train"), ("a", "test")])


def splits_of(folder: Path) -> dict[str, str]:
    frame = pd.read_parquet(folder / layout.MANIFEST)
    return dict(zip(frame["image"], frame["split"], strict=True))


def labelled(world: World, split: str = "train", group: Image | None = None) -> Image:
    image = world.add_image(split=split, group=group.group if group else None)
    if group is None:
        world.vote(image, ["owl", "owl", "owl"])
    world.refer(image, "owl")
    return image


def write(path: Path, splits: dict[str, str]) -> Path:
    path.write_text("image,split\n" + "".join(f"{i},{s}\n" for i, s in splits.items()))
    return path


@pytest.mark.django_db
def test_named_pictures_go_where_the_set_has_them_for_good(world: World, tmp_path: Path) -> None:
    named = {split: [labelled(world, "train") for _ in range(3)] for split in layout.SPLITS}
    url = named["val"][0].candidates.get().url
    rows = {i.sha256: split for split, images in named.items() for i in images}
    rows[url] = rows.pop(named["val"][0].sha256)
    file = write(tmp_path / "splits.csv", rows)
    wishes = Wishes(split_file=file)
    first = publish_release(world.dataset, "1.0.0", tmp_path, wishes)
    assert check_release(first.folder) == []
    wanted = {i.sha256: split for split, images in named.items() for i in images}
    got = splits_of(first.folder)
    assert {i: got[i] for i in wanted} == wanted
    assert len(got) == 18 + 9, "pictures that the file does not name are drawn as usual"
    assert GivenSplit.objects.count() == 9
    assert "came with the set" in first.release.label_accuracy["basis"]
    for split, images in named.items():
        drawn = {i.group.split for i in Image.objects.filter(pk__in=[i.pk for i in images])}
        assert drawn == {split}, "everything that reads draws agrees"

    again = publish_release(world.dataset, "1.0.0", tmp_path / "b", wishes)
    assert again.again
    assert publish_release(world.dataset, "1.0.0", tmp_path / "c").again, (
        "the splits are kept: no file needed"
    )
    later = publish_release(world.dataset, "1.1.0", tmp_path)
    assert splits_of(later.folder) == got
    stated = json.loads((later.folder / layout.RELEASE).read_text())["parameters"]["split_file"]
    assert stated == first.release.parameters["split_file"]
    other = write(tmp_path / "other.csv", {named["test"][0].sha256: "train"})
    with pytest.raises(ReleaseRefused, match="comes with the first only"):
        publish_release(world.dataset, "1.2.0", tmp_path, Wishes(split_file=other))


@pytest.mark.django_db
def test_of_copies_in_several_splits_the_most_protected_stays(world: World, tmp_path: Path) -> None:
    train = labelled(world, "train")
    test = labelled(world, group=train)
    lone = labelled(world, "test")
    copy = labelled(world, group=lone)
    rows = {train.sha256: "train", test.sha256: "test", copy.sha256: "train"}
    made = publish_release(
        world.dataset, "1.0.0", tmp_path, Wishes(split_file=write(tmp_path / "s.csv", rows))
    )
    got = splits_of(made.folder)
    assert got[test.sha256] == "test"
    assert train.sha256 not in got
    assert got[copy.sha256] == "train"
    assert lone.sha256 not in got, "the set names its copy"
    assert made.release.counts["left_out"] == {"given_elsewhere": 1, "duplicate": 1}
    assert any("more protected split: 1 picture" in w for w in made.warnings)
    assert splits_of(publish_release(world.dataset, "2.0.0", tmp_path).folder) == got


@pytest.mark.django_db
def test_unusable_split_files_change_nothing(world: World, tmp_path: Path) -> None:
    image = labelled(world)
    cases = {
        "no image of birds by 1 name: nowhere.jpg": ({"nowhere.jpg": "test"}, "80/10/10"),
        "1 picture into val, and --splits leaves val nothing": ({image.sha256: "val"}, "80/0/20"),
        "named twice": ({image.sha256: "val", image.candidates.get().url: "test"}, "80/10/10"),
    }
    for said, (rows, splits) in cases.items():
        with pytest.raises(ReleaseRefused, match=said):
            publish_release(
                world.dataset,
                "1.0.0",
                tmp_path / "out",
                Wishes(splits=splits, split_file=write(tmp_path / "s.csv", rows)),
            )
    with pytest.raises(BadTable, match=r"gone\.csv: no such file"):
        publish_release(world.dataset, "1.0.0", tmp_path / "out", Wishes(split_file=Path("gone.csv")))
    assert not (tmp_path / "out").exists()
    assert not GivenSplit.objects.exists()
