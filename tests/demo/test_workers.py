"""The simulated workers as HTTP clients, against a small server that misbehaves as a real one may."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.crowd import CATEGORIES, NONE, UNSURE, answer, make_crowd
from demo.workers import Crowd, Site, SiteError

IMAGES = {f"{number:064x}": f"photo-{number}" for number in range(1, 7)}
TRUTH = {photo: CATEGORIES[number % len(CATEGORIES)] for number, photo in enumerate(IMAGES.values())}
CHOICES = [*CATEGORIES, NONE, UNSURE]


class FlakySite(ThreadingHTTPServer):
    """Hands each worker all images once; drops the first answer to every batch of votes after storing it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FlakyHandler)
        self.given, self.batches, self.stored, self.seen = set(), [], {}, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class FlakyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(self.path)
        self.reply(200, b"a picture")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        worker = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.path == "/api/v1/login":
            self.reply(200, json.dumps({"token": body["username"]}).encode())
        elif self.path.endswith("/claim"):
            self.claim(worker)
        else:
            self.votes(worker, body)

    def claim(self, worker):
        if worker in self.server.given:
            self.reply(204, b"")
            return
        self.server.given.add(worker)
        tasks = [
            {"task": number, "image_url": f"/images/{sha}/full", "thumbnail_url": f"/images/{sha}/thumb"}
            for number, sha in enumerate(IMAGES)
        ]
        batch = {"assignment": len(self.server.given), "choices": CHOICES, "tasks": tasks}
        self.reply(200, json.dumps(batch).encode())

    def votes(self, worker, body):
        first = body["key"] not in self.server.batches
        self.server.batches.append(body["key"])
        self.server.stored.setdefault((worker, body["key"]), body["votes"])
        if first:
            self.close_connection = True
            self.connection.close()
            return
        results = [{"task": vote["task"], "status": "stored"} for vote in body["votes"]]
        self.reply(200, json.dumps({"results": results}).encode())

    def reply(self, status, body):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = FlakySite()
    # A closed connection is this server's trade; its traceback would only be noise.
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def crowd_at(site, workers):
    passwords = {worker.name: "secret" for worker in workers}
    return Crowd(site.address, 1, workers, passwords, IMAGES, TRUTH, seed=7)


def test_a_lost_answer_is_asked_for_again_under_the_same_key(site):
    workers = make_crowd(7)[:3]
    heard = []
    tally = crowd_at(site, workers).work(threads=2, voted=heard.append)
    assert tally.statuses == {"stored": 18}
    assert sum(heard) == 18
    assert len(site.batches) == 6
    assert len(set(site.batches)) == len(site.stored) == 3


def test_workers_answer_by_the_model_and_look_at_every_picture(site):
    workers = make_crowd(7)[:2]
    crowd_at(site, workers).work(threads=1)
    photos = list(IMAGES.values())
    for (name, _), votes in site.stored.items():
        worker = next(w for w in workers if w.name == name)
        for vote in votes:
            photo = photos[vote["task"]]
            expected = answer(worker, photo, TRUTH[photo], CHOICES, 7)
            assert (vote["label"], vote["seconds"]) == expected
    assert sorted(site.seen) == sorted([f"/images/{sha}/thumb" for sha in IMAGES] * 2)


def test_a_worker_logs_in_once_for_all_passes(site):
    crowd = crowd_at(site, make_crowd(7)[:1])
    crowd.work(threads=1)
    crowd.passwords = {}
    assert crowd.work(threads=1).statuses == {}


def test_a_picture_that_is_not_the_demo_s_is_an_error(site):
    crowd = crowd_at(site, make_crowd(7)[:1])
    crowd.photo_of = {}
    with pytest.raises(SiteError, match="none of the demo"):
        crowd.work(threads=1)


def test_a_site_that_is_away_is_one_line():
    with pytest.raises(SiteError, match="did not answer"):
        Site("http://127.0.0.1:9", patience=0).ask("GET", "/healthz")
