"""Label Studio for `vote_path.py`: started as its package starts it, people signed up, tasks imported."""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="label" toName="image" choice="single">{}</Choices></View>"""
ADMIN, PASSWORD, TOKEN = (
    "admin@localhost.org",
    "a-long-Passw0rd-1",
    "0123456789abcdef0123456789abcdef01234567",
)
MOST = 3
IMPORT_CHUNK = 50_000


@dataclass
class Peer:
    """A running Label Studio."""

    host: str
    port: int

    def call(self, method: str, path: str, body: object = None, timeout: float = 600) -> Any:
        """One call of its API as the administrator."""
        line = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        headers = {"Content-Type": "application/json", "Authorization": f"Token {TOKEN}"}
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        text = answer.read()
        line.close()
        if answer.status >= 400:
            raise ConnectionError(f"Label Studio answered {answer.status} to {path}: {text[:300]!r}")
        return json.loads(text or b"null")

    def sign_up(self, name: str) -> dict[str, str]:
        """A person by the sign-up form, and their token."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        address = f"http://{self.host}:{self.port}/user/signup/"
        page = opener.open(address, timeout=60).read().decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, "Label Studio's sign-up page has no form"
        form = {"email": f"{name}@localhost.org", "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
        opener.open(address, urllib.parse.urlencode(form).encode(), timeout=60).read()
        token = json.loads(opener.open(f"http://{self.host}:{self.port}/api/current-user/token").read())
        return {"name": name, "authorization": f"Token {token['token']}"}

    def make_project(self, labels: list[str]) -> int:
        """A project of one question with `MOST` annotations a task."""
        choices = "".join(f'<Choice value="{label}"/>' for label in labels)
        body = {"title": "speed", "label_config": CONFIG.format(choices), "maximum_annotations": MOST}
        return int(self.call("POST", "/api/projects/", body)["id"])

    def fill(self, project: int, tasks: int, start: int = 0) -> float:
        """Import tasks through its API; gives the seconds."""
        begun = time.perf_counter()
        for first in range(start, start + tasks, IMPORT_CHUNK):
            last = min(first + IMPORT_CHUNK, start + tasks)
            rows = [{"image": f"http://127.0.0.1:9/{n}.jpg"} for n in range(first, last)]
            self.call("POST", f"/api/projects/{project}/import", rows)
        return time.perf_counter() - begun

    def project_call(self, project: int, calls: int = 7) -> float:
        """Median milliseconds of what its project page asks for first."""
        took = []
        for _ in range(calls):
            begun = time.perf_counter()
            self.call("GET", f"/api/projects/{project}/")
            took.append(1000 * (time.perf_counter() - begun))
        return sorted(took)[calls // 2]


@contextlib.contextmanager
def label_studio(python: Path, folder: Path, port: int, database: dict[str, str]) -> Iterator[Peer]:
    """Start it with `python`'s packages on SQLite (no `database`) or PostgreSQL; stop it at the end."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")}
    env = {
        **kept, **database, "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true", "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false", "LABEL_STUDIO_BASE_DATA_DIR": str(folder), "LOG_LEVEL": "ERROR",
        "DJANGO_DB": "default" if database else "sqlite",
    }  # fmt: skip
    program = str(python.parent / "label-studio")
    command = [program, "start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1"]
    command += ["--data-dir", str(folder), "--username", ADMIN, "--password", PASSWORD, "--user-token", TOKEN]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
    peer = Peer("127.0.0.1", port)
    try:
        deadline = time.monotonic() + 400
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                peer.call("GET", "/api/projects/", timeout=10)
                break
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError(f"Label Studio did not start: {(folder / 'log').read_text()[-600:]}")
            time.sleep(0.5)
        yield peer
    finally:
        server.terminate()
        server.wait(timeout=60)
