"""A tiny release of coloured shapes, with votes, as the export stage would write it."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

CLASSES = ("disc", "square", "stripe")


def shape(category: str, rng: np.random.Generator) -> bytes:
    """A PNG of 24 px: the shape decides the class, colour and place vary."""
    picture = Image.new("RGB", (24, 24), tuple(int(c) for c in rng.integers(0, 90, 3)))
    pen, colour = ImageDraw.Draw(picture), tuple(int(c) for c in rng.integers(150, 256, 3))
    x, y = (int(v) for v in rng.integers(2, 9, 2))
    if category == "disc":
        pen.ellipse((x, y, x + 12, y + 12), fill=colour)
    elif category == "square":
        pen.rectangle((x, y, x + 12, y + 12), fill=colour)
    else:
        pen.rectangle((0, y + 3, 24, y + 6), fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def seal(folder: Path) -> None:
    """Write SHA256SUMS over every other file."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def make_release(folder: Path, per_class: int = 34) -> Path:
    """A release with 3 classes: about 60 train pictures, 30 of test, three votes each, some of them wrong."""
    rng = np.random.default_rng(7)
    rows, votes = [], []
    for category in CLASSES:
        for number in range(per_class):
            content = shape(category, rng)
            image = hashlib.sha256(content).hexdigest()
            split = "test" if number % 3 == 0 else "val" if number % 10 == 1 else "train"
            given = [category if rng.random() < 0.75 else str(rng.choice(CLASSES)) for _ in range(3)]
            votes += [(image, f"w{i}", label) for i, label in enumerate(given)]
            counted = pd.Series(given).value_counts()
            settled = category if split == "test" else str(counted.index[0])
            path = folder / split / settled / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            rows.append((image, path.relative_to(folder).as_posix(), split, settled, category))
    manifest = pd.DataFrame(rows, columns=["image", "path", "split", "category", "reference"])
    manifest.sort_values("image").to_parquet(folder / "manifest.parquet", index=False)
    frame = pd.DataFrame(votes, columns=["image", "worker", "label"])
    frame.to_parquet(folder / "votes.parquet", index=False)
    share = frame.groupby(["image", "label"]).size().rename("probability").reset_index()
    share["probability"] /= 3
    share.rename(columns={"label": "category"}).to_parquet(folder / "posteriors.parquet", index=False)
    categories = [{"id": c, "name": c.title(), "index": i} for i, c in enumerate(CLASSES)]
    (folder / "categories.json").write_text(json.dumps(categories))
    (folder / "release.json").write_text(json.dumps({"name": "shapes", "version": "1.0.0"}))
    seal(folder)
    return folder


@pytest.fixture(scope="session")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One release for all tests; do not change it."""
    return make_release(tmp_path_factory.mktemp("release") / "shapes-1.0.0")


@pytest.fixture(scope="session")
def small_run(release_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the small net, two arms and two seeds; do not change it."""
    from training.retrain import main

    run = tmp_path_factory.mktemp("small") / "run"
    options = "--model small --size 24 --epochs 2 --batch 16 --seeds 2 --threads 1 --arms majority,consensus"
    assert main([str(release_folder), "-o", str(run), *options.split()]) == 0
    return run
