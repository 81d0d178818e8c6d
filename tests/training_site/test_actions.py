"""What curators do on the pages of runs: start, stop, go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from export.models import Release
from tests.training_site.conftest import Stand
from training.models import TrainingRun
from training.services.runs import perform_run, start_run

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]
FORM = "/d/birds/releases/1.0.0/train"


@pytest.fixture
def release(bare_release: Release) -> Release:
    """No picture is looked at here."""
    return bare_release


def test_only_curators_act(release: Release, person: Person, workers: list[int]) -> None:
    run = start_run(release)
    for role in ("annotator", "reviewer", "researcher"):
        client = person(role)
        for path in (FORM, f"/d/birds/runs/{run.pk}/stop", f"/d/birds/runs/{run.pk}/again"):
            assert client.post(path, {"preset": "quick"}).status_code == 403, (role, path)
        assert client.get(f"/d/birds/runs/{run.pk}/doubts").status_code == 403
    page = person("researcher").get(f"/d/birds/runs/{run.pk}").content.decode()
    assert "<button" not in page.split("<main", 1)[1]
    assert "Train on this release" not in person("researcher").get("/d/birds/releases/1.0.0").content.decode()
    curator = person("curator")
    for path in (f"/d/birds/runs/{run.pk}/stop", f"/d/birds/runs/{run.pk}/again"):
        assert curator.get(path).status_code == 405
    assert workers == []


def test_a_run_is_started_from_the_release_page(release: Release, person: Person, workers: list[int]) -> None:
    client = person("curator")
    assert f'href="{FORM}"' in client.get("/d/birds/releases/1.0.0").content.decode()
    assert client.get(FORM).status_code == 200
    asked = {"preset": "probe", "arms": " majority, consensus ", "seeds": "2"}
    said = client.post(FORM, asked, follow=True)
    run = TrainingRun.objects.get()
    assert (run.preset, run.arms, run.seeds, run.state) == ("probe", "majority,consensus", 2, "queued")
    page = said.content.decode()
    assert "The run is queued" in page
    assert "0 of 4 trainings" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "No worker is at the queue yet" in page
    assert workers == [1]
    client.post(FORM, asked)
    assert TrainingRun.objects.count() == 1, "the same again goes on"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"preset": "slow"}, "slow is not one of the available choices"),
        ({"arms": "majority,nonsense"}, "nonsense"),
        ({"arms": "majority,majority"}, "twice"),
        ({"seeds": "0"}, "greater than or equal to 1"),
        ({"seeds": "many"}, "whole number"),
    ],
)
def test_what_cannot_be_trained_is_said_beside_the_field(
    release: Release, person: Person, workers: list[int], given: dict, told: str
) -> None:
    answer = person("curator").post(FORM, {"preset": "quick", "arms": "", "seeds": "", **given})
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert not TrainingRun.objects.exists()
    assert workers == []


def test_a_release_that_is_not_here_cannot_be_trained_on(
    release: Release, person: Person, workers: list[int]
) -> None:
    run = start_run(release)
    release.location = "s3://bucket/birds-1.0.0"
    release.save()
    client = person("curator")
    assert "download it" in client.get(FORM).content.decode()
    assert client.post(FORM, {"preset": "quick"}).status_code == 422
    TrainingRun.objects.update(state="failed")
    assert "cannot be started" in client.post(f"/d/birds/runs/{run.pk}/again", follow=True).content.decode()
    assert workers == []


def test_stopping_and_going_on(release: Release, person: Person, workers: list[int]) -> None:
    run = start_run(release)
    client, page = person("curator"), f"/d/birds/runs/{run.pk}"
    assert "Stop the run" in client.get(page).content.decode()
    stopped = client.post(f"{page}/stop", follow=True).content.decode()
    assert "What it has finished is kept" in stopped
    assert "Go on" in stopped
    assert "data-live" not in stopped
    assert "has ended already" in client.post(f"{page}/stop", follow=True).content.decode()
    assert "data-live" in client.post(f"{page}/again", follow=True).content.decode()
    run.refresh_from_db()
    assert (run.state, workers) == ("queued", [1])
    TrainingRun.objects.update(state="done")
    assert "nothing to go on with" in client.post(f"{page}/again", follow=True).content.decode()
    TrainingRun.objects.update(state="running")
    assert "under way already" in client.post(f"{page}/again", follow=True).content.decode()
    assert workers == [1]


def test_a_finished_run_can_still_judge_its_train_pictures(
    release: Release, person: Person, workers: list[int]
) -> None:
    run = start_run(release)
    TrainingRun.objects.update(state="done")
    client = person("curator")
    client.post(f"/d/birds/runs/{run.pk}/again", {"suspects": "1"})
    run.refresh_from_db()
    assert (run.state, run.suspects, workers) == ("queued", True, [1])
    TrainingRun.objects.update(state="done")
    again = client.post(f"/d/birds/runs/{run.pk}/again", {"suspects": "1"}, follow=True)
    assert "nothing to go on with" in again.content.decode()
    client.post(FORM, {"preset": "quick", "suspects": "on"})
    assert TrainingRun.objects.get(preset="quick").suspects


def test_a_failed_run_shows_the_end_of_its_log(release: Release, person: Person, trainer: Stand) -> None:
    trainer(r'mkdir -p "$5"; printf "reading\n<b>loss is NaN</b>\nretrain: it diverged\n" >&2; exit 1')
    run = start_run(release)
    perform_run(run.pk)
    page = person("researcher").get(f"/d/birds/runs/{run.pk}").content.decode()
    assert "&lt;b&gt;loss is NaN&lt;/b&gt;\nretrain: it diverged" in page
    assert f"retrain --run {run.pk}" in page


def test_an_interrupted_run_is_told_from_one_under_way(
    release: Release, person: Person, trainer: Stand, workers: list[int]
) -> None:
    trainer("exit 1")
    run = start_run(release)
    perform_run(run.pk)
    TrainingRun.objects.update(state="running")
    client, page = person("curator"), f"/d/birds/runs/{run.pk}"
    shown = client.get(page).content.decode()
    assert "was interrupted: its process is gone" in shown
    assert "interrupted" in client.get("/d/birds/runs/").content.decode()
    assert client.get(f"/api/v1/datasets/birds/runs/{run.pk}").json()["abandoned"] is True
    client.post(f"{page}/again")
    assert workers == [1]


def test_a_run_without_a_folder_has_a_page(release: Release, person: Person) -> None:
    run = start_run(release)
    TrainingRun.objects.update(folder="")
    assert person("researcher").get(f"/d/birds/runs/{run.pk}").status_code == 200
    assert not Path("report.html").exists()
