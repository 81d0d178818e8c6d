"""Sealed releases: a test split without labels, and the answers in a file beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import call_command

from export import layout, score
from export.checks import check_release
from export.models import Release, ReleaseImage
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import publish_release
from ingest.models import Category
from tests.export.test_verify import edit, edit_json, resign
from tests.export.world import World, bytes_of

pytestmark = pytest.mark.django_db
SEALED = Wishes(sealed=True)


@pytest.fixture
def release(world: World, tmp_path: Path) -> Path:
    return publish_release(world.dataset, "1.0.0", tmp_path / "out", SEALED).folder


def test_the_test_split_shows_no_label_anywhere(world: World, release: Path) -> None:
    assert check_release(release) == []
    rows = pd.read_parquet(release / layout.MANIFEST)
    test = rows[rows.split == "test"]
    assert list(test["path"].str.rsplit("/", n=1).str[0].unique()) == ["test/unlabelled"]
    for column in ("category", "reference", "confidence", "source_url", "page_url"):
        assert test[column].isna().all(), column
    assert set(test["licence"]) == {"CC BY 4.0"}
    assert (test["votes"] == 0).all()
    for name in (layout.VOTES, layout.POSTERIORS):
        assert not set(pd.read_parquet(release / name)["image"]) & set(test["image"])
    assert [p.name for p in (release / "test").iterdir()] == ["unlabelled"]
    assert rows[rows.split != "test"]["category"].notna().all()
    # The database goes on knowing.
    assert Release.objects.get().sealed
    assert ReleaseImage.objects.filter(split=ReleaseImage.Split.TEST, category__key="owl").count() == 3


def test_the_answers_stand_beside_it_and_score(world: World, release: Path, tmp_path: Path) -> None:
    file = release.parent / "birds-1.0.0-answers.csv"
    frame = pd.read_csv(file)
    assert list(frame.columns) == ["image", "category"]
    assert frame["category"].value_counts().to_dict() == {"finch": 3, "owl": 3}
    told = json.loads((release / layout.RELEASE).read_text())
    assert told["answers"] == {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "images": 6,
    }
    assert told["parameters"]["sealed"] is True
    assert sorted(p.name for p in release.parent.iterdir()) == ["birds-1.0.0", file.name]
    guesses = tmp_path / "guesses.csv"
    frame.rename(columns={"category": "category1"}).to_csv(guesses, index=False)
    assert score.main([str(file), str(guesses)]) == 0


def test_it_is_the_same_again_and_another_release_than_an_open_one(world: World, release: Path) -> None:
    other = release.parent.parent / "again"
    again = publish_release(world.dataset, "1.0.0", other, SEALED)
    assert again.again
    assert bytes_of(again.folder) == bytes_of(release)
    assert (other / "birds-1.0.0-answers.csv").exists()
    with pytest.raises(ReleaseRefused, match="with other parameters"):
        publish_release(world.dataset, "1.0.0", other.parent / "open")


def test_answers_that_are_there_are_never_overwritten(world: World, tmp_path: Path) -> None:
    file = tmp_path / "birds-1.0.0-answers.csv"
    file.write_text("mine")
    with pytest.raises(ReleaseRefused, match=r"birds-1\.0\.0-answers\.csv exists already"):
        publish_release(world.dataset, "1.0.0", tmp_path, SEALED)
    assert file.read_text() == "mine"
    (tmp_path / ".birds-1.0.0.partial").mkdir()  # a killed run does not make them its own
    with pytest.raises(ReleaseRefused, match=r"birds-1\.0\.0-answers\.csv exists already"):
        publish_release(world.dataset, "1.0.0", tmp_path, SEALED)
    assert file.read_text() == "mine"
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ReleaseRefused, match="exists already"):
        publish_release(world.dataset, "1.0.0", tmp_path, SEALED)
    assert file.is_symlink()


def test_a_category_called_unlabelled_and_labels_published_before(world: World, tmp_path: Path) -> None:
    publish_release(world.dataset, "1.0.0", tmp_path)
    made = publish_release(world.dataset, "1.0.1", tmp_path, SEALED)
    assert any("birds-1.0.0 shows the labels" in w for w in made.warnings)
    Category.objects.create(dataset=world.dataset, key="unlabelled", name="?")
    with pytest.raises(ReleaseRefused, match="unlabelled"):
        publish_release(world.dataset, "1.0.2", tmp_path, SEALED)


def _tell(column: str, value: object) -> Callable[[Path], None]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[frame.index[frame["split"] == "test"][0], column] = value
        return frame

    return edit(layout.MANIFEST, change)


def _row_of_test(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        rows = pd.read_parquet(folder / layout.MANIFEST)
        image = rows[rows.split == "test"]["image"].iloc[0]
        edit(name, lambda frame: pd.concat([frame, frame.iloc[:1].assign(image=image)]))(folder)

    return apply


def _named_in_the_card(folder: Path) -> None:
    rows = pd.read_parquet(folder / layout.MANIFEST)
    with (folder / layout.CARD).open("a") as card:
        card.write(f"\n{rows[rows.split == 'test']['image'].iloc[0]} is an owl\n")


@pytest.mark.parametrize(
    "tell",
    [
        _tell("reference", "owl"),
        _tell("category", "owl"),
        _tell("confidence", 0.5),
        _tell("source_url", "http://owls.example/1.jpg"),
        _tell("votes", 3),
        _row_of_test(layout.VOTES),
        _row_of_test(layout.POSTERIORS),
        _named_in_the_card,
        edit(layout.MANIFEST, lambda frame: frame.assign(label="owl")),
        edit_json(layout.RELEASE, lambda d: d.pop("answers")),
    ],
    ids=["reference", "category", "confidence", "url", "votes", "vote", "soft", "card", "column", "answers"],
)
def test_a_label_of_a_test_picture_anywhere_breaks_the_seal(
    release: Path, tell: Callable[[Path], None]
) -> None:
    tell(release)
    resign(release)
    assert "sealed" in {p.rule for p in check_release(release)}


def test_the_command_says_where_the_answers_are(world: World, tmp_path: Path) -> None:
    out = StringIO()
    call_command("export_release", "birds", "1.0.0", "--output", str(tmp_path), "--sealed", stdout=out)
    assert f"answers {tmp_path / 'birds-1.0.0-answers.csv'}" in out.getvalue()
