"""Real processes: publishing starts a worker that outlives it; killed with its trainer, both go on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.process import name_of

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]
PUBLISH = """
import django, os, pathlib
django.setup()
from django.core.management import call_command
from tests.export.world import World
from export.services.publish import publish_release
call_command("migrate", verbosity=0)
dataset = World().fill().dataset
call_command("retrain", "birds", "--on-publish", "probe")
print(publish_release(dataset, "1.0.0", pathlib.Path(os.environ["ASSAY_DATA"]) / "releases").started)
"""
PATIENCE = 240


def test_publishing_starts_a_run_that_survives_kill_9(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ASSAY_DATA": str(tmp_path),
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )

    published = python("-c", PUBLISH)
    assert published.returncode == 0, published.stderr
    assert "run 1 (probe) is queued" in published.stdout

    folder = tmp_path / "runs" / "birds-1.0.0-run1"
    results = wait_for(lambda: sorted((folder / "results").glob("*.npz")))
    trainer = int(row(tmp_path, "process").split(" ")[2])
    worker = int(Path(f"/proc/{trainer}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"--queued" in Path(f"/proc/{worker}/cmdline").read_bytes()
    os.kill(worker, signal.SIGKILL)
    os.kill(trainer, signal.SIGKILL)
    wait_for(lambda: not name_of(worker) and not name_of(trainer))
    assert row(tmp_path, "state") == "running", "nobody could write that it ended"

    finished = results[0].stat().st_mtime_ns
    gone_on = python("manage.py", "retrain", "--queued")
    assert gone_on.returncode == 0, gone_on.stderr
    assert gone_on.stdout == "1 performed\n"
    assert row(tmp_path, "state") == "done"
    assert results[0].stat().st_mtime_ns == finished, "what was finished is not trained again"


def row(data: Path, column: str) -> str:
    """A column of the only run."""
    with sqlite3.connect(data / "db.sqlite3") as database:
        return database.execute(f"SELECT {column} FROM training_trainingrun").fetchone()[0]


def wait_for(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")
