"""Takedowns: the parent without some pictures, for ever; deprecation: a mark, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from export import layout
from export.checks import check_release
from export.models import Release, Withdrawal
from export.services import making
from export.services.making import ReleaseFailed
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import publish_release
from export.services.takedown import take_down
from ingest.models import Image
from tests.export.test_history import labelled, merge, splits_of
from tests.export.world import World, bytes_of, picture

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Stands for a kill: nothing that catches exceptions may tidy up after it."""


def dies(*args: object) -> None:
    raise Killed


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / name)


@pytest.fixture
def parent(world: World, tmp_path: Path) -> Path:
    for split in ("train", "test"):
        labelled(world, split)
    return publish_release(world.dataset, "1.0.0", tmp_path).folder


def one(world: World, split: str) -> Image:
    return Image.objects.filter(release_images__split=layout.SPLITS.index(split)).order_by("pk").last()


def test_a_takedown_is_its_parent_without_the_pictures(world: World, parent: Path, tmp_path: Path) -> None:
    gone = [one(world, "train"), one(world, "test")]
    # What happened since is none of a takedown's business.
    world.vote(world.add_image(), ["owl"] * 3)
    second = world.dataset.rounds.create(question="classify")
    world.vote(Image.objects.first(), ["owl", "owl"], round=second)
    names = [gone[0].sha256, gone[1].candidates.get().url]
    made = take_down(world.dataset, "1.0.1", names, "asked for\nby its author", tmp_path)
    assert check_release(made.folder) == []
    shas = {image.sha256 for image in gone}
    for name in layout.TABLES:
        before = table(parent, name)
        pd.testing.assert_frame_equal(
            table(made.folder, name), before[~before["image"].isin(shas)].reset_index(drop=True)
        )
    for path, data in bytes_of(parent).items():
        if path.startswith(layout.SPLITS) and Path(path).stem not in shas:
            assert (made.folder / path).read_bytes() == data
            assert (made.folder / path).stat().st_ino != (parent / path).stat().st_ino
    document = json.loads((made.folder / layout.RELEASE).read_text())
    assert document["parent"] == "1.0.0"
    assert document["parameters"]["taken_down"] == sorted(shas)
    assert document["parameters"]["takedown_reason"] == "asked for by its author"
    assert document["counts"]["left_out"]["taken_down"] == 2
    assert document["label_accuracy"]["basis"].endswith("measured for 1.0.0")
    assert made.release.parent.version == "1.0.0"
    assert Withdrawal.objects.filter(release=made.release).count() == 2
    again = take_down(world.dataset, "1.0.1", names, "asked for by its author", tmp_path / "b")
    assert again.again
    assert bytes_of(again.folder) == bytes_of(made.folder)


def test_what_was_taken_down_never_comes_back_nor_does_a_copy(
    world: World, parent: Path, tmp_path: Path
) -> None:
    gone = [one(world, "train"), one(world, "test")]
    take_down(world.dataset, "1.0.1", [i.sha256 for i in gone], "asked for", tmp_path)
    for image in gone:
        copy = labelled(world, image.group.split)
        merge(image, copy, representative=copy)
    for version in ("1.1.0", "2.0.0"):
        made = publish_release(world.dataset, version, tmp_path)
        before = splits_of(parent)
        assert splits_of(made.folder) == {
            i: s for i, s in before.items() if i not in {g.sha256 for g in gone}
        }
        assert made.release.counts["left_out"]["taken_down"] == 4
    third = min(i for i, split in splits_of(made.folder).items() if split == "train")
    second = take_down(world.dataset, "2.0.1", [third], "asked for", tmp_path)
    assert second.release.parameters["taken_down"] == [third]


def test_a_published_test_picture_in_the_same_group_stays_and_is_told(
    world: World, parent: Path, tmp_path: Path
) -> None:
    a, b = labelled(world, "test"), labelled(world, "test")
    publish_release(world.dataset, "2.0.0", tmp_path)
    merge(a, b, representative=a)
    made = take_down(world.dataset, "2.0.1", [a.sha256], "asked for", tmp_path)
    assert made.warnings == [f"birds-2.0.1 still holds a copy of what was taken down: {b.sha256}"]
    assert splits_of(publish_release(world.dataset, "2.0.2", tmp_path).folder)[b.sha256] == "test"


def test_a_sealed_release_stays_sealed(world: World, tmp_path: Path) -> None:
    labelled(world, "test")
    publish_release(world.dataset, "1.0.0", tmp_path, Wishes(sealed=True))
    gone = one(world, "test")
    made = take_down(world.dataset, "1.0.1", [gone.sha256], "asked for", tmp_path)
    assert check_release(made.folder) == []
    answers = pd.read_csv(tmp_path / "birds-1.0.1-answers.csv")
    before = pd.read_csv(tmp_path / "birds-1.0.0-answers.csv")
    pd.testing.assert_frame_equal(answers, before[before.image != gone.sha256].reset_index(drop=True))


def test_a_killed_takedown_is_finished_by_the_same_command(
    world: World, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = one(world, "train").sha256
    whole = take_down(world.dataset, "1.0.1", [sha256], "why", tmp_path / "whole").folder
    Withdrawal.objects.all().delete()
    Release.objects.filter(version="1.0.1").delete()
    for moment in ("describe", "_record"):
        with monkeypatch.context() as patch:
            patch.setattr(making, moment, dies)
            with pytest.raises(Killed):
                take_down(world.dataset, "1.0.1", [sha256], "why", tmp_path)
        assert not (tmp_path / "birds-1.0.1").exists()
    made = take_down(world.dataset, "1.0.1", [sha256], "why", tmp_path)
    assert bytes_of(made.folder) == bytes_of(whole)


def test_pictures_of_another_parent_are_not_kept(
    world: World, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed takedown left an older release's pictures; another version of Assay wrote other bytes."""
    sha256 = one(world, "train").sha256
    with monkeypatch.context() as patch:
        patch.setattr(making, "describe", dies)
        with pytest.raises(Killed):
            take_down(world.dataset, "1.0.2", [sha256], "why", tmp_path)
    for left in (tmp_path / ".birds-1.0.2.partial" / "release").rglob("*.jpg"):
        left.write_bytes(picture(4711))
    newer = publish_release(world.dataset, "1.0.1", tmp_path).folder
    made = take_down(world.dataset, "1.0.2", [sha256], "why", tmp_path)
    assert bytes_of(made.folder / "test") == bytes_of(newer / "test")


def damage(folder: Path) -> None:
    with (folder / layout.SUMS).open("a") as sums:
        sums.write("x")


def change_a_picture(folder: Path) -> None:
    for path in sorted((folder / "train").rglob("*.jpg"))[:2]:
        path.write_bytes(picture(4711))


@pytest.mark.parametrize(
    ("act", "kind", "said"),
    [
        (change_a_picture, ReleaseFailed, "has changed; run verify_release"),
        (lambda f: None, ReleaseRefused, "no image goes by the name nowhere"),
        (damage, ReleaseFailed, "its fingerprint differs"),
        (lambda f: f.rename(f.with_name("elsewhere")), ReleaseFailed, "is gone"),
    ],
)
def test_unusable_takedowns_change_nothing(
    world: World, parent: Path, tmp_path: Path, act: Callable, kind: type[Exception], said: str
) -> None:
    image = "nowhere" if kind is ReleaseRefused else one(world, "train").sha256
    act(parent)
    with pytest.raises(kind, match=said):
        take_down(world.dataset, "1.0.1", [image], "why", tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert Release.objects.count() == 1


def test_pictures_that_the_newest_release_lacks_and_last_ones_of_a_class(
    world: World, parent: Path, tmp_path: Path
) -> None:
    fresh = labelled(world, "train")
    with pytest.raises(ReleaseRefused, match=r"birds-1\.0\.0 does not hold"):
        take_down(world.dataset, "1.0.1", [fresh.sha256], "why", tmp_path)
    rows = table(parent, layout.MANIFEST)
    last = rows[(rows.split == "val") & (rows.category == "owl")]["image"]
    with pytest.raises(ReleaseFailed, match="no pictures of owl in val"):
        take_down(world.dataset, "1.0.1", list(last), "why", tmp_path)
    with pytest.raises(ReleaseRefused, match="must say why"):
        take_down(world.dataset, "1.0.1", [last.iloc[0]], " ", tmp_path)
    with pytest.raises(ReleaseRefused, match="versions only grow"):
        take_down(world.dataset, "0.9.0", [last.iloc[0]], "why", tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*birds*")) == ["birds-1.0.0"]


def run(*arguments: str) -> dict:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_commands(world: World, parent: Path, tmp_path: Path) -> None:
    images = ",".join(sorted(table(parent, layout.MANIFEST).query("split == 'train'")["image"])[:2])
    made = run("takedown_release", "birds", "1.0.1", images, "--reason", "why", "--output", str(tmp_path))
    assert made["counts"]["left_out"]["taken_down"] == 2
    said = run("deprecate_release", "birds-1.0.0", "--reason", "two had to go", "--use", "1.0.1")
    assert (said["reason"], said["use"]) == ("two had to go", "birds-1.0.1")
    release = Release.objects.get(version="1.0.0")
    assert release.deprecated is not None
    assert release.replaced_by.version == "1.0.1"
    assert check_release(parent) == [], "the release itself is as it was"
    for wrong in (["--reason", ""], ["--reason", "x", "--use", "1.0.0"], ["--reason", "x", "--use", "9.9.9"]):
        with pytest.raises(CommandError) as caught:
            call_command("deprecate_release", "birds-1.0.0", *wrong)
        assert caught.value.returncode == 2
    assert run("deprecate_release", "birds-1.0.0", "--undo")["deprecated"] is None
