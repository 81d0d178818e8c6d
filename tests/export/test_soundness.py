"""The quick check and the one that names what is wrong agree, on sound releases and on broken ones."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from export import checks, layout
from export.checks.soundness import files_in_order, is_sound
from export.services.plan import Wishes
from export.services.publish import publish_release
from tests.export.test_verify import resign
from tests.export.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[False, True], ids=["open", "sealed"])
def release(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Path:
    return publish_release(world.dataset, "1.0.0", tmp_path, Wishes(sealed=request.param)).folder


def test_a_sound_release_is_sound_at_once(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []
    assert is_sound(release, tick=ticks.append)
    assert len(ticks) == checks.files_to_check(release)
    assert is_sound(release, decode=False)
    assert checks._problems(release) == []
    # So a sound release never needs the memory of the second look.
    monkeypatch.setattr(checks, "_problems", lambda folder: pytest.fail("looked twice"))
    assert checks.check_release(release) == []


def test_one_changed_byte_anywhere_is_seen_without_opening_pictures(release: Path, tmp_path: Path) -> None:
    rng = random.Random(4)
    for path in sorted(p for p in release.rglob("*") if p.is_file()):
        copy = tmp_path / "copy"
        shutil.copytree(release, copy)
        target = copy / path.relative_to(release)
        data = bytearray(target.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        target.write_bytes(data)
        assert not is_sound(copy, decode=False), path
        shutil.rmtree(copy)


def test_files_come_in_the_order_of_the_sums(tmp_path: Path) -> None:
    for name in ("a/b", "a-b/c", "a.txt", "a/b-c/d", "a/b0", "B"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch() if not (tmp_path / name).exists() else None
    paths = [path for path, _ in files_in_order(tmp_path)]
    assert paths == sorted(paths)
    assert len(paths) == 6


def test_a_vote_moved_to_another_picture_is_seen(release: Path) -> None:
    frame = pd.read_parquet(release / layout.VOTES)
    frame.loc[0, "image"] = frame["image"].iloc[-1]
    frame.to_parquet(release / layout.VOTES)
    resign(release)
    assert not is_sound(release)
