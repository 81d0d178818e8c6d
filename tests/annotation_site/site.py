"""The real site in a process of its own: gunicorn on SQLite, with a folder and a database of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

SEED = """
import django, io, json; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from PIL import Image as Pillow, ImageDraw
from annotation_site.services.accounts import AccountRow, create_users
from annotation_site.services.rounds import open_round
from ingest.models import Category, Image
from ingest.services.images import store_image
from tests.annotation_site.world import image_row, make_dataset
dataset = make_dataset(images=0)
seen = []
for number in range(60):
    picture = Pillow.new("RGB", (320, 240), (4 * number, 90, 255 - 4 * number))
    ImageDraw.Draw(picture).text((40, 40), str(number), fill="white", font_size=120)
    out = io.BytesIO()
    picture.save(out, "JPEG")
    seen.append(store_image(dataset, out.getvalue())[0].pk)
Image.objects.bulk_create(image_row(dataset, number) for number in range(240))
rows = list(Image.objects.exclude(pk__in=seen).values_list("pk", flat=True))
create_users([AccountRow(f"w{n}", "annotator", dataset, f"secret-{n}") for n in range(8)])
load = open_round(dataset, "classify", tasks=[(pk, None) for pk in rows], gold_image_ids=set(rows[:20]),
                  gold_rate=0.1, votes_min=3, votes_max=5, title="Load")
bad = open_round(dataset, "classify", tasks=[(pk, None) for pk in rows[:60]], title="Bad input",
                 votes_max=40, votes_min=40)
tasks = [(pk, None) for pk in seen[:45]]
rounds = {name: open_round(dataset, "classify", tasks=tasks, title=name, instructions="Look twice.",
                           votes_max=40, votes_min=40, batch_size=10).pk
          for name in ("Eyes", "Network", "Reload")}
cat, dog = (dataset.categories.get(key=key).pk for key in ("cat", "dog"))
pairs = [(pk, category) for category in (cat, dog) for pk in seen[:50]]
rounds |= {name: open_round(dataset, "verify", tasks=pairs, title=name, votes_max=40, votes_min=40,
                            batch_size=24).pk
           for name in ("Grid", "Grid lost", "Grid touch")}
many = make_dataset("many", images=0)
Category.objects.bulk_create(
    Category(dataset=many, key=f"n{n}", name=name, synonyms=synonyms, position=10 + n)
    for n, (name, synonyms) in enumerate(
        [*[(f"Finch {n}", "") for n in range(60)], ("Zebra finch", "Taeniopygia"), ("Étagère", "")]))
birds = []
for number in range(12):
    out = io.BytesIO()
    Pillow.new("RGB", (320, 240), (9 * number, 200, 90)).save(out, "JPEG")
    birds.append((store_image(many, out.getvalue())[0].pk, None))
create_users([AccountRow(f"w{n}", "annotator", many) for n in range(8)])  # who are there: nothing is hashed
rounds["Many"] = open_round(many, "classify", tasks=birds, title="Many", votes_min=9, votes_max=9,
                            batch_size=6).pk
print(json.dumps({"load": load.pk, "bad": bad.pk, **rounds}))
"""


# Takes a line of JSON, runs the code in it, answers with what it printed, or with where it failed.
CONSOLE = """
import contextlib, io, json, sys, traceback
for line in sys.stdin:
    out, fault = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(out):
            exec(json.loads(line), {"__name__": "console"})
    except BaseException:
        fault = traceback.format_exc()
    print(json.dumps([out.getvalue(), fault]), flush=True)
"""


@dataclass
class Site:
    """A running site."""

    url: str
    rounds: dict[str, int]
    env: dict[str, str]
    folder: Path
    server: subprocess.Popen[bytes] | None = None
    console: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server (again) and wait until it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the server."""
        host = self.url.removeprefix("http://")
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(gunicorn(host), cwd=ROOT, env=self.env, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until it answers."""
        assert self.server is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.server.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                if urllib.request.urlopen(f"{self.url}/healthz", timeout=5).status == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the site did not start: {(self.folder / 'log').read_text()[-800:]}")

    def stop(self, *, kill: bool = False) -> None:
        """Stop it; `kill` gives it no time to finish anything."""
        if self.server is None or self.server.poll() is not None:
            return
        if kill:
            children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
            for pid in [self.server.pid, *map(int, children)]:
                os.kill(pid, 9)
        else:
            self.server.terminate()
        self.server.wait(timeout=30)

    def python(self, code: str) -> Any:
        """Run code beside the site, on its database; gives what it printed as JSON."""
        if self.console is None:
            self.console = subprocess.Popen(
                [sys.executable, "-c", CONSOLE], cwd=ROOT, env=self.env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self.console.stdin is not None
        assert self.console.stdout is not None
        self.console.stdin.write(json.dumps(code) + "\n")
        self.console.stdin.flush()
        printed, fault = json.loads(self.console.stdout.readline())
        assert not fault, fault
        return json.loads(printed)

    def close(self) -> None:
        """Stop what runs."""
        self.stop()
        if self.console is not None:
            self.console.communicate(timeout=30)


def gunicorn(bind: str, workers: int = 1) -> list[str]:
    """The command line that `make serve` uses, at another address."""
    program = str(Path(sys.executable).parent / "gunicorn")
    return [program, "annotation_site.wsgi", "--workers", str(workers), "--threads", "8", "--bind", bind]


@contextlib.contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """A site with 60 pictures, 300 tasks, four rounds and the people w0 … w7 (password secret-N)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "STORAGE_URL")}
    env = {**kept, "ASSAY_DATA": str(folder), "DJANGO_SETTINGS_MODULE": "annotation_site.settings"}
    site = Site(f"http://127.0.0.1:{port}", {}, env, folder)
    site.launch()  # beside what follows: it asks nothing of the database yet
    try:
        site.rounds = site.python(SEED)
        site.wait()
        yield site
    finally:
        site.close()
