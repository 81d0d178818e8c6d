"""A store of its own for every test."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from export.places import bucket
from tests.export.world import World

KEY = "test"


FILES = {"test_convert", "test_describe", "test_sealed", "test_soundness", "test_split_file", "test_verify"}
"""What these prove lies in the files of a release; how rows become files is asked on both databases."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What talks to S3 servers is marked `bucket`, what is about files `files`: run on one database only."""
    for item in items:
        if "s3" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.bucket)
        if item.path.parent.name == "export" and item.path.stem in FILES:
            item.add_marker(pytest.mark.files)


@pytest.fixture
def world(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A dataset with labelled pictures in every split."""
    monkeypatch.setattr("os.sync", lambda: None)  # no power cut is tested, and the disk is everybody's
    settings.STORAGE_URL = str(tmp_path / "store")
    return World().fill()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """An S3 server that heeds `If-None-Match`; what it holds is the process's, so one serves all tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server that checks signatures, ignores `If-None-Match` and keeps what it holds in files."""
    program = Path(sys.executable).with_name("rclone")
    folder = tmp_path_factory.mktemp("rclone")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ("--addr", address, "--auth-key", f"{KEY},{KEY}", "--config", str(folder / "none"))
    served = folder / "served"
    served.mkdir()
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "serve", "s3", *options, served], stdout=log, stderr=log)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                break
        assert server.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    yield f"http://{address}"
    server.terminate()
    server.wait()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of buckets themselves meet each kind of server; what only reads from one meets the first."""
    chosen = any("endpoint" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "endpoint" in metafunc.fixturenames and not chosen:
        of_buckets = metafunc.module.__name__.rpartition(".")[2].startswith("test_bucket")
        metafunc.parametrize("endpoint", ["moto", "rclone"] if of_buckets else ["moto"], indirect=True)


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> str:
    """The address of an S3 server of the kind asked for."""
    address: str = request.getfixturevalue(request.param)
    return address


def talk_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code under test meet this server; one client a server, for making it is slow."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    bucket.forget_client()
    bucket._clients.append(_client_of_the_code(endpoint))


@functools.cache
def _client_of_the_code(endpoint: str) -> object:
    """As it is made in the environment that `talk_to` sets."""
    made = bucket.client()
    bucket.forget_client()
    return made


@functools.cache
def _own_client(endpoint: str) -> object:
    return boto3.client("s3", region_name="us-east-1", endpoint_url=endpoint)


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A client of that server, with an empty bucket `shelves`."""
    talk_to(endpoint, monkeypatch)
    made = _own_client(endpoint)
    for held in made.list_buckets()["Buckets"]:
        keys = [
            {"Key": item["Key"]} for item in made.list_objects_v2(Bucket=held["Name"]).get("Contents", [])
        ]
        if keys:
            made.delete_objects(Bucket=held["Name"], Delete={"Objects": keys})
        made.delete_bucket(Bucket=held["Name"])
    made.create_bucket(Bucket="shelves")
    yield made
    bucket.forget_client()
    beating = [thread for thread in threading.enumerate() if thread.name.startswith("lock ")]
    assert not beating, "it would go on in the next test"
