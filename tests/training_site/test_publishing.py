"""Publishing a release starts what the dataset wants; whatever goes wrong there, the release stands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from export.models import Release
from export.services.publish import publish_release
from export.signals import release_published
from tests.export.world import World
from training import jobs
from training.models import PublishingPreset, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A dataset that can be published, and a preset to be started then."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL, settings.RUNS_DIR = str(tmp_path / "store"), tmp_path / "runs"
    world = World().fill()
    PublishingPreset.objects.create(dataset=world.dataset, preset="probe")
    return world


def test_the_preset_is_queued_once_for_a_release(
    world: World, tmp_path: Path, workers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("export_release", "birds", "1.0.0", "--output", str(tmp_path / "out"), "--json")
    told = json.loads(capsys.readouterr().out)
    run = TrainingRun.objects.get()
    assert (str(run.release), run.preset, run.state, workers) == ("birds-1.0.0", "probe", "queued", [1])
    assert told["started"] == [f"run {run.pk} (probe) is queued"]
    shutil.rmtree(told["folder"])
    again = publish_release(world.dataset, "1.0.0", tmp_path / "elsewhere")
    assert (again.again, again.started) == (True, [])
    assert TrainingRun.objects.count() == 1


def test_a_release_whose_export_was_killed_before_its_run_still_gets_it(
    world: World, tmp_path: Path, workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(release_published, "send_robust", lambda *given, **named: [])
        made = publish_release(world.dataset, "1.0.0", tmp_path / "out")
    shutil.rmtree(made.folder)
    assert publish_release(world.dataset, "1.0.0", tmp_path / "out").again
    assert TrainingRun.objects.count() == 1


def test_no_fault_in_starting_harms_the_release(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(jobs, "start_run", broken)
    made = publish_release(world.dataset, "1.0.0", tmp_path / "out")
    assert (made.folder / "SHA256SUMS").is_file()
    assert made.started == []

    def no_process() -> None:
        raise OSError("no more processes")

    monkeypatch.undo()
    monkeypatch.setattr("os.sync", lambda: None)
    monkeypatch.setattr(jobs, "start_worker", no_process)
    shutil.rmtree(made.folder)
    again = publish_release(world.dataset, "1.0.0", tmp_path / "out")
    assert "no more processes" in again.started[0]
    assert TrainingRun.objects.get().state == "queued"


def test_a_release_in_a_bucket_says_why_nothing_is_trained(release: Release, workers: list[int]) -> None:
    PublishingPreset.objects.create(dataset=release.dataset, preset="quick")
    release.location = "s3://bucket/birds-1.0.0"
    release.save()
    assert "download it" in jobs.retrain_published(release)
    run = TrainingRun.objects.get()
    assert (run.state, workers) == ("failed", [])
    assert "s3://bucket" in run.error


def test_without_a_preset_nothing_starts(release: Release) -> None:
    assert jobs.retrain_published(release) == ""
    assert not TrainingRun.objects.exists()


def test_the_preset_is_chosen_by_command_and_on_the_page(
    release: Release, person: Callable[[str], Client], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("retrain", "birds", "--on-publish", "baseline", "--json")
    assert json.loads(capsys.readouterr().out) == {"dataset": "birds", "on_publish": "baseline"}
    assert PublishingPreset.objects.get().preset == "baseline"
    assert "Publishing a release starts preset baseline" in (
        person("researcher").get("/d/birds/runs/").content.decode()
    )
    curator = person("curator")
    assert '<option value="baseline" selected>' in curator.get("/d/birds/runs/").content.decode()
    said = curator.post("/d/birds/runs/publishing", {"preset": "quick"}, follow=True)
    assert "starts preset quick from now on" in said.content.decode()
    assert PublishingPreset.objects.get().preset == "quick"
    said = curator.post("/d/birds/runs/publishing", {"preset": "slow"}, follow=True)
    assert "Choose one of the presets" in said.content.decode()
    assert person("researcher").post("/d/birds/runs/publishing", {"preset": "none"}).status_code == 403
    curator.post("/d/birds/runs/publishing", {"preset": "none"})
    assert not PublishingPreset.objects.exists()
    call_command("retrain", "birds", "--on-publish", "none")
