"""The same database state gives the same bytes: on SQLite and PostgreSQL, in one process and in several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command

from export import build
from export.services import making
from export.services.plan import Wishes
from export.services.publish import publish_release
from ingest.services.categories import rename_category
from tests.export.world import World, bytes_of
from tests.postgres import postgres_server

ROOT = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.pipeline
def test_sqlite_and_postgresql_give_the_same_fingerprint(world: World, tmp_path: Path) -> None:
    turned = world.dataset.rounds.create(question="classify", title="Second", price="0.02")
    for image in world.dataset.images.filter(group__draw__gte=0.2)[:3]:
        world.vote(image, ["owl", "owl", "finch"], round=turned)
    rename_category(world.dataset, "owl", "Strix owl", reason="clearer", by="ada")
    state = tmp_path / "state.json"
    call_command("dumpdata", "ingest", "annotation_site", "quality", "export", output=str(state), verbosity=0)
    with postgres_server() as url:
        env = {
            **os.environ,
            "DATABASE_URL": url,
            "STORAGE_URL": django_settings.STORAGE_URL,
            "ASSAY_DATA": str(tmp_path / "data"),
        }
        script = (
            "import sys, django; django.setup()\n"
            "from django.core.management import call_command as call\n"
            "call('migrate', verbosity=0)\n"
            "call('loaddata', sys.argv[1], verbosity=0)\n"
            "call('export_release', 'birds', '1.0.0', output=sys.argv[2], min_votes=2, json=True)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(state), str(tmp_path / "postgres")],
            cwd=ROOT,
            env={**env, "DJANGO_SETTINGS_MODULE": "annotation_site.settings"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    here = publish_release(world.dataset, "1.0.0", tmp_path / "here", Wishes(min_votes=2))
    assert json.loads(done.stdout)["fingerprint"] == here.release.fingerprint
    assert bytes_of(tmp_path / "postgres" / "birds-1.0.0") == bytes_of(here.folder)


@pytest.mark.django_db
def test_several_processes_write_what_threads_write(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = publish_release(world.dataset, "1.0.0", tmp_path / "threads").folder
    monkeypatch.setattr(making, "MANY", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(build, "BATCH", 3)
    assert bytes_of(publish_release(world.dataset, "1.0.0", tmp_path / "processes").folder) == bytes_of(
        threads
    )
