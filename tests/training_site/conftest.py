"""A published release to train on, folders of its own for every test, and people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from annotation_site.models import Membership, User
from export.models import Release
from export.services.publish import publish_release
from ingest.models import Dataset
from tests.export.world import World
from training import jobs
from training.services import trainer as trainers

Stand = Callable[[str], None]


@pytest.fixture
def release(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """The release of a small dataset."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL = str(tmp_path / "store")
    settings.RUNS_DIR = tmp_path / "runs"
    return publish_release(World().fill().dataset, "1.0.0", tmp_path / "releases").release


@pytest.fixture
def bare_release(db: None, settings: object, tmp_path: Path) -> Release:
    """A release of which nothing but its folder is there: for what is not about its pictures."""
    settings.RUNS_DIR = tmp_path / "runs"
    (tmp_path / "release").mkdir()
    dataset = Dataset.objects.create(name="birds")
    counts = dict.fromkeys(("images", "train", "val", "test", "votes", "workers"), 0)
    return dataset.releases.create(
        version="1.0.0", fingerprint="f", location=str(tmp_path / "release"), counts=counts
    )


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a shell script in the trainer's place; `$5` is the run's folder."""

    def stand(script: str) -> None:
        path = tmp_path / "trainer"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(trainers.sys, "executable", str(path))

    return stand


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No worker is started; each that would be leaves a mark."""
    started: list[int] = []
    monkeypatch.setattr(jobs, "start_worker", lambda: started.append(1))
    return started


@pytest.fixture
def person() -> Callable[[str], Client]:
    """Logs somebody in who has this role in every dataset."""

    def log_in(role: str) -> Client:
        client = Client()
        user, made = User.objects.get_or_create(username=role)
        if made:
            Membership.objects.create(user=user, role=role)
        client.force_login(user)
        return client

    return log_in
