"""A made-up release of any number and size of pictures, for measuring how fast they are trained on.

Pictures are soft random landscapes with grain, saved as JPEG of quality 90: about as many bytes as photos of
their size, and so about as long to decode. Their classes can be told by their colours.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CLASSES = 10
VOTES = 3


def picture(label: int, width: int, height: int, rng: np.random.Generator) -> bytes:
    """A JPEG of a class from 0 to CLASSES - 1."""
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    coarse[..., label % 3] //= 1 + label // 3
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 12, (height, width, 1))
    pixels = np.clip(np.asarray(soft, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_release(folder: Path, train: int, test: int, width: int, height: int) -> Path:
    """Write the release into `folder`, unless it is there; three votes a picture, a fifth of them wrong."""
    if (folder / "SHA256SUMS").is_file():
        return folder
    rng = np.random.default_rng(0)
    rows, votes = [], []
    for number in range(train + test + CLASSES):
        split = "train" if number < train else "test" if number < train + test else "val"
        label = f"c{number % CLASSES}"
        content = picture(number % CLASSES, width, height, rng)
        image = hashlib.sha256(content).hexdigest()
        given = [label if rng.random() < 0.8 else f"c{rng.integers(CLASSES)}" for _ in range(VOTES)]
        votes += [(image, f"w{place}", vote) for place, vote in enumerate(given)]
        most = str(pd.Series(given).mode()[0])
        category = most if split == "train" else label
        path = folder / split / category / f"{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows.append((image, path.relative_to(folder).as_posix(), split, category, label))
    _write_tables(folder, rows, votes)
    return folder


def _write_tables(
    folder: Path, rows: list[tuple[str, str, str, str, str]], votes: list[tuple[str, str, str]]
) -> None:
    """The release's tables, then its checksums."""
    manifest = pd.DataFrame(rows, columns=["image", "path", "split", "category", "reference"])
    manifest.sort_values("image").to_parquet(folder / "manifest.parquet", index=False)
    frame = pd.DataFrame(votes, columns=["image", "worker", "label"])
    frame.to_parquet(folder / "votes.parquet", index=False)
    share = frame.groupby(["image", "label"]).size().rename("probability").reset_index()
    share["probability"] /= VOTES
    share.rename(columns={"label": "category"}).to_parquet(folder / "posteriors.parquet", index=False)
    categories = [{"id": f"c{i}", "name": f"C{i}", "index": i} for i in range(CLASSES)]
    (folder / "categories.json").write_text(json.dumps(categories))
    (folder / "release.json").write_text(json.dumps({"name": "speed", "version": "1.0.0"}))
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n"
        for file in files
    )
    (folder / "SHA256SUMS").write_text("".join(lines))
