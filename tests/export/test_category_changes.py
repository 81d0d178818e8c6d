"""Renames, merges and splits of categories: recorded, carried by releases, told by diff_releases."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.core.management import call_command

from annotation_site.models import Round, Task, Vote
from export.diff import as_text, diff_releases
from export.services.publish import ReleaseFailed, ReleaseRefused, publish_release
from export.services.takedown import take_down
from export.verify import verify
from ingest.categories import BadCategories, Standing, check_merge, check_split
from ingest.management.base import BadInput
from ingest.models import Category
from quality.models import Consensus, Gold, Reference
from quality.opinion import Finding, in_todays_words
from tests.export.world import World

TREE = {
    "bird": Standing(""),
    "finch": Standing("bird"),
    "owl": Standing("bird"),
    "barn_owl": Standing("owl"),
    "tawny_owl": Standing("owl"),
    "dodo": Standing("", retired=True),
    "fox": Standing(""),
}


@pytest.mark.parametrize(
    ("merged", "into"),
    [
        (["finch", "owl"], "flier"),
        (["finch", "owl"], "bird"),
        (["finch"], "bird"),
        (["finch", "fox"], "animal"),
    ],
)
def test_a_merged_class_is_new_or_stands_above(merged, into):
    check_merge(TREE, merged, into)


@pytest.mark.parametrize(
    ("merged", "into", "why"),
    [
        (["finch", "owl"], "owl", "would mean more"),
        (["fox", "owl"], "bird", "fox is no part of bird"),
        (["finch"], "songbird", "only finch"),
        (["finch", "finch"], "songbird", "once"),
        (["finch", "cat"], "songbird", "no category cat"),
        (["finch", "dodo"], "songbird", "no longer stands"),
        (["finch", "owl"], "dodo", "no longer stands"),
        (["finch", "owl"], "a/b", "no category id"),
    ],
)
def test_what_would_change_an_ids_meaning_is_no_merge(merged, into, why):
    with pytest.raises(BadCategories, match=why):
        check_merge(TREE, merged, into)


@pytest.mark.parametrize(
    ("whole", "parts", "why"),
    [
        ("owl", ["owl", "barn_owl"], "mean less"),
        ("owl", ["barn_owl"], "two categories or more"),
        ("owl", ["barn_owl", "fox"], "no part of owl"),
        ("owl", ["barn_owl", "dodo"], "no longer stands"),
        ("dodo", ["a", "b"], "no longer stands"),
        ("cat", ["a", "b"], "no category cat"),
    ],
)
def test_what_would_change_an_ids_meaning_is_no_split(whole, parts, why):
    with pytest.raises(BadCategories, match=why):
        check_split(TREE, whole, parts)
    check_split(TREE, "owl", ["barn_owl", "eagle_owl"])


def test_findings_are_read_under_todays_names():
    successors = {"finch": "songbird", "sparrow": "songbird", "owl": None}
    said = [
        Finding(1, "owl", 0.4, {"owl": 0.4, "finch": 0.3, "sparrow": 0.3}),
        Finding(2, "gull", 0.4, {"gull": 0.4, "finch": 0.35, "sparrow": 0.25}),
        Finding(3, "gull", 0.9, {"gull": 0.9, "__none__": 0.1}),
        Finding(4, "yes", 0.9, {}, "finch"),
        Finding(5, "no", 0.9, {}, "finch"),
        Finding(6, "yes", 0.9, {}, "owl"),
        Finding(7, "no", 0.9, {}, "gull"),
        Finding(8, "gull", 0.6, {"gull": 0.6, "owl": 0.4}),
    ]
    told = {row.round: row for row in in_todays_words(said, successors)}
    assert set(told) == {2, 3, 4, 7, 8}
    assert (told[2].label, told[2].confidence) == ("songbird", 0.6)
    assert told[2].posterior == {"gull": 0.4, "songbird": 0.6}
    assert told[3] is said[2]
    assert told[4].proposed == "songbird"
    assert told[7].proposed == "gull"
    assert told[8].posterior == {"gull": 0.6}


@pytest.fixture
def flock(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three categories; the round is closed."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL = str(tmp_path / "store")
    world = World(categories=("finch", "owl", "sparrow")).fill()
    Round.objects.update(state=Round.State.CLOSED)
    return world


def change(*words: str) -> dict:
    """What the command says as JSON."""
    out = io.StringIO()
    call_command("change_category", "birds", *words, "--by", "ada", "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_merge_gives_the_same_pictures_one_class(flock, tmp_path):
    old = publish_release(flock.dataset, "1.0.0", tmp_path).folder
    votes = list(Vote.objects.order_by("pk").values())
    consensus = list(Consensus.objects.order_by("pk").values())
    told = change(
        "--merge", "finch,sparrow", "songbird", "--name", "songbird=Songbird", "--reason", "too alike"
    )
    assert told["changes"][0]["by"] == "ada"
    assert told["ask_again"] == {"votes": 0, "references": 0, "gold": 0}
    with pytest.raises(ReleaseRefused, match=r"merged after 1\.0\.0 \(finch, sparrow\).*2\.0\.0"):
        publish_release(flock.dataset, "1.1.0", tmp_path)
    new = publish_release(flock.dataset, "2.0.0", tmp_path).folder
    assert verify(new) == []
    assert list(Vote.objects.order_by("pk").values()) == votes
    assert list(Consensus.objects.order_by("pk").values()) == consensus
    before, after = (
        {row["image"]: row for row in pq.read_table(folder / "manifest.parquet").to_pylist()}
        for folder in (old, new)
    )
    assert before.keys() == after.keys()
    assert {r["category"] for r in after.values()} == {"owl", "songbird"}
    assert all(after[i]["split"] == row["split"] for i, row in before.items())
    labels = set(pq.read_table(new / "votes.parquet")["label"].to_pylist())
    assert labels == {"owl", "songbird"}
    soft = pq.read_table(new / "posteriors.parquet").to_pylist()
    assert {row["category"] for row in soft} == {"owl", "songbird"}
    tree = {node["id"]: node for node in json.loads((new / "categories.json").read_text())}
    assert tree["finch"]["index"] is None
    assert tree["finch"]["parent"] == "songbird"
    assert tree["songbird"]["history"] == tree["finch"]["history"] == tree["sparrow"]["history"]
    assert tree["songbird"]["history"][0]["reason"] == "too alike"
    assert "ada" not in (new / "categories.json").read_text()
    assert "history" not in tree["owl"]
    assert "history" not in (old / "categories.json").read_text()


def test_diff_tells_what_was_recorded_first_and_marks_the_rest(flock, tmp_path):
    old = publish_release(flock.dataset, "1.0.0", tmp_path).folder
    change("--rename", "owl", "Strix owl", "--reason", "clearer")
    change("--merge", "finch,sparrow", "songbird", "--reason", "too alike")
    Category.objects.filter(key="songbird").update(name="Song bird")
    new = publish_release(flock.dataset, "2.0.0", tmp_path).folder
    with diff_releases(old, new) as diff:
        told, lines = diff.summary()["categories"], as_text(diff).splitlines()
    assert [c["kind"] for c in told["recorded"]] == ["renamed", "merged"]
    assert told["recorded"][1]["pictures"] == {"finch": {"songbird": 9}, "sparrow": {"songbird": 9}}
    assert told["unrecorded"] == []
    assert "category owl was renamed from 'Owl' to 'Strix owl'" in lines[3]
    assert "finch (9 pictures), sparrow (9 pictures) were merged into songbird" in lines[4]
    assert not [line for line in lines if "seen, not recorded" in line]
    # By hand in the administration: seen, and not recorded.
    Category.objects.filter(key="owl").update(name="Night owl")
    third = publish_release(flock.dataset, "2.1.0", tmp_path).folder
    with diff_releases(new, third) as diff:
        assert diff.summary()["categories"]["recorded"] == []
        assert diff.summary()["categories"]["unrecorded"] == [{"kind": "renamed", "id": "owl"}]
        assert "'Night owl', not 'Strix owl' any more (seen, not recorded)" in as_text(diff)


def test_a_split_asks_about_its_pictures_again(flock, tmp_path):
    publish_release(flock.dataset, "1.0.0", tmp_path)
    listed = tmp_path / "again.csv"
    known = flock.dataset.images.order_by("pk").filter(tasks__consensus__label="owl")[0]
    gold = Gold.objects.create(dataset=flock.dataset, image=known, category=flock.categories["owl"])
    told = change("--split", "owl", "barn_owl,tawny_owl", "--reason", "asked for", "--list", str(listed))
    assert told["ask_again"] == {"votes": 6, "references": 3, "gold": 1}
    rows = list(csv.DictReader(listed.open()))
    assert len(rows) == 9
    with pytest.raises(ReleaseFailed, match=r"3 test pictures.*give those of owl, which was split"):
        publish_release(flock.dataset, "2.0.0", tmp_path)
    round = Round.objects.create(dataset=flock.dataset, question="classify", title="Which owl?")
    assert round.choices()[:4] == ["finch", "sparrow", "barn_owl", "tawny_owl"]
    assert flock.round.choices()[:3] == ["finch", "owl", "sparrow"]
    flock.categories = {c.key: c for c in flock.dataset.categories.all()}
    images = {image.sha256: image for image in flock.dataset.images.all()}
    for place, row in enumerate(rows):
        label = ("barn_owl", "tawny_owl")[place % 2]
        flock.vote(images[row["image"]], [label] * 3, round=round)
        Reference.objects.filter(image=images[row["image"]]).update(category=flock.categories[label])
    # Every class must stand in every split: the classes of test follow from the order of the pictures.
    for key in ("barn_owl", "tawny_owl"):
        for split in ("train", "val", "test"):
            image = flock.add_image(split=split)
            flock.vote(image, [key] * 3, round=round)
            flock.refer(image, key)
    Task.objects.filter(round=round).update(state=Task.State.SETTLED)
    gold.delete()
    assert change("--history")["ask_again"] == {"votes": 0, "references": 0, "gold": 0}
    new = publish_release(flock.dataset, "2.0.0", tmp_path).folder
    assert verify(new) == []
    manifest = pq.read_table(new / "manifest.parquet").to_pylist()
    assert {row["category"] for row in manifest} == {"finch", "sparrow", "barn_owl", "tawny_owl"}
    assert len(manifest) == 27 + 6
    with diff_releases(tmp_path / "birds-1.0.0", new) as diff:
        assert diff.summary()["categories"]["unrecorded"] == []
        assert "category owl was split into barn_owl (5 pictures), tawny_owl (4 pictures)" in as_text(diff)


def test_a_merged_category_can_be_merged_and_split_again(flock, tmp_path):
    change("--merge", "finch,sparrow", "songbird", "--reason", "a")
    change("--merge", "songbird,owl", "bird", "--reason", "b")
    assert flock.dataset.categories.successors() == dict.fromkeys(
        ("finch", "owl", "songbird", "sparrow"), "bird"
    )
    folder = publish_release(flock.dataset, "1.0.0", tmp_path).folder
    assert {r["category"] for r in pq.read_table(folder / "manifest.parquet").to_pylist()} == {"bird"}
    change("--split", "bird", "big,small", "--reason", "c")
    assert set(flock.dataset.categories.successors().values()) == {None}


def test_answers_to_whether_it_is_a_merged_category(flock, tmp_path):
    """A yes is one for the class that took it in; a no says nothing about that class."""
    asked = Round.objects.create(dataset=flock.dataset, question="verify", title="Finches?")
    for answer, place in ((Vote.Answer.YES, 1), (Vote.Answer.NO, 2)):
        image = flock.add_image()
        task = Task.objects.create(
            round=asked, image=image, rank=place, wanted=1, votes=1, category=flock.categories["finch"]
        )
        Vote.objects.create(task=task, worker=flock.workers[0], answer=answer)
        said = str(answer.label)
        Consensus.objects.create(
            task=task, label=said, confidence=0.9, votes=1, method="majority", posterior={said: 0.9}
        )
        if answer == Vote.Answer.NO:
            flock.vote(image, ["finch", "sparrow", "sparrow"])
            refuted = image.sha256
        else:
            confirmed = image.sha256
    Round.objects.update(state=Round.State.CLOSED)
    change("--merge", "finch,sparrow", "songbird", "--reason", "too alike")
    folder = publish_release(flock.dataset, "1.0.0", tmp_path).folder
    assert verify(folder) == []
    released = {r["image"]: r for r in pq.read_table(folder / "manifest.parquet").to_pylist()}
    votes = pq.read_table(folder / "votes.parquet").to_pylist()
    assert (released[confirmed]["category"], released[confirmed]["confidence"]) == ("songbird", 0.9)
    assert [v["proposed"] for v in votes if v["image"] == confirmed] == ["songbird"]
    assert (released[refuted]["category"], released[refuted]["confidence"]) == ("songbird", 1.0)
    said = {(v["label"], v["proposed"]) for v in votes if v["image"] == refuted}
    assert said == {("songbird", None), ("no", "finch")}


def test_a_takedown_keeps_its_parents_categories(flock, tmp_path):
    old = publish_release(flock.dataset, "1.0.0", tmp_path).folder
    change("--merge", "finch,sparrow", "songbird", "--reason", "too alike")
    row = next(r for r in pq.read_table(old / "manifest.parquet").to_pylist() if r["split"] == "train")
    made = take_down(flock.dataset, "1.0.1", [row["image"]], "its author asked", tmp_path)
    assert (made.folder / "categories.json").read_bytes() == (old / "categories.json").read_bytes()


def test_an_open_round_keeps_its_question(world):
    with pytest.raises(BadInput, match=f"round {world.round.pk} .* is open"):
        change("--merge", "finch,owl", "bird", "--reason", "alike")
    change("--rename", "owl", "Owls", "--reason", "a name harms nobody")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--rename", "cat", "Cat", "--reason", "x"], "no category cat"),
        (["--rename", "owl", "Owl", "--reason", "x"], "called 'Owl' already"),
        (["--rename", "owl", " ", "--reason", "x"], "must be called something"),
        (["--rename", "owl", "Owls"], "the reason must say why"),
        (["--merge", "finch,owl", "bird"], "the reason must say why"),
        (["--merge", "finch,owl", "bird", "--name", "b=B", "--reason", "x"], "makes no category b"),
        (["--merge", "finch,owl", "bird", "--name", "bird", "--reason", "x"], "ID=NAME"),
        (["--split", "owl", "a,b", "--reason", "x", "--list", "/nowhere/f.csv"], "no folder"),
    ],
)
def test_unusable_changes_change_nothing(flock, words, why):
    before = list(Category.objects.order_by("pk").values())
    with pytest.raises(BadInput, match=why):
        change(*words)
    assert list(Category.objects.order_by("pk").values()) == before
    assert not flock.dataset.category_changes.exists()
