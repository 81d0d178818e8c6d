"""kill -9 at any moment leaves nothing that looks finished, and the next run makes the same release."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection

from export import build, pictures
from export.checks import check_release, fingerprint
from export.models import Release
from export.places.shelf import FolderShelf
from export.places.workplace import Busy, Workplace
from export.services import making, publish
from export.services.publish import publish_release
from export.tables import TableWriter
from ingest.management.base import explain
from ingest.services.categories import merge_categories
from tests.export.world import World, bytes_of

ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """Stands for a kill: nothing that catches exceptions may tidy up after it."""


def killed_before(
    owner: object, step: str, world: World, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of 1.0.0 that died when this step was due."""

    def dies(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, dies)
        with pytest.raises(Killed):
            publish_release(world.dataset, "1.0.0", output)


def copied_while_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were many pictures; threads write them, which start sooner than processes."""
    monkeypatch.setattr(making, "MANY", 1)
    monkeypatch.setattr(pictures, "workers", lambda: 1)
    monkeypatch.setattr(build, "BATCH", 3)


MOMENTS = ["choose", "write_pictures", "describe", "_check_folder", "_record", "finish"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_a_death_at_any_step_is_repaired_by_the_same_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, after: bool, many: bool
) -> None:
    if many:
        copied_while_chosen(monkeypatch)
    whole = publish_release(world.dataset, "1.0.0", tmp_path / "whole").folder
    Release.objects.all().delete()
    out = tmp_path / "out"
    owner = {"finish": Workplace, "choose": publish}.get(moment, making)
    real = getattr(owner, moment)

    def dies(*args: object, **kwargs: object) -> None:
        if after:
            real(*args, **kwargs)
        raise Killed

    def dies_choosing(*args: object) -> Iterator[dict[str, object]]:
        if after:
            yield from real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, dies_choosing if moment == "choose" else dies)
        with pytest.raises(Killed):
            publish_release(world.dataset, "1.0.0", out)
    finished = out / "birds-1.0.0"
    assert finished.exists() == (moment == "finish" and after)
    if not finished.exists():
        publish_release(world.dataset, "1.0.0", out)
    assert bytes_of(finished) == bytes_of(whole)
    assert [p.name for p in out.iterdir()] == ["birds-1.0.0"]
    assert Release.objects.get().fingerprint == fingerprint(whole)


@pytest.mark.django_db(transaction=True)
def test_a_release_recorded_and_not_yet_named_is_finished_even_if_votes_came_since(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before(Workplace, "finish", world, tmp_path, monkeypatch)
    world.vote(world.add_image(), ["owl", "owl", "owl"])
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    assert fingerprint(made.folder) == made.release.fingerprint
    assert check_release(made.folder) == []


@pytest.mark.django_db
def test_two_at_once_are_refused(world: World, tmp_path: Path) -> None:
    with Workplace(tmp_path / "birds-1.0.0"):
        with pytest.raises(Busy):
            Workplace(tmp_path / "birds-1.0.0").__enter__()
        with pytest.raises(publish.ReleaseFailed, match="another process"):
            publish_release(world.dataset, "1.0.0", tmp_path)


@pytest.mark.django_db
def test_pictures_of_a_killed_run_are_kept_and_strangers_are_not(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before(making, "describe", world, tmp_path, monkeypatch)
    left = tmp_path / ".birds-1.0.0.partial" / "release"
    pictures = {p.name: p.stat().st_ino for p in left.rglob("*.jpg")}
    (left / "train" / "owl" / "stranger.jpg").write_bytes(b"?")
    (left / "notes.txt").write_text("?")
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    assert {p.name: p.stat().st_ino for p in made.folder.glob("*/*/*.jpg")} == pictures
    assert not (made.folder / "notes.txt").exists()


@pytest.mark.django_db
def test_pictures_of_a_killed_run_are_kept_where_others_changed(
    settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STORAGE_URL = str(tmp_path / "store")
    world = World("more", ("finch", "owl", "wren")).fill()
    killed_before(making, "describe", world, tmp_path, monkeypatch)
    left = tmp_path / ".more-1.0.0.partial" / "release"
    kept = {p.name: p.stat().st_ino for p in left.glob("*/wren/*")}
    merge_categories(world.dataset, ["finch", "owl"], "bird", reason="too alike", by="ada")
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    assert {p.name: p.stat().st_ino for p in made.folder.glob("*/wren/*")} == kept
    classes = {p.name for p in made.folder.glob("*/*") if p.is_dir()}
    assert classes == {"bird", "wren"}, "an empty folder would be a class to who reads it"
    assert check_release(made.folder) == []


@pytest.mark.django_db
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_what_makes_no_release_leaves_no_picture(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    if many:
        copied_while_chosen(monkeypatch)
    written: list[str] = []
    put = FolderShelf.put

    def counted(shelf: FolderShelf, path: str, data: bytes) -> None:
        written.append(path)
        put(shelf, path, data)

    monkeypatch.setattr(FolderShelf, "put", counted)
    world.dataset.categories.create(key="wren", name="Wren", gloss="A wren.", position=2)
    with pytest.raises(publish.ReleaseFailed, match="no pictures of wren"):
        publish_release(world.dataset, "1.0.0", tmp_path / "out")
    assert bool(written) == many
    assert list((tmp_path / "out").iterdir()) == []
    assert not Release.objects.exists()


@pytest.mark.django_db
def test_a_version_that_was_begun_and_given_up_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before(making, "describe", world, tmp_path, monkeypatch)
    (tmp_path / ".birds-big-1.0.0.partial").mkdir()  # of another dataset
    made = publish_release(world.dataset, "1.1.0", tmp_path)
    assert [line for line in made.warnings if "not finished" in line] == [
        f"{tmp_path / '.birds-1.0.0.partial'} was begun and not finished: export that version again, or "
        "remove it"
    ]


class Real:
    """The real command, on a copy of the test's database that other processes can open."""

    def __init__(self, tmp_path: Path) -> None:
        self.out = tmp_path / "out"
        self.final = self.out / "birds-1.0.0"
        self.part = self.out / ".birds-1.0.0.partial"
        self.command = [
            sys.executable,
            "manage.py",
            "export_release",
            "birds",
            "1.0.0",
            "--output",
            str(self.out),
        ]
        self.env = {
            **os.environ,
            "DATABASE_URL": database_url(tmp_path),
            "STORAGE_URL": django_settings.STORAGE_URL,
            "ASSAY_DATA": str(tmp_path / "data"),
        }

    def start(self) -> subprocess.Popen[bytes]:
        self.left = self.spare()
        return subprocess.Popen(self.command, cwd=ROOT, env=self.env, stdout=subprocess.DEVNULL)

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command, cwd=ROOT, env=self.env, capture_output=True, text=True)

    def spare(self) -> int | None:
        """When the folder was made that a run makes anew as it begins."""
        try:
            return (self.part / "spare").stat().st_ctime_ns
        except FileNotFoundError:
            return None

    def begun(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the work has begun, whatever a killed run left: before that there is nothing to lose."""
        while process.poll() is None and self.spare() in (None, self.left):
            time.sleep(0.001)


def database_url(tmp_path: Path) -> str:
    s = connection.settings_dict
    name = str(s["NAME"])
    if connection.vendor == "sqlite" and "memory" in name:
        file = tmp_path / "copy.sqlite3"
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(file)])
        return f"sqlite:///{file}"
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"postgres://{s['USER']}:{s['PASSWORD']}@{s['HOST'] or 'localhost'}:{s['PORT'] or 5432}/{name}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.pipeline
def test_a_real_kill_of_the_real_command(world: World, tmp_path: Path) -> None:
    real = Real(tmp_path)
    for wanted in (real.part / "selection.parquet", real.part / "release" / "SHA256SUMS"):
        process = real.start()
        while process.poll() is None and not wanted.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if real.final.exists():  # it was quicker than the kill
            break
    if not real.final.exists():
        done = real.run()
        assert done.returncode == 0, done.stderr
    assert check_release(real.final) == []
    again = real.run()
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.pipeline
def test_kills_at_random_moments_leave_no_folder_that_looks_finished(world: World, tmp_path: Path) -> None:
    """`make test-kills` does it fifty times."""
    kills = int(os.environ.get("KILLS", "1"))
    whole = publish_release(world.dataset, "1.0.0", tmp_path / "whole").folder
    Release.objects.all().delete()
    real = Real(tmp_path)
    process, started = real.start(), time.monotonic()
    real.begun(process)
    begun = time.monotonic()
    assert process.wait() == 0
    takes = 1.1 * (time.monotonic() - begun)
    assert bytes_of(real.final) == bytes_of(whole)
    rng = random.Random(started)
    hit = 0
    while hit < kills:
        if real.final.exists():  # finished once more: the same release is written again, elsewhere
            shutil.rmtree(real.final)
        process = real.start()
        real.begun(process)
        time.sleep(rng.uniform(0, takes))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            hit += 1
        else:
            assert process.returncode == 0
            # It was over before the kill: the first run, by which the time was taken, was a slow one.
            takes *= 0.8
        if real.final.exists():
            assert bytes_of(real.final) == bytes_of(whole)
    if real.final.exists():
        shutil.rmtree(real.final)
    done = real.run()
    assert done.returncode == 0, done.stderr
    assert bytes_of(real.final) == bytes_of(whole)
    assert [p.name for p in real.out.iterdir()] == ["birds-1.0.0"]


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["a picture", "the manifest", "the sums"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "a picture":
        calls = iter([os.write] * 7)
        monkeypatch.setattr("export.places.shelf.os.write", lambda *a: next(calls, full)(*a))
    elif step == "the manifest":
        monkeypatch.setattr(TableWriter, "_write", full)
    else:
        monkeypatch.setattr("export.services.describe.write_sums", full)
    with pytest.raises(OSError, match="No space left") as caught:
        publish_release(world.dataset, "1.0.0", tmp_path / "out")
    assert explain(caught.value) == (
        "no space is left on the disk; free some and run the same command again",
        1,
    )
    assert list((tmp_path / "out").iterdir()) == []
    assert not Release.objects.exists()
    monkeypatch.undo()
    monkeypatch.setattr("os.sync", lambda: None)
    assert check_release(publish_release(world.dataset, "1.0.0", tmp_path / "out").folder) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.pipeline
def test_files_that_may_grow_no_larger(world: World, tmp_path: Path) -> None:
    """A real refusal by the kernel, of the real command: RLIMIT_FSIZE stands for a disk that fills."""
    real = Real(tmp_path)
    limit = ["prlimit", "--fsize=4096"]
    done = subprocess.run([*limit, *real.command], cwd=ROOT, env=real.env, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not real.final.exists()
    assert real.run().returncode == 0
    assert check_release(real.final) == []
