"""What can be asked of a release: filters of labels, subsets of pictures, few pictures a class."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from export import layout
from export.checks import check_release
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import ReleaseFailed, publish_release
from ingest.models import Candidate, Category, Image, Source
from tests.export.world import World

pytestmark = pytest.mark.django_db


def table(folder: Path, name: str = layout.MANIFEST) -> pd.DataFrame:
    return pd.read_parquet(folder / name)


def document(folder: Path) -> dict:
    return json.loads((folder / layout.RELEASE).read_text())


def labelled(world: World, key: str, split: str = "train") -> Image:
    image = world.add_image(split=split)
    world.vote(image, [key, key, key])
    if split == "test":
        world.refer(image, key)
    return image


@pytest.fixture
def zoo(world: World) -> World:
    """Birds and, below `mammal`, cats and dogs."""
    mammal = Category.objects.create(dataset=world.dataset, key="mammal", name="Mammal")
    for key in ("cat", "dog"):
        Category.objects.create(dataset=world.dataset, key=key, name=key.title(), parent=mammal)
    world.categories = {c.key: c for c in world.dataset.categories.all()}
    for key in ("cat", "dog"):
        for split in ("train", "train", "val", "test"):
            labelled(world, key, split)
    return world


def test_a_category_comes_with_all_below_it(zoo: World, tmp_path: Path) -> None:
    mixed = zoo.add_image()
    zoo.vote(mixed, ["cat", "cat", "owl", "dog"])
    made = publish_release(zoo.dataset, "1.0.0", tmp_path, Wishes(categories=["mammal"]))
    assert check_release(made.folder) == []
    assert set(table(made.folder)["category"]) == {"cat", "dog"}
    assert document(made.folder)["parameters"]["categories"] == ["mammal"]
    assert made.release.counts["left_out"]["other_category"] == 18
    soft = table(made.folder, layout.POSTERIORS).query("image == @mixed.sha256")
    assert dict(zip(soft["category"], soft["probability"], strict=True)) == pytest.approx(
        {"cat": 2 / 3, "dog": 1 / 3}, abs=1e-5
    )
    votes = table(made.folder, layout.VOTES).query("image == @mixed.sha256")
    assert sorted(votes["label"]) == ["cat", "cat", "dog", "owl"]  # votes are facts and stay whole


def test_another_subset_is_a_new_major_version_and_test_pictures_stay_test_pictures(
    zoo: World, tmp_path: Path
) -> None:
    whole = table(publish_release(zoo.dataset, "1.0.0", tmp_path).folder)
    with pytest.raises(ReleaseRefused, match=r"new major version, 2\.0\.0"):
        publish_release(zoo.dataset, "1.1.0", tmp_path, Wishes(categories=["mammal"]))
    part = publish_release(zoo.dataset, "2.0.0", tmp_path, Wishes(categories=["mammal"]))
    tested = whole[whole.split == "test"]
    assert set(table(part.folder).query("split == 'test'")["image"]) == set(
        tested[tested.category.isin(["cat", "dog"])]["image"]
    )
    assert any("still a test picture" in w for w in part.warnings)
    again = table(publish_release(zoo.dataset, "3.0.0", tmp_path).folder)
    assert again[["image", "split"]].equals(whole[["image", "split"]])


def test_a_test_picture_whose_reference_leaves_the_subset_stays_as_it_was(zoo: World, tmp_path: Path) -> None:
    image = labelled(zoo, "cat", "test")
    wishes = Wishes(categories=["cat,dog"])
    publish_release(zoo.dataset, "1.0.0", tmp_path, wishes)
    for expert in ("grace", "edsger"):
        zoo.refer(image, "owl", expert)
    rows = table(publish_release(zoo.dataset, "1.1.0", tmp_path, wishes).folder).set_index("image")
    assert rows.loc[image.sha256, ["split", "category"]].tolist() == ["test", "cat"]


def test_licences_and_sources(world: World, tmp_path: Path) -> None:
    other = Source.objects.create(dataset=world.dataset, kind="folder", location="pictures/more")
    free = [labelled(world, key, split) for key in ("owl", "finch") for split in ("train", "val", "test")]
    Candidate.objects.filter(image__in=free).update(licence="CC0-1.0", source=other)
    twice = labelled(world, "owl")
    found = twice.candidates.get()
    found.pk, found.source, found.url, found.licence = None, other, "x/twice.jpg", "CC0-1.0"
    found.save()
    bare = labelled(world, "owl")
    bare.candidates.update(licence="")
    world.dataset.licence = ""
    world.dataset.save()

    wishes = Wishes(licences=["CC0-1.0, unknown"])
    made = publish_release(world.dataset, "1.0.0", tmp_path / "licences", wishes)
    assert set(table(made.folder)["image"]) == {i.sha256 for i in [*free, bare]}
    assert made.release.counts["left_out"] == {"other_licence": 19}

    wishes = Wishes(sources=[str(other.pk)])
    made = publish_release(world.dataset, "2.0.0", tmp_path / "sources", wishes)
    rows = table(made.folder).set_index("image")
    assert set(rows.index) == {i.sha256 for i in [*free, twice]}
    assert rows.loc[twice.sha256, "source_url"] == "x/twice.jpg"
    assert document(made.folder)["parameters"]["sources"] == [f"folder {other.pk}"], "no path of this machine"
    by_location = publish_release(world.dataset, "3.0.0", tmp_path, Wishes(sources=["http://127.0.0.1/"]))
    assert len(table(by_location.folder)) == 18 + 2


def test_rounds_decide_train_and_val_alone(world: World, tmp_path: Path) -> None:
    doubted = world.dataset.images.filter(group__draw__gte=0.2).order_by("pk").first()
    second = world.dataset.rounds.create(question="classify", title="Second")
    world.vote(doubted, ["owl", "owl"], round=second)
    made = publish_release(world.dataset, "1.0.0", tmp_path, Wishes(rounds=[str(world.round.pk)]))
    rows = table(made.folder).set_index("image")
    assert rows.loc[doubted.sha256, ["category", "votes"]].tolist() == ["finch", 3]
    assert set(table(made.folder, layout.VOTES)["round"]) == {str(world.round.pk)}
    assert made.release.parameters["rounds"] == [world.round.pk]
    rows = table(publish_release(world.dataset, "1.0.1", tmp_path).folder).set_index("image")
    assert rows.loc[doubted.sha256, ["category", "votes"]].tolist() == ["owl", 5]
    with pytest.raises(ReleaseFailed, match="finch in train"):
        publish_release(world.dataset, "1.1.0", tmp_path, Wishes(rounds=[str(second.pk)]))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(categories=["owls"]), "--category owls: no such category; there are: owl"),
        (Wishes(licences=["GPL"]), "--licence GPL: no such licence; there are: CC BY 4.0"),
        (Wishes(sources=["99999"]), "--source 99999: no such source"),
        (Wishes(rounds=["7,x"]), "no such round"),
        (Wishes(categories=[","]), "--category names no category"),
        (Wishes(min_confidence=1.5), "0 to 1"),
        (Wishes(per_class=0), "1 or more"),
        (Wishes(longest_side=4), "16 to 65,500"),
        (Wishes(longest_side=64, quality=0), "1 to 95"),
    ],
    ids=str,
)
def test_unknown_names_and_numbers_are_refused(
    world: World, tmp_path: Path, wishes: Wishes, said: str
) -> None:
    with pytest.raises(ReleaseRefused) as caught:
        publish_release(world.dataset, "1.0.0", tmp_path / "out", wishes)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_few_pictures_a_class_and_a_larger_number_only_adds(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        labelled(world, "owl")
    trained: list[set[str]] = []
    for number in (1, 2, 5, 9):
        made = publish_release(world.dataset, f"1.0.{number}", tmp_path, Wishes(per_class=number))
        rows = table(made.folder)
        assert rows[rows.split == "train"].groupby("category").size().to_dict() == {
            "finch": min(number, 4),
            "owl": min(number, 7),
        }
        assert made.release.counts["left_out"].get("surplus", 0) == max(0, 4 - number) + max(0, 7 - number)
        assert len(table(made.folder, layout.VOTES)) == rows["votes"].sum()
        trained.append(set(rows[rows.split == "train"].image))
        assert len(rows[rows.split != "train"]) == 10
    assert trained[0] < trained[1] < trained[2] < trained[3]


def test_imbalance_is_told(world: World, tmp_path: Path) -> None:
    spread = publish_release(world.dataset, "1.0.0", tmp_path).release.counts["imbalance"]
    assert (spread["ratio"], spread["effective_classes"]) == (1.0, 2.0)
    for _ in range(44):
        world.vote(world.add_image(), ["owl", "owl"])
    made = publish_release(world.dataset, "1.1.0", tmp_path)
    spread = document(made.folder)["counts"]["imbalance"]
    assert spread["largest"] == {"category": "owl", "images": 48}
    assert spread["smallest"] == {"category": "finch", "images": 4}
    assert spread["ratio"] == 12
    assert 1 < spread["effective_classes"] < 1.4
    assert any("48 training pictures of owl, 4 of finch" in w for w in made.warnings)
    made = publish_release(world.dataset, "1.2.0", tmp_path, Wishes(per_class=8))
    assert not any("uneven" in w for w in made.warnings)
