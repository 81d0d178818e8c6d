"""The files that describe a release open in the tools they are for."""

from __future__ import annotations

import subprocess
import tomllib
import warnings
from pathlib import Path

import mlcroissant
import pandas as pd
import pytest

from export import layout
from export.services.publish import publish_release
from tests.export.world import World


@pytest.mark.django_db
def test_croissant_card_and_sums_open_in_their_tools(world: World, tmp_path: Path) -> None:
    folder = publish_release(world.dataset, "1.0.0", tmp_path).folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = mlcroissant.Dataset(jsonld=str(folder / layout.CROISSANT))
    assert not opened.metadata.ctx.issues.errors
    rows = list(opened.records("images"))
    manifest = pd.read_parquet(folder / layout.MANIFEST)
    assert {row["images/image"].decode() for row in rows} == set(manifest["image"])
    assert len(list(opened.records("votes"))) == 54
    card = (folder / layout.CARD).read_text()
    assert "Label accuracy 100.0%" in card
    assert "| `owl` | Owl | A owl. | 4 | 2 | 3 |" in card
    assert "{" not in card.split("---", 2)[2], "a placeholder was left in the card"
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
