"""The simulated workers at the site: they log in, claim a batch, look at each picture and vote, by HTTP."""

import http.client
import json
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from demo.crowd import Worker, answer

SHA256 = re.compile(r"[0-9a-f]{64}")
PATIENCE = 30  # seconds for which a site that does not answer is asked again


class SiteError(Exception):
    """The site gave an answer that a worker cannot use, or none; the message is one line."""


class Site:
    """One kept connection to the site. Not shared between threads."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        self.address = urlsplit(address).netloc
        self.patience = patience
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, url: str, token: str = "", body: object | None = None) -> tuple[int, bytes]:
        """Status and body of the answer. While the site is away the same request is sent again.

        Raises SiteError where the site stays away.
        """
        headers = {"Accept": "*/*"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        until = time.monotonic() + self.patience
        wait = 0.05
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.address, timeout=30)
                self.connection.request(method, path, data, headers)
                reply = self.connection.getresponse()
                content = reply.read()
                if reply.status not in (429, 502, 503, 504):
                    return reply.status, content
                problem = f"status {reply.status}"
            except (OSError, http.client.HTTPException) as error:
                self.close()
                problem = str(error) or type(error).__name__
            if time.monotonic() > until:
                raise SiteError(f"the site did not answer for {self.patience:.0f} s ({problem})")
            time.sleep(wait)
            wait = min(2.0, wait * 2)

    def ask_json(self, method: str, url: str, token: str = "", body: object | None = None) -> Any:
        """The JSON of a good answer, None for 204. Raises SiteError for any other status."""
        status, content = self.ask(method, url, token, body)
        if status == 204:
            return None
        if not 200 <= status < 300:
            raise SiteError(f"{method} {url} was answered {status}: {content[:200].decode(errors='replace')}")
        return json.loads(content)

    def close(self) -> None:
        """Drop the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass
class Tally:
    """What the crowd did: votes by the site's status, votes by worker, pictures fetched."""

    statuses: Counter[str] = field(default_factory=Counter)
    by_worker: Counter[str] = field(default_factory=Counter)
    pictures: int = 0


@dataclass
class Crowd:
    """Workers at one site and one round, and what they need to answer.

    `photo_of`: photo id by the SHA-256 in an image's URL. `truth`: published label by photo id. Only the
    answer model reads them.
    """

    address: str
    round_id: int
    workers: Sequence[Worker]
    passwords: Mapping[str, str]
    photo_of: Mapping[str, str]
    truth: Mapping[str, str]
    seed: int
    batch: int = 50
    tokens: dict[str, str] = field(default_factory=dict)

    def work(self, threads: int = 4, voted: Callable[[int], None] = lambda _: None) -> Tally:
        """Every worker works until the site has nothing left for them; `voted` hears of each batch's size.

        Workers take turns, a batch each, so that none does all the work. Raises SiteError.
        """
        waiting = deque(self.workers)
        tally = Tally()
        lock = threading.Lock()
        failures: list[Exception] = []

        def serve_turns() -> None:
            site = Site(self.address)
            try:
                while not failures:
                    with lock:
                        if not waiting:
                            return
                        worker = waiting.popleft()
                    if worker.name not in self.tokens:
                        self.tokens[worker.name] = self.log_in(site, worker)
                    results = self.take_turn(site, worker, self.tokens[worker.name])
                    if results is None:
                        continue
                    with lock:
                        tally.statuses.update(results)
                        tally.by_worker[worker.name] += len(results)
                        tally.pictures += len(results)
                        waiting.append(worker)
                        voted(len(results))
            except Exception as error:  # handed to the caller's thread
                failures.append(error)
            finally:
                site.close()

        pool = [threading.Thread(target=serve_turns, daemon=True) for _ in range(threads)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        if failures:
            raise failures[0]
        return tally

    def log_in(self, site: Site, worker: Worker) -> str:
        """The worker's token."""
        body = {"username": worker.name, "password": self.passwords[worker.name]}
        return str(site.ask_json("POST", "/api/v1/login", body=body)["token"])

    def take_turn(self, site: Site, worker: Worker, token: str) -> list[str] | None:
        """Claim a batch, look at its pictures, vote. The votes' statuses; None where nothing is left."""
        claimed = site.ask_json("POST", f"/api/v1/rounds/{self.round_id}/claim", token, {"size": self.batch})
        if claimed is None or not claimed["tasks"]:
            return None
        votes = []
        for task in claimed["tasks"]:
            status, content = site.ask("GET", task["thumbnail_url"], token)
            if status != 200 or not content:
                raise SiteError(f"the picture {task['thumbnail_url']} was answered {status}")
            label, seconds = self.decide(worker, task["image_url"], claimed["choices"])
            votes.append({"task": task["task"], "label": label, "seconds": seconds})
        sent = {"assignment": claimed["assignment"], "key": uuid.uuid4().hex, "votes": votes}
        answered = site.ask_json("POST", "/api/v1/votes", token, sent)
        return [result["status"] for result in answered["results"]]

    def decide(self, worker: Worker, image_url: str, choices: list[str]) -> tuple[str, float]:
        """(label, seconds) of this worker for the picture behind the URL."""
        found = SHA256.findall(image_url)
        if not found or found[-1] not in self.photo_of:
            raise SiteError(f"{image_url} shows none of the demo's photos")
        photo = self.photo_of[found[-1]]
        return answer(worker, photo, self.truth[photo], choices, self.seed)
