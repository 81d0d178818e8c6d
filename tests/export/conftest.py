"""A store of its own for every test."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from export.places import bucket
from tests.export.world import World


@pytest.fixture
def world(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A dataset with labelled pictures in every split."""
    monkeypatch.setattr("os.sync", lambda: None)  # no power cut is tested, and the disk is everybody's
    settings.STORAGE_URL = str(tmp_path / "store")
    return World().fill()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server; what it holds belongs to the process, so one serves all tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A client of that server, with an empty bucket `shelves`."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=30).close()
    bucket.forget_client()
    made = boto3.client("s3", region_name="us-east-1", endpoint_url=endpoint)
    made.create_bucket(Bucket="shelves")
    yield made
    bucket.forget_client()
