"""`export_release` against the contract of a release folder."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from annotation_site.models import Round, Task
from export import layout
from export.checks import check_release
from export.models import Release, ReleaseImage
from export.services import making
from export.services.plan import Plan
from export.services.publish import publish_release
from ingest.models import Category, DuplicateGroup
from quality.models import Consensus, Gold, Reference
from quality.services.consensus import consensus_by_image
from tests.export.world import World, bytes_of, picture

pytestmark = pytest.mark.django_db


def export(world: World, version: str, output: Path, *options: str) -> dict:
    """Run the command; what it printed."""
    out = StringIO()
    call_command(
        "export_release", world.dataset.name, version, "--output", str(output), "--json", *options, stdout=out
    )
    return json.loads(out.getvalue())


def refused(world: World, version: str, output: Path, *options: str) -> CommandError:
    """Run the command, which must fail; the error."""
    with pytest.raises(CommandError) as caught:
        export(world, version, output, *options)
    return caught.value


def manifest(folder: str | Path) -> pd.DataFrame:
    return pd.read_parquet(Path(folder) / layout.MANIFEST)


def test_the_folder_keeps_every_rule_and_says_what_it_holds(world: World, tmp_path: Path) -> None:
    made = export(world, "1.0.0", tmp_path / "out")
    folder = Path(made["folder"])
    assert folder == tmp_path / "out" / "birds-1.0.0"
    assert check_release(folder) == []
    rows = manifest(folder)
    assert list(rows.columns) == layout.MANIFEST_SCHEMA.names
    assert rows["split"].value_counts().to_dict() == {"train": 8, "val": 4, "test": 6}
    assert rows["image"].is_monotonic_increasing
    assert set(rows["licence"]) == {"CC BY 4.0"}
    assert rows["source_url"].str.startswith("http://127.0.0.1/").all()
    assert rows.loc[rows.split != "test", "reference"].isna().all()
    document = json.loads((folder / "release.json").read_text())
    assert document["parent"] is None
    assert document["counts"]["images"] == 18
    assert document["cost"] is None
    assert document["label_accuracy"]["n"] == 6
    assert document["label_accuracy"]["value"] == 1.0
    assert 0.5 < document["label_accuracy"]["lo"] < 0.7
    assert "random" in document["label_accuracy"]["basis"]
    assert Release.objects.get().fingerprint == made["fingerprint"]
    assert ReleaseImage.objects.filter(split=ReleaseImage.Split.TEST).count() == 6
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["birds-1.0.0"]


def test_votes_and_soft_labels_travel_with_pseudonyms(world: World, tmp_path: Path) -> None:
    folder = Path(export(world, "1.0.0", tmp_path)["folder"])
    votes = pd.read_parquet(folder / layout.VOTES)
    assert len(votes) == 18 * 3
    codes = {worker.code for worker in world.workers}
    assert not codes & set(votes["worker"])
    assert votes["worker"].nunique() == 3
    assert str(votes["created"].dt.tz) == "UTC"
    soft = pd.read_parquet(folder / layout.POSTERIORS)
    assert soft.groupby("image")["probability"].sum().round(5).eq(1).all()
    other = Path(export(world, "1.0.1", tmp_path)["folder"])
    again = pd.read_parquet(other / layout.VOTES)
    assert not set(votes["worker"]) & set(again["worker"]), "releases can be joined by worker"


def test_the_same_state_gives_the_same_bytes_in_another_folder(world: World, tmp_path: Path) -> None:
    first = export(world, "1.0.0", tmp_path / "a")
    second = export(world, "1.0.0", tmp_path / "b")
    assert second["again"]
    assert not first["again"]
    assert bytes_of(Path(first["folder"])) == bytes_of(Path(second["folder"]))
    assert Release.objects.count() == 1
    world.vote(world.add_image(), ["owl", "owl", "owl"])
    error = refused(world, "1.0.0", tmp_path / "c")
    assert error.returncode == 2
    assert "changed since" in str(error)
    assert not list((tmp_path / "c").iterdir())


def test_an_existing_version_and_bad_versions_are_refused(world: World, tmp_path: Path) -> None:
    export(world, "1.1.0", tmp_path)
    before = bytes_of(tmp_path / "birds-1.1.0")
    for version in ("1.1.0", "1.0.9", "1.1", "v2", "01.2.3"):
        error = refused(world, version, tmp_path)
        assert error.returncode == 2, version
        assert "\n" not in str(error)
    (tmp_path / "birds-2.0.0").mkdir()
    assert refused(world, "2.0.0", tmp_path).returncode == 2
    assert not list((tmp_path / "birds-2.0.0").iterdir())
    assert bytes_of(tmp_path / "birds-1.1.0") == before


def test_shares_are_set_at_the_first_release_only(world: World, tmp_path: Path) -> None:
    assert refused(world, "1.0.0", tmp_path, "--splits", "80/20").returncode == 2
    export(world, "1.0.0", tmp_path, "--splits", "75/15/10")
    world.dataset.refresh_from_db()
    assert world.dataset.splits == "75/15/10"
    error = refused(world, "1.1.0", tmp_path, "--splits", "80/10/10")
    assert error.returncode == 2
    assert "75/15/10" in str(error)
    export(world, "1.1.0", tmp_path, "--splits", "75/15/10")


def test_a_missing_class_is_named_and_nothing_is_written(world: World, tmp_path: Path) -> None:
    Category.objects.create(dataset=world.dataset, key="wren", name="Wren")
    error = refused(world, "1.0.0", tmp_path / "out")
    assert error.returncode == 1
    assert "wren in train, wren in val, wren in test" in str(error)
    assert not list((tmp_path / "out").iterdir())
    assert not Release.objects.exists()


def test_an_inner_node_of_the_tree_needs_no_pictures(world: World, tmp_path: Path) -> None:
    bird = Category.objects.create(dataset=world.dataset, key="bird", name="Bird")
    world.dataset.categories.exclude(pk=bird.pk).update(parent=bird)
    folder = Path(export(world, "1.0.0", tmp_path)["folder"])
    rows = json.loads((folder / "categories.json").read_text())
    assert [(r["id"], r["index"], r["parent"]) for r in rows] == [
        ("finch", 0, "bird"),
        ("owl", 1, "bird"),
        ("bird", None, None),
    ]


def test_what_is_left_out_is_counted_by_reason(world: World, tmp_path: Path) -> None:
    group = DuplicateGroup.objects.first()
    world.add_image(group=group)
    world.vote(world.add_image(), ["__none__", "__none__", "owl"])
    world.vote(world.add_image(), ["owl"])
    world.vote(world.add_image(), ["owl", "finch"])
    world.add_image()
    world.vote(world.add_image(split="test"), ["owl", "owl", "owl"])
    nothing = world.add_image(split="test")
    world.refer(nothing, "__none__")
    thrown = world.add_image()
    world.vote(thrown, ["owl", "owl", "owl"])
    world.refer(thrown, "__none__")
    lost = world.add_image()
    world.vote(lost, ["owl", "owl", "owl"])
    lost.candidates.all().delete()
    made = export(world, "1.0.0", tmp_path, "--min-votes", "2", "--min-confidence", "0.6")
    assert made["counts"]["left_out"] == {
        "duplicate": 1,
        "no_reference": 1,
        "reference_none": 2,
        "no_consensus": 1,
        "none_of_these": 1,
        "few_votes": 1,
        "unsure": 1,
        "no_source": 1,
    }
    assert made["counts"]["images"] == 18
    assert any("without a settled reference" in w for w in made["warnings"])


def test_test_takes_the_reference_and_train_the_consensus(world: World, tmp_path: Path) -> None:
    wrong = world.add_image(split="test")
    world.vote(wrong, ["owl", "owl", "finch"])
    world.refer(wrong, "finch")
    unseen = world.add_image(split="test")
    world.refer(unseen, "owl")
    disputed = world.add_image(split="train")
    world.vote(disputed, ["owl", "owl", "finch"])
    world.refer(disputed, "finch")
    made = export(world, "1.0.0", tmp_path)
    rows = manifest(made["folder"]).set_index("image")
    assert rows.loc[wrong.sha256, "category"] == "finch"
    assert rows.loc[wrong.sha256, "confidence"] == pytest.approx(1 / 3, abs=1e-6)
    assert rows.loc[unseen.sha256, "category"] == "owl"
    assert pd.isna(rows.loc[unseen.sha256, "confidence"])
    assert rows.loc[disputed.sha256, "category"] == "owl"
    assert rows.loc[disputed.sha256, "reference"] == "finch"
    # The unseen picture has no consensus to be right or wrong; the disputed one stands in train.
    assert made["label_accuracy"]["n"] == 7
    assert made["label_accuracy"]["value"] == pytest.approx(6 / 7, abs=1e-6)


def test_gold_says_nothing_about_accuracy(world: World, tmp_path: Path) -> None:
    image = world.dataset.images.get(pk=Reference.objects.first().image_id)
    Gold.objects.create(dataset=world.dataset, image=image, category=world.categories["finch"])
    assert export(world, "1.0.0", tmp_path)["label_accuracy"]["n"] == 5


def test_accuracy_on_chosen_references_says_so(world: World, tmp_path: Path) -> None:
    Consensus.objects.filter(task__image__group__draw__lt=0.1).delete()
    for image in world.dataset.images.filter(group__draw__gte=0.2)[:4]:
        world.refer(image, "owl")
    found = export(world, "1.0.0", tmp_path)["label_accuracy"]
    assert found["n"] == 4
    assert "not a random sample" in found["basis"]


def test_no_vote_has_a_licence_or_accuracy_out_of_thin_air(world: World, tmp_path: Path) -> None:
    world.dataset.sources.get().candidates.update(licence="")
    world.dataset.licence = ""
    world.dataset.save()
    Consensus.objects.filter(task__image__group__draw__lt=0.1).delete()
    made = export(world, "1.0.0", tmp_path)
    assert made["label_accuracy"] is None
    assert set(manifest(made["folder"])["licence"]) == {"unknown"}
    assert len(made["warnings"]) == 2


def test_pictures_lose_camera_data_and_lie_upright(world: World, tmp_path: Path) -> None:
    turned = world.add_image(picture(900, orientation=6))
    gif = world.add_image(picture(901, form="GIF"))
    for image in (turned, gif):
        world.vote(image, ["owl", "owl", "owl"])
    folder = Path(export(world, "1.0.0", tmp_path)["folder"])
    rows = manifest(folder).set_index("image")
    assert tuple(rows.loc[turned.sha256, ["width", "height"]]) == (14, 20)
    assert rows.loc[gif.sha256, "path"].endswith(".png")
    assert not [p for p in folder.rglob("*") if p.is_file() and b"Camera maker" in p.read_bytes()]


def test_a_gone_original_is_one_clear_line(world: World, tmp_path: Path) -> None:
    image = world.dataset.images.filter(group__draw__gte=0.2).first()
    world.store.path(image.sha256).unlink()
    error = refused(world, "1.0.0", tmp_path / "out")
    assert error.returncode == 1
    assert image.sha256 in str(error)
    assert not list((tmp_path / "out").iterdir())


def test_the_newest_round_wins_and_verify_rounds_count(world: World, tmp_path: Path) -> None:
    said_owl = world.add_image()
    world.vote(said_owl, ["owl", "owl", "owl"])
    verify = Round.objects.create(dataset=world.dataset, question="verify")
    for category, label, sure in (("finch", "yes", 0.9), ("owl", "no", 0.8)):
        task = Task.objects.create(
            round=verify, image=said_owl, category=world.categories[category], rank=0, wanted=3
        )
        Consensus.objects.create(
            task=task, label=label, confidence=sure, votes=3, method="majority", posterior={label: sure}
        )
    rejected = world.add_image()
    world.vote(rejected, ["owl", "owl", "owl"])
    task = Task.objects.create(
        round=verify, image=rejected, category=world.categories["owl"], rank=0, wanted=3
    )
    Consensus.objects.create(task=task, label="no", confidence=0.7, votes=3, method="majority")
    folder = export(world, "1.0.0", tmp_path)["folder"]
    rows = manifest(folder).set_index("image")
    assert rows.loc[said_owl.sha256, "category"] == "finch"
    assert rows.loc[said_owl.sha256, "confidence"] == 0.9
    assert rejected.sha256 not in rows.index
    labels = {c.image_id: c.label for c in consensus_by_image(world.dataset)}
    for image in world.dataset.images.exclude(group__draw__lt=0.1):
        assert labels.get(image.pk) == (rows["category"].get(image.sha256)), "not what quality says"


def test_paid_votes_cost_what_they_cost(world: World, tmp_path: Path) -> None:
    world.round.price = "0.02"
    world.round.save()
    world.round.participations.create(worker=world.workers[0], votes=54)
    publish_release(world.dataset, "1.0.0", tmp_path)
    document = json.loads((tmp_path / "birds-1.0.0" / "release.json").read_text())
    assert document["cost"] == {"votes": 54, "usd": 1.08}


def test_a_category_with_one_group_cannot_stand_in_every_split(world: World, tmp_path: Path) -> None:
    wren = Category.objects.create(dataset=world.dataset, key="wren", name="Wren")
    world.categories["wren"] = wren
    world.vote(world.add_image(), ["wren", "wren", "wren"])
    world.vote(world.add_image(split="test"), ["wren", "wren", "wren"])
    error = refused(world, "1.0.0", tmp_path / "out")
    assert error.returncode == 1
    assert "no pictures of wren in val, wren in test" in str(error)
    assert "(left out are 1: drawn for test, but experts have not agreed on a reference)" in str(error)
    assert not list((tmp_path / "out").iterdir())


def test_an_output_that_is_no_folder_or_holds_something_else(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    error = refused(world, "1.0.0", tmp_path / "file")
    assert error.returncode == 2
    assert "is no folder" in str(error)
    (tmp_path / "birds-1.0.0").write_text("mine")
    error = refused(world, "1.0.0", tmp_path)
    assert (error.returncode, "exists already" in str(error)) == (2, True)
    assert sorted(p.read_text() for p in tmp_path.iterdir() if p.is_file()) == ["mine", "mine"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    made = export(world, "1.0.0", tmp_path / "full")
    assert sorted(p.name for p in (tmp_path / "full").iterdir()) == ["birds-1.0.0", "notes.txt"]
    assert check_release(Path(made["folder"])) == []


def test_nothing_of_others_is_lost_where_a_release_would_grow(world: World, tmp_path: Path) -> None:
    left = tmp_path / ".birds-1.0.0.partial"
    left.mkdir()
    (left / "notes.txt").write_text("mine")
    error = refused(world, "1.0.0", tmp_path)
    assert (error.returncode, "holds something else" in str(error)) == (2, True)
    assert (left / "notes.txt").read_text() == "mine"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / left.name).write_text("mine")
    error = refused(world, "1.0.0", tmp_path / "sub")
    assert (error.returncode, "File exists" in str(error)) == (2, True)
    assert (tmp_path / "sub" / left.name).read_text() == "mine"


def test_an_output_that_names_no_place(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    error = refused(world, "1.0.0", Path(), "--output", "")
    assert (error.returncode, "is empty" in str(error)) == (2, True)
    (tmp_path / "file").write_text("mine")
    error = refused(world, "1.0.0", tmp_path / "file" / "below")
    assert (error.returncode, "Not a directory" in str(error)) == (2, True)
    assert not list((tmp_path / "here").iterdir())


def test_a_release_that_another_overtook_is_not_published(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = making.describe

    def overtaken(plan: Plan, *rest: Any) -> dict[str, Any]:
        if plan.version == "1.0.0":
            export(world, "1.1.0", tmp_path / "out")
        return usual(plan, *rest)

    monkeypatch.setattr(making, "describe", overtaken)
    error = refused(world, "1.0.0", tmp_path / "out")
    assert (error.returncode, "was published meanwhile" in str(error)) == (1, True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["birds-1.1.0"]
    assert [str(release) for release in Release.objects.all()] == ["birds-1.1.0"]


@pytest.mark.parametrize("splits", ["80/10", "0/50/50", "100/0/0", "50/40/20", "a/b/c", "80/-10/30", ""])
def test_impossible_splits(world: World, tmp_path: Path, splits: str) -> None:
    error = refused(world, "1.0.0", tmp_path / "out", "--splits", splits)
    assert error.returncode == 2
    assert "splits" in str(error)
    assert not (tmp_path / "out").exists()
