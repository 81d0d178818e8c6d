"""The card's pictures show what the tables say, for two classes as for a thousand, and never change."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from export import layout
from export.card import figures
from export.card.figures import Named, class_chart, confusion_chart, draw, sample_sheet, samples_due
from export.card.vote_statistics import VoteStatistics
from export.tables import TableWriter

TWO = [Named("finch", "Finch & <friends>"), Named("owl", "Eule 🦉")]
MANY = [Named(f"n{place:05d}", f"class {place}") for place in range(1000)]


def texts(svg: str) -> list[str]:
    """What is written in an SVG; parsing it says that it is one."""
    root = ElementTree.fromstring(svg)
    return [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]


def bars(svg: str) -> list[float]:
    root = ElementTree.fromstring(svg)
    found = [node for node in root.iter("{http://www.w3.org/2000/svg}rect") if node.get("height") == "14"]
    return [float(node.get("width", "0")) for node in found]


def test_bars_are_as_long_as_their_counts() -> None:
    counts = {"finch": {"train": 6, "val": 2, "test": 2}, "owl": {"train": 20, "val": 0, "test": 0}}
    svg = class_chart(TWO, counts)
    assert bars(svg) == pytest.approx([420, 126, 42, 42])
    words = texts(svg)
    assert words.index("Eule 🦉") < words.index("Finch & <friends>"), "the largest class comes first"
    assert {"20", "10"} <= set(words)


def test_of_many_classes_the_ends_are_shown() -> None:
    counts = {c.id: {"train": place + 1} for place, c in enumerate(MANY)}
    words = texts(class_chart(MANY, counts))
    assert "class 999" in words
    assert "class 0" in words
    assert "class 500" not in words
    assert "… 960 classes between …" in words


def test_confusions_are_shares_of_the_row() -> None:
    matrix = {("finch", "finch"): 90, ("finch", "owl"): 9, ("finch", "__none__"): 1, ("owl", "owl"): 7}
    svg = confusion_chart(TWO, matrix, figures.ABSENT)
    assert svg is not None
    words = texts(svg)
    assert {"90", "9", "1", "100", "none of these"} <= set(words)
    assert "not sure" not in words, "a column for votes that nobody gave"
    assert confusion_chart(TWO, {}) is None


def test_of_many_classes_the_most_confused_are_crossed() -> None:
    matrix = {(c.id, c.id): 100 for c in MANY} | {("n00500", "n00501"): 60, ("n00501", "n00777"): 30}
    svg = confusion_chart(MANY, matrix)
    assert svg is not None
    words = texts(svg)
    assert "class 500" in words
    assert "other classes" in words
    assert words.count("class 501") == 2
    assert len([w for w in words if w.startswith("class ")]) == 2 * figures.CROSSED


@pytest.mark.parametrize("classes", [TWO, MANY[:12], MANY[:13], MANY])
def test_a_sheet_holds_its_samples(classes: list[Named]) -> None:
    due = samples_due(classes)
    assert len(due) == min(len(classes), figures.MOST)
    pictures = {key: [Image.new("RGB", (96, 40), "red")] * n for key, n in due.items()}
    sheet = Image.open(io.BytesIO(sample_sheet(classes, pictures)))
    red = sum(1 for r, g, b in sheet.get_flattened_data() if r > 200 and g < 60 and b < 60)
    assert red == pytest.approx(sum(due.values()) * 96 * 40, rel=0.05)


def test_figures_are_the_same_every_time_and_show_no_test_picture(tmp_path: Path) -> None:
    rows = []
    for place in range(40):
        split, category = ("test", "train", "val")[place % 3], ("finch", "owl")[place % 2]
        path = f"{split}/{category}/{place:064x}.png"
        rows.append({"image": f"{place:064x}", "split": split, "category": category, "path": path})
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        colour = {"train": "lime", "val": "blue", "test": "red"}[split]
        Image.new("RGB", (300, 200), colour).save(tmp_path / path)
    with TableWriter(tmp_path / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest:
        manifest.add(rows)
    counts = {"finch": {"train": 7}, "owl": {"train": 6}}
    votes = VoteStatistics(matrix={("finch", "finch"): 3})
    first = draw(tmp_path, TWO, counts, votes)
    assert set(first) == set(layout.FIGURES)
    assert draw(tmp_path, TWO, counts, votes) == first
    assert set(draw(tmp_path, TWO, counts, VoteStatistics())) == {layout.SAMPLES, layout.CLASSES}
    pixels = Image.open(io.BytesIO(first[layout.SAMPLES])).get_flattened_data()
    assert any(g > 200 and r < 60 for r, g, b in pixels)
    assert not any((r > 200 and g < 60) or (b > 200 and g < 60) for r, g, b in pixels)
