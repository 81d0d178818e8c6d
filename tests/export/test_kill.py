"""kill -9 at any moment leaves nothing that looks finished, and the next run makes the same release."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection

from export.checks import check_release, fingerprint
from export.models import Release
from export.services import making, publish
from export.services.publish import publish_release
from export.workplace import Busy, Workplace
from tests.export.world import World, bytes_of

ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """Stands for a kill: nothing that catches exceptions may tidy up after it."""


MOMENTS = ["choose", "write_pictures", "describe", "_check_folder", "_record", "finish"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_is_repaired_by_the_same_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, after: bool
) -> None:
    whole = publish_release(world.dataset, "1.0.0", tmp_path / "whole").folder
    Release.objects.all().delete()
    out = tmp_path / "out"
    owner = {"finish": Workplace, "choose": publish}.get(moment, making)
    real = getattr(owner, moment)

    def dies(*args: object, **kwargs: object) -> None:
        if after:
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, dies)
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
    def dies(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Workplace, "finish", dies)
        with pytest.raises(Killed):
            publish_release(world.dataset, "1.0.0", tmp_path)
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
    def dies(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(making, "describe", dies)
        with pytest.raises(Killed):
            publish_release(world.dataset, "1.0.0", tmp_path)
    left = tmp_path / ".birds-1.0.0.partial" / "release"
    pictures = {p.name: p.stat().st_ino for p in left.rglob("*.jpg")}
    (left / "train" / "owl" / "stranger.jpg").write_bytes(b"?")
    (left / "notes.txt").write_text("?")
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    assert {p.name: p.stat().st_ino for p in made.folder.glob("*/*/*.jpg")} == pictures
    assert not (made.folder / "notes.txt").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.pipeline
def test_a_real_kill_of_the_real_command(world: World, tmp_path: Path) -> None:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and "memory" in name:
        file = tmp_path / "copy.sqlite3"
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(file)])
        url = f"sqlite:///{file}"
    elif connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        s = connection.settings_dict
        url = f"postgres://{s['USER']}:{s['PASSWORD']}@{s['HOST'] or 'localhost'}:{s['PORT'] or 5432}/{name}"
    env = {**os.environ, "DATABASE_URL": url, "STORAGE_URL": django_settings.STORAGE_URL}
    env["ASSAY_DATA"] = str(tmp_path / "data")
    command = [
        sys.executable,
        "manage.py",
        "export_release",
        "birds",
        "1.0.0",
        "--output",
        str(tmp_path / "out"),
    ]
    final = tmp_path / "out" / "birds-1.0.0"
    for moment in range(2):
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        part = tmp_path / "out" / ".birds-1.0.0.partial"
        wanted = [part / "selection.parquet", part / "release" / "SHA256SUMS"][moment]
        while process.poll() is None and not wanted.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if final.exists():  # it was quicker than the kill
            break
    if not final.exists():
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert check_release(final) == []
    again = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1
