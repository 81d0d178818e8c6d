"""kill -9 in the middle of a crawl, then Ctrl-C: nothing stored is fetched twice, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from tests.ingest.local_web import Answer, Web, jpeg

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 60
KILLS = min(3, int(os.environ.get("KILLS", "1")))
A_RUN = 12
"""Pictures that the server hands out before a run is killed; the rest wait, so that no run can finish."""


class Installation:
    """An Assay of the test's own: its data folder, its database, real processes."""

    def __init__(self, data: Path) -> None:
        """It begins with what stands in the test's database."""
        self.data = data
        data.mkdir()
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(data / "db.sqlite3")])
        self.env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "STORAGE_URL")}
        self.env["ASSAY_DATA"] = str(data)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell that runs the tests in the background has them ignore Ctrl-C, and so all they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def stored(self) -> set[str]:
        """URLs of candidates that have an image."""
        with sqlite3.connect(self.data / "db.sqlite3") as database:
            rows = database.execute("select url from ingest_candidate where image_id is not null")
            return {url for (url,) in rows}

    def figures(self) -> tuple[int, int, int, int]:
        """Candidates and images, each counted and as the dataset's counters say."""
        with sqlite3.connect(self.data / "db.sqlite3") as database:
            counted = [
                database.execute(f"select count(*) from ingest_{table}").fetchone()[0]
                for table in ("candidate", "image")
            ]
            kept = database.execute("select candidates_found, images_stored from ingest_dataset").fetchone()
        return (*counted, *kept)


def wait_until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def guarded(gates: list[threading.Semaphore], body: bytes) -> Callable[[int], Answer]:
    """An answer that waits until the gate of its run lets it through."""

    def answer(count: int) -> Answer:
        gates[-1].acquire(timeout=60)
        return Answer(body)

    return answer


@pytest.mark.pipeline
@pytest.mark.django_db(transaction=True)
def test_a_killed_crawl_goes_on_where_it_was(web: Web, tmp_path: Path) -> None:
    categories = tmp_path / "categories.csv"
    categories.write_text("id\nowl\n")
    call_command("create_dataset", "birds", "--categories", str(categories))
    here = Installation(tmp_path / "installed")
    names = [f"/{n}.jpg" for n in range(PICTURES)]
    gates: list[threading.Semaphore] = []
    for n, name in enumerate(names):
        web.pages[name] = guarded(gates, jpeg(n))
    web.gallery("/owls/", names)
    command = ["ingest", "birds", f"owl={web.url('/owls/')}", "--allow-host", web.place, "--rate", "200"]

    before: set[str] = set()
    for blow in [signal.SIGKILL] * KILLS + [signal.SIGINT]:
        gates.append(threading.Semaphore(A_RUN))
        crawl = here.start(*command)
        wait_until(lambda before=before: len(here.stored()) > len(before))
        crawl.send_signal(blow)
        _, err = crawl.communicate(timeout=60)
        gates[-1].release(PICTURES)
        before = here.stored()
        assert len(before) < PICTURES
        asked_before = {name: web.hits[name] for name in names}
        candidates, images, found, kept = here.figures()
        assert (candidates, images) == (found, kept)
        if blow == signal.SIGINT:
            assert crawl.returncode == 1
            assert len(err.splitlines()) == 1
            assert "run the same command again" in err

    gates.append(threading.Semaphore(2 * PICTURES))
    status, out, err = here.run(*command, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["found"], report["stored"], report["pending"]) == (PICTURES, PICTURES, 0)
    again = {name for name in names if web.hits[name] > asked_before[name]}
    assert not again & {url.removeprefix(web.url("")) for url in before}
    assert here.figures() == (PICTURES,) * 4
    stored = {path.read_bytes() for path in (here.data / "store").rglob("*") if path.is_file()}
    assert stored == {jpeg(n) for n in range(PICTURES)}
