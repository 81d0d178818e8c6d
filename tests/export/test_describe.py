"""The files that describe a release open in the tools they are for, and say what the database knows."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlcroissant
import pandas as pd
import pytest
from PIL import Image

from annotation_site.models import Instructions
from export import layout
from export.checks import check_release
from export.leakage import measure_folder
from export.services.plan import Wishes
from export.services.publish import publish_release
from ingest.models import Candidate
from tests.export.world import World


def published(world: World, tmp_path: Path, wishes: Wishes | None = None) -> Path:
    return publish_release(world.dataset, "1.0.0", tmp_path, wishes).folder


def card_of(folder: Path) -> str:
    """The card in one line, without front matter."""
    return " ".join((folder / layout.CARD).read_text().split("---", 2)[2].split())


def croissant(folder: Path) -> mlcroissant.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = mlcroissant.Dataset(jsonld=str(folder / layout.CROISSANT))
    assert not opened.metadata.ctx.issues.errors
    return opened


def records(opened: mlcroissant.Dataset, name: str) -> list[dict[str, Any]]:
    """The rows of a record set, texts as text, without the record set's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            {k.split("/")[1]: v.decode() if isinstance(v, bytes) else v for k, v in row.items()}
            for row in opened.records(name)
        ]


@pytest.mark.django_db
def test_every_record_of_the_croissant_is_what_the_folder_holds(world: World, tmp_path: Path) -> None:
    folder = published(world, tmp_path)
    opened = croissant(folder)
    manifest = pd.read_parquet(folder / layout.MANIFEST)
    rows = records(opened, "images")
    for column in ("image", "path", "split", "category", "votes", "licence"):
        assert sorted(row[column] for row in rows) == sorted(manifest[column]), column
    assert len(records(opened, "votes")) == 54
    assert len(records(opened, "posteriors")) == len(pd.read_parquet(folder / layout.POSTERIORS))
    assert [row["name"] for row in records(opened, "splits")] == list(layout.SPLITS)
    assert [(r["id"], r["index"]) for r in records(opened, "categories")] == [("finch", 0), ("owl", 1)]
    known = manifest.set_index("image")
    pixels = records(opened, "pixels")
    assert {row["image"] for row in pixels} == set(known.index)
    for row in pixels:
        due = known.loc[row["image"]]
        assert (row["split"], row["category"]) == (due["split"], due["category"])
        assert row["content"].tobytes() == Image.open(folder / due["path"]).tobytes()


@pytest.mark.django_db
def test_the_croissant_tells_how_the_labels_came_about(world: World, tmp_path: Path) -> None:
    told = croissant(published(world, tmp_path)).metadata
    assert "classify, 3 to 9 votes" in told.data_annotation_protocol[0]
    assert told.annotations_per_item == "3.00 counted votes a picture on average"
    assert "Krippendorff" in told.data_annotation_analysis[0]
    assert told.data_collection == "1 page"


@pytest.mark.django_db
def test_votes_from_elsewhere_are_not_said_to_be_blind_or_unpaid(world: World, tmp_path: Path) -> None:
    for worker in world.workers[:3]:
        worker.provider = "import"
        worker.save()
        world.round.participations.create(worker=worker, votes=18)
    folder = published(world, tmp_path)
    card = card_of(folder)
    assert "whether those workers saw each other's answers is not on record. Rounds:" in card
    assert "Taken over: how many votes were asked for, of whom and for what pay is not on record." in card
    assert "Unpaid" not in card
    assert "Workers voted blind" not in card
    told = croissant(folder).metadata
    assert told.data_annotation_protocol == ["Votes that were given elsewhere and taken over"]
    mine = world.workers[3]
    world.round.participations.create(worker=mine, votes=1)
    card = card_of(publish_release(world.dataset, "1.0.1", tmp_path).folder)
    assert "Workers voted blind: nobody saw another's answer. Votes that were taken over were given" in card
    assert "Taken over:" not in card


@pytest.mark.django_db
def test_markup_in_names_and_licences_stays_text(world: World, tmp_path: Path) -> None:
    owl = world.categories["owl"]
    owl.name, owl.gloss = "*Owl* | <b>", "![x](http://example.org/x.png)"
    owl.save()
    Candidate.objects.update(licence="[free](http://example.org)")
    card = card_of(published(world, tmp_path))
    assert r"| `owl` | \*Owl\* \| \<b\> | !\[x\](http://example.org/x.png) | 4 | 2 | 3 |" in card
    assert r"- \[free\](http://example.org): 18" in card


@pytest.mark.django_db
def test_the_votes_of_a_sealed_release_are_averaged_over_the_pictures_that_show_them(
    world: World, tmp_path: Path
) -> None:
    made = publish_release(world.dataset, "1.0.0", tmp_path, Wishes(sealed=True))
    assert croissant(made.folder).metadata.annotations_per_item == "3.00 counted votes a picture on average"


@pytest.mark.django_db
def test_the_card_answers_a_datasheets_questions(world: World, tmp_path: Path) -> None:
    world.dataset.description = "Made to tell owls from finches."
    world.dataset.save()
    world.round.price, world.round.audit_rate = "0.01", 0.1
    world.round.save()
    Instructions.objects.create(round=world.round, version=1, text="Look at the beak.\nTake your time.")
    for worker in world.workers[:3]:
        world.round.participations.create(worker=worker, votes=18)
    world.refer(world.dataset.images.filter(group__draw__lt=0.1).first(), "finch", expert="grace")
    Candidate.objects.create(
        source=world.source, url="http://127.0.0.1/gone", url_sha256="0", state=Candidate.State.GONE
    )
    folder = published(world, tmp_path)
    card = card_of(folder)
    headings = [line for line in (folder / layout.CARD).read_text().splitlines() if line.startswith("## ")]
    assert [h[3:].split(",")[0] for h in headings][1:8] == [
        "Motivation",
        "Composition",
        "Collection process",
        "Preprocessing",
        "Uses",
        "Distribution",
        "Maintenance",
    ]
    for words in (
        "Made to tell owls from finches.",
        "Label accuracy 100.0%",
        "| `owl` | Owl | A owl. | 4 | 2 | 3 |",
        "Hosts of the released pictures: 127.0.0.1 (18).",
        "18 stored, 1 gone",
        "- CC BY 4.0: 18",
        "54 votes by 3 workers (3 people of this site)",
        "Paid 0.01 USD a vote. A vote took 2.5 s (median), so the pay is 14.40 USD an hour",
        "10% of the pictures, at random",
        "> Look at the beak. > Take your time.",
        "Krippendorff's alpha 0.",
        "| Finch | Owl | 8 | 100.0% |",
        "2 experts gave 7 answers, blind, for 6 pictures",
        "Two or more answered 1 of them, and agree on 1 (100.0%).",
        "Copies across splits:",
        "Every class has the same share of every split.",
    ):
        assert words in card, words
    assert "{" not in card, "a placeholder was left in the card"
    assert not re.search(r"\d{2}:\d{2}:\d{2}|20\d\d-\d\d", card), "a clock time"


@pytest.mark.django_db
def test_the_cards_figures_are_there_and_checked(world: World, tmp_path: Path) -> None:
    folder = published(world, tmp_path)
    text = (folder / layout.CARD).read_text()
    for path in layout.FIGURES:
        assert f"]({path})" in text
    sheet = Image.open(io.BytesIO((folder / layout.SAMPLES).read_bytes()))
    assert sheet.format == "JPEG"
    assert check_release(folder) == []
    (folder / layout.CLASSES).write_text("<svg/>")
    assert [p.rule for p in check_release(folder)] == ["sums"]
    (folder / layout.CLASSES).unlink()
    assert [p.path for p in check_release(folder)] == [layout.CLASSES]


@pytest.mark.django_db
def test_release_json_tells_leakage_and_deviation(world: World, tmp_path: Path) -> None:
    folder = published(world, tmp_path)
    counts = json.loads((folder / layout.RELEASE).read_text())["counts"]
    assert counts["leakage"] == measure_folder(folder).counts()
    assert counts["leakage"]["farther"] == {"test": 6, "val": 4}
    assert counts["stratification"]["largest"] == 0
    assert counts["stratification"]["p"] == 1


@pytest.mark.django_db
def test_the_card_of_a_sealed_release_keeps_its_secret(world: World, tmp_path: Path) -> None:
    folder = published(world, tmp_path, Wishes(sealed=True))
    card = card_of(folder)
    assert "**Sealed**" in card
    assert "36 votes by 3 workers" in card
    assert check_release(folder) == []
    rows = records(croissant(folder), "images")
    assert {row["category"] for row in rows if row["split"] == "test"} == {None}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`datasets.load_dataset` of a folder."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    import datasets

    datasets.disable_progress_bars()
    return partial(datasets.load_dataset, cache_dir=str(tmp_path / "cache"))


@pytest.mark.django_db
def test_datasets_opens_a_release_folder_as_it_is(
    world: World, tmp_path: Path, load: Callable[..., Any]
) -> None:
    loaded = load(str(published(world, tmp_path)))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 8, "val": 4, "test": 6}
    assert loaded["train"].features["label"].names == ["finch", "owl"]


@pytest.mark.django_db
def test_datasets_does_not_take_kept_back_labels_for_a_class(
    tmp_path: Path, settings: Any, load: Callable[..., Any]
) -> None:
    settings.STORAGE_URL = str(tmp_path / "store")
    world = World(categories=("finch", "wren")).fill()  # wren comes after "unlabelled"
    folder = published(world, tmp_path, Wishes(sealed=True))
    loaded = load(str(folder), "default")
    assert loaded["val"].features["label"].names == ["finch", "wren"]
    assert set(loaded) == {"train", "val"}
    hidden = load(str(folder), "test")["test"]
    assert (len(hidden), hidden.column_names) == (6, ["image"])


@pytest.mark.django_db
def test_sha256sum_reads_the_sums(world: World, tmp_path: Path) -> None:
    folder = published(world, tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--quiet", layout.SUMS], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_package_has_one_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == layout.CODE_VERSION


def test_versions_are_three_numbers() -> None:
    assert layout.parse_version("10.0.3") > layout.parse_version("9.9.9")
    for text in ("1.0", "1.0.0.0", "1.0.0-rc1", "01.0.0", "", "1.0.x", "-1.0.0", "1.0.0\n"):
        with pytest.raises(ValueError):
            layout.parse_version(text)
