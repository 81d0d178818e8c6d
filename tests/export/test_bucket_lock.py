"""Two machines at one release in a bucket; servers that know conditions, and one that does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from export.places import bucket, bucket_lock
from export.places.bucket import BucketError, BucketFolder, NoBucket, ObjectExists
from export.places.bucket_lock import BucketLock, LockedElsewhere
from export.places.bucket_place import BucketPlace, check_bucket
from export.services import making
from export.services.making import ReleaseFailed
from export.services.publish import publish_release
from tests.export.conftest import talk_to
from tests.export.world import World

NAME = ".birds-1.0.0.partial"
OUTPUT = "s3://shelves/data"


@pytest.fixture
def folder(s3: object) -> BucketFolder:
    return BucketFolder("shelves", "data")


@pytest.fixture
def ignoring(s3: object) -> Iterator[None]:
    """From here on the server does not see conditions, as rclone's S3 server does not."""

    def strip(request: object, **_: object) -> None:
        for name in ("If-None-Match", "If-Match"):
            del request.headers[name]  # one that is not there is no error

    events = bucket.client().meta.events
    events.register("before-sign.s3.PutObject", strip)
    yield
    events.unregister("before-sign.s3.PutObject", strip)


def other_machine(monkeypatch: pytest.MonkeyPatch, folder: BucketFolder) -> BucketLock:
    """A lock as another machine takes it."""
    with monkeypatch.context() as patch:
        patch.setattr(bucket_lock, "_machine", lambda: "elsewhere")
        patch.setattr(bucket_lock.socket, "gethostname", lambda: "node7")
        return BucketLock(folder, NAME)


def test_one_of_two_machines_gets_it(folder: BucketFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    other = other_machine(monkeypatch, folder)
    other.take()
    mine = BucketLock(folder, NAME)
    with pytest.raises(
        LockedElsewhere, match=r"node7 is exporting s3://shelves/data/birds-1\.0\.0 .*in (300|29\d) s"
    ):
        mine.take()
    assert not mine.still_held()
    other.check()
    other.give()
    mine.take()
    mine.check()
    mine.give()
    assert not folder.has(NAME)


def test_what_a_dead_process_of_this_machine_left_is_taken_up(folder: BucketFolder) -> None:
    left = {"token": "x", "machine": bucket_lock._machine(), "host": "here", "process": 2**22 + 1}
    folder.put(NAME, json.dumps(left).encode())
    lock = BucketLock(folder, NAME)
    lock.take()
    lock.give()


@pytest.mark.parametrize(("machine", "left"), [("here", False), ("elsewhere", True)])
def test_a_finished_release_loses_the_lock_of_the_dead(
    folder: BucketFolder, tmp_path: Path, machine: str, left: bool
) -> None:
    named = bucket_lock._machine() if machine == "here" else machine
    owner = {"token": "x", "machine": named, "host": "here", "process": 2**22 + 1}
    folder.put(NAME, json.dumps(owner).encode())
    folder.put("birds-1.0.0/SHA256SUMS", b"")
    place = BucketPlace(folder.below("birds-1.0.0"), tmp_path)
    assert place.taken() == "s3://shelves/data/birds-1.0.0 exists already"
    assert folder.has(NAME) == left


def test_a_silent_machine_loses_it_and_does_no_harm(
    folder: BucketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = other_machine(monkeypatch, folder)
    other.take()
    folder.put("birds-1.0.0/train/owl/a.jpg", b"its own")
    monkeypatch.setattr(bucket_lock, "SILENT", 0.0)
    mine = BucketLock(folder, NAME)
    mine.take()
    with pytest.raises(LockedElsewhere, match="has begun to export s3://shelves/data/birds-1"):
        other.check()
    other.give()
    mine.check()
    mine.give()


def test_it_shows_that_it_lives(folder: BucketFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_lock, "BEAT", 0.02)
    lock = BucketLock(folder, NAME)
    beaten = threading.Event()
    put = BucketFolder.put

    def watched(self: BucketFolder, path: str, data: bytes, **options: bool) -> None:
        put(self, path, data, **options)
        if not options:
            beaten.set()

    monkeypatch.setattr(BucketFolder, "put", watched)
    lock.take()
    assert beaten.wait(30)
    lock.rest()
    lock.check()
    assert folder.has(NAME), "as after a kill"
    lock.give()
    assert not folder.has(NAME)


def test_two_that_start_at_once_where_conditions_are_ignored(
    folder: BucketFolder, ignoring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see nothing, both put: what came last stands, and the first one learns it before it finishes."""
    other, mine = other_machine(monkeypatch, folder), BucketLock(folder, NAME)
    has = BucketFolder.has
    monkeypatch.setattr(BucketFolder, "has", lambda self, path: False)
    other.take()
    mine.take()
    monkeypatch.setattr(BucketFolder, "has", has)
    assert not other.still_held()
    mine.check()
    with pytest.raises(ObjectExists):
        folder.put(NAME, b"", only_new=True)
    other.give()
    mine.give()


@pytest.mark.parametrize("endpoint", ["moto"], indirect=True)  # rclone heeds no condition
def test_a_condition_is_asked_of_the_server(folder: BucketFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("x", b"1")
    monkeypatch.setattr(BucketFolder, "has", lambda self, path: False)
    with pytest.raises(ObjectExists):
        folder.put("x", b"2", only_new=True)
    assert folder.get("x") == b"1"


@pytest.mark.django_db
@pytest.mark.parametrize("server", ["conditions", "none"])
def test_the_second_machine_waits_and_the_loser_removes_nothing(
    world: World,
    s3: object,
    settings: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    if server == "none":
        request.getfixturevalue("ignoring")
    folder = BucketFolder("shelves", "data")
    settings.DATA_DIR = tmp_path / "state"
    other = other_machine(monkeypatch, folder)
    other.take()
    with pytest.raises(ReleaseFailed, match="node7 is exporting"):
        publish_release(world.dataset, "1.0.0", OUTPUT)
    assert list(folder.paths()) == [NAME]
    other.give()
    describe = making.describe

    def overtaken(*args: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(bucket_lock, "SILENT", 0.0)
            later = other_machine(monkeypatch, folder)
            later.take()
            later.rest()  # before this test ends: its signs would go to the next test's server
        return describe(*args)

    with monkeypatch.context() as patch:
        patch.setattr(making, "describe", overtaken)
        with pytest.raises(ReleaseFailed, match="node7 has begun to export"):
            publish_release(world.dataset, "1.0.0", OUTPUT)
    assert not world.dataset.releases.exists()
    sent = [path for path in folder.paths() if path.endswith(".jpg")]
    assert len(sent) == 18, "the other machine's pictures"
    monkeypatch.setattr(bucket_lock, "SILENT", 0.0)
    made = publish_release(world.dataset, "1.0.0", OUTPUT)
    assert check_bucket(BucketFolder.parse(made.location)) == []


@pytest.fixture(scope="module")
def refusal() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """A server that answers every request with the status and code in the list."""
    answer: list[tuple[int, str]] = []

    class Refusal(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            status, code = answer[0]
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_DELETE = refuse

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answer
    server.shutdown()
    server.server_close()


@pytest.fixture
def refusing(
    refusal: tuple[str, list[tuple[int, str]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[tuple[int, str]]]:
    endpoint, answer = refusal
    talk_to(endpoint, monkeypatch)
    yield answer
    answer.clear()
    bucket.forget_client()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "NoSuchBucket", "there is no bucket shelves"),
        (403, "AccessDenied", "these keys may not do this"),
        (403, "InvalidAccessKeyId", "see AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "see AWS_SECRET_ACCESS_KEY"),
        (403, "RequestTimeTooSkewed", "clock is wrong"),
        (400, "ExpiredToken", "the keys have expired"),
    ],
)
def test_what_a_server_refuses_says_what_to_do(
    refusing: list[tuple[int, str]], status: int, code: str, said: str, tmp_path: Path
) -> None:
    refusing.append((status, code))
    folder = BucketFolder("shelves", "data")
    asked = [
        lambda: folder.get("x"),
        lambda: list(folder.paths()),
        lambda: folder.put("x", b""),
        lambda: folder.delete("x"),
    ]
    for ask in asked:
        with pytest.raises(BucketError, match=said) as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert (type(caught.value) is NoBucket) == (code == "NoSuchBucket")
    with pytest.raises(BucketError):
        folder.has("x")


def test_no_keys_at_all_is_one_line(s3: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket.forget_client()
    with pytest.raises(BucketError, match="there are no keys: set AWS_ACCESS_KEY_ID"):
        BucketFolder("shelves", "data").get("x")


def test_a_place_knows_a_missing_bucket(s3: object, tmp_path: Path) -> None:
    with pytest.raises(NoBucket, match="there is no bucket nowhere"):
        BucketPlace(BucketFolder("nowhere", "x/birds-1.0.0"), tmp_path).taken()
