"""Accuracy from release to release: which run counts, in which order, and what the API tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from export.models import Release
from ingest.models import Dataset
from training.models import TrainingRun
from training.services.history import accuracy_history

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]


@pytest.fixture
def dataset() -> Dataset:
    return Dataset.objects.create(name="birds")


def finished(dataset: Dataset, version: str, accuracy: float, **more: object) -> TrainingRun:
    """A finished run with these accuracies of consensus, and of majority two points below."""
    release, _ = Release.objects.get_or_create(
        dataset=dataset, version=version, defaults={"fingerprint": "f"}
    )
    preset = more.pop("preset", "quick")
    arms = {
        arm: {"label_error": 0.1, "runs": 5, "top1": {"value": v, "lo": v - 0.03, "hi": v + 0.03}}
        for arm, v in (("consensus", accuracy), ("majority", accuracy - 0.02), ("one_vote", 0.5))
    }
    metrics = {"preset": preset, "test_images": more.pop("tested", 900), "arms": arms}
    state = more.pop("state", "done")
    return TrainingRun.objects.create(
        release=release, preset=preset, state=state, metrics=metrics, folder="gone", **more
    )


def test_the_newest_finished_run_of_each_release_counts(dataset: Dataset) -> None:
    finished(dataset, "1.10.0", 0.74)
    finished(dataset, "1.9.0", 0.70)
    kept = finished(dataset, "1.9.0", 0.71)
    TrainingRun.objects.create(release=kept.release, preset="quick", state="failed")
    finished(dataset, "1.9.0", 0.99, config="epochs = 2\n")
    finished(dataset, "2.0.0", 0.99, preset="baseline")
    finished(Dataset.objects.create(name="cats"), "1.0.0", 0.99)
    history = accuracy_history(dataset, "quick")
    assert [entry.version for entry in history.entries] == ["1.9.0", "1.10.0"], "versions, not their letters"
    assert history.entries[0].run == kept
    assert history.arms == ["consensus", "majority"]
    assert history.settings[0] == "baseline"
    assert history.settings[1] == "quick"
    assert history.settings[2].startswith("quick+"), "other settings are no point of the same line"
    assert accuracy_history(dataset).chosen == "quick", "what most releases were trained with"
    assert accuracy_history(dataset, "nonsense").chosen == "quick"


def test_nothing_trained_is_an_empty_history(dataset: Dataset) -> None:
    assert accuracy_history(dataset, "quick").entries == []


def test_the_page_draws_it_and_tells_it_in_a_table(dataset: Dataset, person: Person) -> None:
    finished(dataset, "1.0.0", 0.70)
    finished(dataset, "1.1.0", 0.75, tested=800)
    finished(dataset, "1.1.0", 0.60, preset="probe")
    page = person("researcher").get("/d/birds/runs/?preset=quick").content.decode()
    assert "From 1.0.0 to 1.1.0 test accuracy went from 70.0% to 75.0% (95% interval 72.0% to 78.0%)" in page
    assert "different numbers of pictures" in page
    assert 'aria-label="Test accuracy by release, with 95% intervals"' in page
    assert "<option selected>quick</option>" in page
    assert "73.0%" in page, "majority"
    assert "60.0%" in person("researcher").get("/d/birds/runs/?preset=probe").content.decode()


def test_the_api_lists_runs_and_tells_one(dataset: Dataset, person: Person) -> None:
    first, last = finished(dataset, "1.0.0", 0.70), finished(dataset, "1.1.0", 0.75)
    client = person("researcher")
    told = client.get("/api/v1/datasets/birds/runs").json()
    assert [row["run"] for row in told["runs"]] == [last.pk, first.pk]
    assert told["next"] is None
    assert told["runs"][0]["accuracy"]["consensus"] == {"value": 0.75, "lo": 0.72, "hi": 0.78}
    assert client.get(told["runs"][0]["page"]).status_code == 200
    one = client.get(told["runs"][0]["url"]).json()
    assert (one["state"], one["settings"], one["trainings_planned"]) == ("done", "quick", 15)
    assert one["metrics"]["test_images"] == 900
    only = client.get("/api/v1/datasets/birds/runs?version=1.0.0&state=done").json()
    assert [row["run"] for row in only["runs"]] == [first.pk]
    assert client.get("/api/v1/datasets/birds/runs?state=nonsense").status_code == 422


def test_the_api_pages(dataset: Dataset, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.api.PAGE", 2)
    made = [finished(dataset, "1.0.0", 0.7).pk for _ in range(3)]
    client = person("researcher")
    told = client.get("/api/v1/datasets/birds/runs?version=1.0.0").json()
    rest = client.get(told["next"]).json()
    assert [row["run"] for row in told["runs"] + rest["runs"]] == made[::-1]
    assert rest["next"] is None


def test_the_api_is_for_those_who_look_after_the_dataset(dataset: Dataset, person: Person) -> None:
    run = finished(dataset, "1.0.0", 0.7)
    Dataset.objects.create(name="cats")
    for path in ("/api/v1/datasets/birds/runs", f"/api/v1/datasets/birds/runs/{run.pk}"):
        assert Client().get(path).status_code == 401
        assert person("annotator").get(path).status_code == 403
    for path in ("nowhere/runs", f"cats/runs/{run.pk}", "birds/runs/999", "nowhere/runs/1"):
        assert person("curator").get(f"/api/v1/datasets/{path}").status_code == 404, path
