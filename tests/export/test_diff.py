"""Two releases differ exactly as the diff says: pictures, labels with their votes, splits, categories."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export import diff as diff_module
from export import layout
from export.diff import ReleaseDiff, as_text, diff_releases
from export.diff.category_changes import category_changes, sentences
from export.diff.diff_page import diff_page
from export.reader import UnreadableRelease
from export.services.plan import Wishes
from export.services.publish import publish_release
from export.services.takedown import take_down
from export.tables import TableWriter
from ingest.management.base import BadInput
from ingest.models import DuplicateGroup, Image
from tests.export.world import World

Pictures = dict[str, dict[str, Any]]


def write_release(folder: Path, pictures: Pictures, version: str = "1.0.0", **parameters: Any) -> Path:
    """The tables and small files of a release, without pictures: what a diff reads."""
    folder.mkdir()
    classes = sorted({p["category"] for p in pictures.values() if p["category"]})
    tree = [{"id": key, "name": key.title(), "index": place} for place, key in enumerate(classes)]
    about = {"name": "birds", "version": version, "parent": None, "parameters": parameters}
    (folder / layout.CATEGORIES).write_text(json.dumps(tree))
    (folder / layout.RELEASE).write_text(json.dumps(about))
    (folder / layout.SUMS).write_text("")
    with (
        TableWriter(folder / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest,
        TableWriter(folder / layout.VOTES, layout.VOTES_SCHEMA) as votes,
    ):
        for image, known in sorted(pictures.items()):
            cast = known.get("cast", [])
            row = {"image": image, "path": f"{known['split']}/x/{image}.jpg", "duplicate_group": image}
            manifest.add([row | {"confidence": 0.9, "votes": len(cast), "licence": "CC0"} | known])
            votes.add({"image": image, "worker": f"w{n}", "label": label} for n, label in enumerate(cast))
    return folder


def sha(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4


def known(split: str = "train", category: str | None = "owl", **more: Any) -> dict[str, Any]:
    return {"split": split, "category": category, **more}


def labelled(world: World, split: str, key: str = "owl") -> Image:
    image = world.add_image(split=split)
    world.vote(image, [key, key, key])
    if split == "test":
        world.refer(image, key)
    return image


PICTURES = st.dictionaries(
    st.integers(0, 12).map(sha),
    st.fixed_dictionaries(
        {
            "split": st.sampled_from(layout.SPLITS),
            "category": st.sampled_from(["cat", "dog", "owl"]),
            "cast": st.lists(st.sampled_from(["cat", "dog", "__none__"]), max_size=4),
        }
    ),
    max_size=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PICTURES, PICTURES, st.sampled_from([1, 3, 1000]))
def test_every_change_is_told_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, before: Pictures, after: Pictures, block: int
) -> None:
    root = tmp_path_factory.mktemp("diff")
    old, new = write_release(root / "old", before), write_release(root / "new", after, "1.1.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diff_module, "BLOCK", block)
        with diff_releases(old, new) as found:
            told = found.as_dict()
            written: list[str] = []
            found.write_json(written.append)
    assert json.loads("".join(written)) == json.loads(json.dumps(told))
    both = before.keys() & after.keys()
    assert [row["image"] for row in told["added"]] == sorted(after.keys() - before.keys())
    assert [row["image"] for row in told["removed"]] == sorted(before.keys() - after.keys())
    moved = sorted(i for i in both if before[i]["split"] != after[i]["split"])
    assert [(r["image"], r["old"], r["new"]) for r in told["moved"]] == [
        (i, before[i]["split"], after[i]["split"]) for i in moved
    ]
    changed = sorted(i for i in both if before[i]["category"] != after[i]["category"])
    assert [(r["image"], r["old"], r["new"], r["old_votes"], r["new_votes"]) for r in told["relabelled"]] == [
        (
            i,
            before[i]["category"],
            after[i]["category"],
            Counter(before[i]["cast"]),
            Counter(after[i]["cast"]),
        )
        for i in changed
    ]
    assert told["same"] == len(both - set(moved) - set(changed))
    assert told["old"]["votes"] == sum(len(p["cast"]) for p in before.values())


def test_why_pictures_left_as_the_folders_tell_it(tmp_path: Path) -> None:
    before = {sha(n): known() for n in range(8)} | {sha(20): known("test", "finch"), sha(30): known()}
    before[sha(1)] |= {"licence": "all rights reserved"}
    before[sha(2)] |= {"confidence": 0.5}
    before[sha(3)] |= {"category": "finch"}
    before[sha(5)] |= {"duplicate_group": sha(9)}
    after = {sha(7): known(duplicate_group=sha(4)), sha(8): known(duplicate_group=sha(9))}
    asked = {"licences": ["CC0"], "min_confidence": 0.8, "categories": ["owl"], "taken_down": [sha(0)]}
    old = write_release(tmp_path / "old", before)
    with diff_releases(old, write_release(tmp_path / "new", after, "1.1.0", **asked)) as found:
        why = {row["image"]: row["why"] for row in found.changes("removed")}
        merged = {row["image"]: row.get("with") for row in found.changes("removed") if row["why"] == "merged"}
        text = as_text(found)
    assert why == {
        sha(0): "taken_down",
        sha(1): "other_licence",
        sha(2): "unsure",
        sha(3): "other_category",
        sha(4): "merged",
        sha(5): "merged",
        sha(6): None,
        sha(20): "other_category",
        sha(30): None,
    }
    assert merged == {sha(4): sha(7), sha(5): sha(8)}
    assert "removed 2: no reason on record" in text


@pytest.mark.parametrize(
    ("before", "after", "split", "why"),
    [
        ({}, {"per_class": 5}, "train", "surplus"),
        ({"per_class": 9}, {"per_class": 5}, "train", "surplus"),
        ({"per_class": 5}, {"per_class": 5}, "train", None),
        ({}, {"per_class": 5}, "val", None),
        ({}, {"min_votes": 3}, "val", "few_votes"),
        ({}, {"min_votes": 3, "min_confidence": 1.0}, "test", None),
    ],
)
def test_filters_of_the_new_release_explain_what_they_took_out(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], split: str, why: str | None
) -> None:
    old = write_release(tmp_path / "old", {sha(1): known(split, cast=["owl"]), sha(2): known()}, **before)
    new = write_release(tmp_path / "new", {sha(2): known()}, "1.1.0", **after)
    with diff_releases(old, new) as found:
        assert [row["why"] for row in found.changes("removed")] == [why]


def test_a_sealed_label_is_not_another_label(tmp_path: Path) -> None:
    old = write_release(tmp_path / "old", {sha(1): known("test"), sha(2): known()})
    new = write_release(tmp_path / "new", {sha(1): known("test", None), sha(2): known()}, "1.0.1")
    with diff_releases(old, new) as found:
        assert (found.counts["same"], found.counts["relabelled"]) == (2, 0)


def node(key: str, index: int | None, **more: Any) -> dict[str, Any]:
    return {"id": key, "name": key.title(), "gloss": "", "parent": None, "index": index, **more}


def test_categories_are_renamed_split_merged_and_replaced() -> None:
    old = [node("bird", None), node("cat", 0), node("dog", 1), node("eel", 2), node("fox", 3), node("yak", 4)]
    new = [
        node("bird", None, name="Birds"),
        node("cat", 0, gloss="A small cat."),
        node("hound", 1),
        node("poodle", 2),
        node("fox", 3, parent="bird"),
        node("ox", 4),
        node("eel", None),
    ]
    flow = {
        ("cat", "cat"): 100,
        ("dog", "hound"): 60,
        ("dog", "poodle"): 40,
        ("dog", "fox"): 1,
        ("eel", "fox"): 50,
        ("fox", "fox"): 50,
        ("yak", "ox"): 30,
    }
    found = category_changes(old, new, flow)
    assert found["added"] == ["hound", "ox", "poodle"]
    assert found["removed"] == ["dog", "yak"]
    assert found["renamed"] == [{"id": "bird", "old": "Bird", "new": "Birds"}]
    assert found["redefined"] == [{"id": "cat", "old": "", "new": "A small cat."}]
    assert found["moved"] == [{"id": "fox", "old": None, "new": "bird"}]
    assert found["emptied"] == ["eel"]
    assert found["index"] == []
    assert found["split"] == [{"old": "dog", "new": {"hound": 60, "poodle": 40}}]
    assert found["merged"] == [{"new": "fox", "old": {"eel": 50, "fox": 50}}]
    assert found["replaced"] == [{"old": "yak", "new": "ox", "pictures": 30}]
    told = "\n".join(sentences(found))
    assert "dog was split into hound (60 pictures), poodle (40 pictures)" in told
    assert "fox was merged from eel (50 pictures), fox (50 pictures)" in told
    assert category_changes(old, old, {("cat", "cat"): 9}) == {key: [] for key in found}


def test_a_class_index_that_shifts_is_told() -> None:
    old = [node("cat", 0), node("dog", 1)]
    new = [node("ant", 0), node("cat", 1), node("dog", 2)]
    found = category_changes(old, new, {})
    assert found["index"] == [{"id": "cat", "old": 0, "new": 1}, {"id": "dog", "old": 1, "new": 2}]
    assert "first cat: 0 to 1" in sentences(found)[-1]
    assert category_changes([node("cat", None)], [node("cat", 0)], {})["filled"] == ["cat"]


@pytest.mark.parametrize("missing", [layout.MANIFEST, layout.SUMS, layout.RELEASE, layout.CATEGORIES])
def test_a_folder_that_is_no_release_is_refused(tmp_path: Path, missing: str) -> None:
    old = write_release(tmp_path / "old", {sha(1): known()})
    new = write_release(tmp_path / "new", {sha(1): known()})
    (new / missing).unlink()
    with pytest.raises(UnreadableRelease):
        diff_releases(old, new)


def test_a_manifest_out_of_order_is_refused(tmp_path: Path) -> None:
    old = write_release(tmp_path / "old", {sha(n): known() for n in range(5)})
    frame = pd.read_parquet(old / layout.MANIFEST)
    frame.iloc[::-1].to_parquet(old / layout.MANIFEST)
    with pytest.raises(UnreadableRelease, match="not sorted"):
        diff_releases(old, old)


# --- releases of a database -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_two_releases_differ_as_the_diff_says(world: World, tmp_path: Path) -> None:
    gone, kept = labelled(world, "train"), labelled(world, "train")
    old = publish_release(world.dataset, "1.0.0", tmp_path).folder
    world.refer(gone, "__none__")
    again = world.dataset.rounds.create(question="classify")
    world.vote(kept, ["finch", "finch"], round=again)
    added = labelled(world, "val")
    new = publish_release(world.dataset, "1.1.0", tmp_path).folder
    told = diffed(old, new, tmp_path)
    assert told["added"] == [{"image": added.sha256, "split": "val", "category": "owl"}]
    assert told["removed"] == [
        {"image": gone.sha256, "split": "train", "category": "owl", "why": "reference_none"}
    ]
    assert told["relabelled"] == [
        {
            "image": kept.sha256,
            "split": "train",
            "old": "owl",
            "new": "finch",
            "old_confidence": 1.0,
            "new_confidence": 1.0,
            "old_votes": {"owl": 3},
            "new_votes": {"finch": 2, "owl": 3},
        }
    ]
    assert told["moved"] == []
    assert told["same"] == 18
    assert told["new"]["parent"] == "1.0.0"
    assert not any(told["categories"].values())


def diffed(old: Path | str, new: Path, tmp_path: Path, *options: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    with (tmp_path / "out.json").open("w+") as out:
        call_command("diff_releases", str(old), str(new), "--json", *options, stdout=out)
    return json.loads((tmp_path / "out.json").read_text())


@pytest.mark.django_db
def test_the_database_knows_why_pictures_left(world: World, tmp_path: Path) -> None:
    merged, into, doubted, down = (labelled(world, "train") for _ in range(4))
    old = publish_release(world.dataset, "1.0.0", tmp_path).folder
    first, second = DuplicateGroup.objects.get(images=into), DuplicateGroup.objects.get(images=merged)
    Image.objects.filter(group=second).update(group=first)
    second.delete()
    again = world.dataset.rounds.create(question="classify")
    world.vote(doubted, ["__none__", "__none__"], round=again)
    publish_release(world.dataset, "1.1.0", tmp_path)
    new = take_down(world.dataset, "1.1.1", [down.sha256], "asked by its author", tmp_path).folder
    told = diffed(old, new, tmp_path)
    assert {
        row["image"]: {k: v for k, v in row.items() if k not in ("image", "split", "category")}
        for row in told["removed"]
    } == {
        merged.sha256: {"why": "merged", "with": into.sha256},
        doubted.sha256: {"why": "none_of_these"},
        down.sha256: {"why": "taken_down", "reason": "asked by its author"},
    }
    assert told["why_removed"] == {"merged": 1, "none_of_these": 1, "taken_down": 1}


@pytest.mark.django_db
def test_pictures_made_smaller_are_not_said_to_be_untouched(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = publish_release(world.dataset, "1.0.0", tmp_path).folder
    new = publish_release(world.dataset, "1.1.0", tmp_path, Wishes(longest_side=16)).folder
    with diff_releases(old, new) as diff:
        told = diff.summary()
        assert told["rewritten"] == told["same"] == len(diff.new)
        assert f"{told['same']} pictures have other pixels or another encoding." in diff_page(diff)
    call_command("diff_releases", str(old), str(new))
    said = capsys.readouterr().out
    assert f"other pixels or another encoding: {told['same']} pictures" in said
    assert "longest side: – -> 16" in said
    with diff_releases(old, old) as nothing:
        assert nothing.summary()["rewritten"] == 0


@pytest.mark.django_db
def test_the_page_shows_the_pictures_and_stands_alone(world: World, tmp_path: Path) -> None:
    world.dataset.categories.filter(key="owl").update(name="<Owl> & co")
    image = labelled(world, "train")
    old = publish_release(world.dataset, "1.0.0", tmp_path).folder
    world.vote(image, ["finch"], round=world.dataset.rounds.create(question="classify"))
    labelled(world, "val")
    wishes = Wishes(min_confidence=0.9)
    new = publish_release(world.dataset, "1.1.0", tmp_path, wishes).folder
    page = tmp_path / "changes.html"
    call_command("diff_releases", str(old), str(new), "--html", str(page))
    text = page.read_text()
    assert "&lt;Owl&gt; &amp; co" in text
    assert "<Owl>" not in text
    assert text.count('src="data:image/jpeg;base64,') == 2 + text.count("less sure than asked for")
    assert "http" not in text
    assert "min confidence" in text
    assert "before: 100%; 3 &lt;Owl&gt; &amp; co" in text
    with diff_releases(old, old) as nothing:
        assert "No picture came, went or changed its label." in diff_page(nothing)
    with pytest.raises(BadInput):
        call_command("diff_releases", str(old), str(new), "--html", str(tmp_path / "nowhere" / "x.html"))
    with pytest.raises(BadInput):
        call_command("diff_releases", str(old), "birds-9.0.0")


def test_memory_does_not_grow_with_the_changes(tmp_path: Path) -> None:
    rng = random.Random(1)
    pictures = {f"{rng.getrandbits(256):064x}": known() for _ in range(3000)}
    old, new = write_release(tmp_path / "old", {}), write_release(tmp_path / "new", pictures)
    with diff_releases(old, new) as found:
        assert isinstance(found, ReleaseDiff)
        assert len(found.heads["added"]) == diff_module.HEAD
        assert sum(1 for _ in found.changes("added")) == 3000


@pytest.mark.django_db
def test_a_release_in_a_bucket_is_compared_by_its_tables(world: World, tmp_path: Path, s3: object) -> None:
    old = publish_release(world.dataset, "1.0.0", "s3://shelves/data").release
    added = labelled(world, "val")
    new = publish_release(world.dataset, "1.1.0", tmp_path)
    assert old.location == "s3://shelves/data/birds-1.0.0"
    for name in ("birds-1.0.0", old.location):
        told = diffed(name, new.folder, tmp_path)
        assert told["added"] == [{"image": added.sha256, "split": "val", "category": "owl"}]
        assert told["old"]["folder"] == "birds-1.0.0"
    with pytest.raises(BadInput, match="no release can be read there"):
        diffed("s3://shelves/nothing-1.0.0", new.folder, tmp_path)
