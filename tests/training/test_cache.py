"""The cache of decoded pictures: made once, gone on with after a kill, never trusted when torn or foreign."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import cache
from training.cache import decode, open_pictures
from training.release import Release, open_release

ROOT = Path(__file__).parents[2]
SIZE = 16
KILLED = """
import sys, time
from pathlib import Path
from training import cache
from training.release import open_release
real = cache.decode
def slow(file, size):
    time.sleep(0.02)
    return real(file, size)
cache.decode, cache.BLOCK_BYTES = slow, 10 * 16 * 16 * 3
release = open_release(Path(sys.argv[1]), verify=False, workers=1)
cache.open_pictures(release, 16, Path(sys.argv[2]), 1, lambda items, total, what: items)
"""


def quiet(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return items


@pytest.fixture
def release(release_folder: Path) -> Release:
    return open_release(release_folder, verify=False, workers=1)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten pictures a block, so that a tiny release has several."""
    monkeypatch.setattr(cache, "BLOCK_BYTES", 10 * SIZE * SIZE * 3)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded."""
    files: list[Path] = []

    def counting(file: Path, size: int) -> np.ndarray | None:
        files.append(file)
        return decode(file, size)

    monkeypatch.setattr(cache, "decode", counting)
    return files


def expected(release: Release) -> np.ndarray:
    return np.stack([decode(release.path / path, SIZE) for path in release.manifest["path"]])


def place(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_pictures_are_decoded_once_and_stand_in_the_manifests_order(
    release: Release, tmp_path: Path, counted: list[Path]
) -> None:
    for workers in (2, 1):
        found = open_pictures(release, SIZE, tmp_path, workers, quiet)
        assert np.array_equal(found.pixels, expected(release))
        assert found.readable.all()
        assert found.note == ""
    assert len(counted) == len(release.manifest)


def test_a_decoder_killed_at_any_moment_goes_on_with_the_blocks_that_are_missing(
    release: Release, tmp_path: Path, counted: list[Path]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(release.path), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        while not list(tmp_path.glob("*/about.json")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    about = json.loads((place(tmp_path) / "about.json").read_text())
    finished = sum(check is not None for check in about["checks"])
    assert 0 < finished < len(about["checks"])
    found = open_pictures(release, SIZE, tmp_path, 2, quiet)
    assert np.array_equal(found.pixels, expected(release))
    assert len(counted) == len(release.manifest) - 10 * finished
    assert found.note == ""


def test_a_torn_block_is_noticed_and_only_it_is_decoded_again(
    release: Release, tmp_path: Path, counted: list[Path]
) -> None:
    open_pictures(release, SIZE, tmp_path, 2, quiet)
    counted.clear()
    file = place(tmp_path) / "pixels.npy"
    with file.open("r+b") as stream:
        stream.seek(-SIZE * SIZE * 3 * 15, os.SEEK_END)
        stream.write(bytes(100))
    found = open_pictures(release, SIZE, tmp_path, 2, quiet)
    assert np.array_equal(found.pixels, expected(release))
    assert len(counted) <= 10
    assert counted
    assert "was damaged" in found.note
    assert open_pictures(release, SIZE, tmp_path, 2, quiet).note == ""


@pytest.mark.parametrize("harm", ["cut", "garbage", "gone", "foreign", "list"])
def test_a_cut_or_foreign_cache_is_made_again(release: Release, tmp_path: Path, harm: str) -> None:
    open_pictures(release, SIZE, tmp_path, 2, quiet)
    pixels, about = place(tmp_path) / "pixels.npy", place(tmp_path) / "about.json"
    if harm == "cut":
        os.truncate(pixels, pixels.stat().st_size // 2)
    elif harm == "garbage":
        pixels.write_bytes(b"no array")
    elif harm == "gone":
        pixels.unlink()
    elif harm == "foreign":
        stored = json.loads(about.read_text())
        stored["identity"]["fingerprint"] = "0" * 64
        about.write_text(json.dumps(stored))
    else:
        about.write_text("[]")
    found = open_pictures(release, SIZE, tmp_path, 2, quiet)
    assert np.array_equal(found.pixels, expected(release))
    assert found.note == "" if harm == "gone" else "made again" in found.note


def test_pictures_that_cannot_be_decoded_are_black_and_said(release_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(release_folder, tmp_path / "release")
    release = open_release(tmp_path / "release", verify=False, workers=1)
    for row in (3, 14):
        (release.path / release.manifest["path"][row]).write_bytes(b"\xff\xd8\xff no picture")
    for _ in range(2):
        found = open_pictures(release, SIZE, tmp_path / "cache", 2, quiet)
        assert list(np.flatnonzero(~found.readable)) == [3, 14]
        assert not found.pixels[[3, 14]].any()


def test_two_processes_share_the_work_of_one(release: Release, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(release.path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert np.array_equal(open_pictures(release, SIZE, tmp_path, 1, quiet).pixels, expected(release))


def test_no_room_is_an_error_with_the_files_name(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as raised:
        open_pictures(release, SIZE, tmp_path, 1, quiet)
    assert str(raised.value.filename).endswith("pixels.npy")
    assert not list(tmp_path.glob("*/pixels.npy"))
