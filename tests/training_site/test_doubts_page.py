"""A curator asks people about what a run doubts: what it costs is told first."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from django.test import Client

from annotation_site.models import Round, Task
from ingest.models import Image
from quality.models import VoteRequest
from quality.services.consensus import aggregate_round
from tests.export.world import World
from training.models import TrainingRun
from training.services.doubts import preview

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]


@pytest.fixture
def run(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingRun:
    """A finished run that doubts three of the twelve pictures which all voters call owls."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL, settings.RUNS_DIR = str(tmp_path / "store"), tmp_path / "runs"
    world = World().fill()
    round = Round.objects.get()
    Round.objects.update(price=Decimal("0.05"), gold_rate=0.0, votes_max=5)
    round.refresh_from_db()
    aggregate_round(round)
    release = world.dataset.releases.create(version="1.0.0", fingerprint="f", location=str(tmp_path))
    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    judged(folder, doubted=3)
    return TrainingRun.objects.create(release=release, state="done", folder=str(folder))


def judged(folder: Path, doubted: int) -> None:
    """What nets say of pictures that they were not taught: the label of nearly each, but not of the first."""
    tasks = Task.objects.filter(consensus__category__isnull=False).order_by("pk")
    keys = sorted(tasks.first().round.dataset.categories.values_list("key", flat=True))
    rows = []
    for place, task in enumerate(tasks.select_related("consensus__category", "image")):
        own = keys.index(task.consensus.category.key)
        said = (own + 1) % len(keys) if place < doubted else own
        chance = [0.97 if i == said else 0.03 / (len(keys) - 1) for i in range(len(keys))]
        rows.append(("consensus", 0, task.image.sha256, keys[own], keys[said], chance, place % 5))
    columns = ["arm", "seed", "image", "label", "predicted", "probabilities", "fold"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "predictions.parquet")


def page_of(run: TrainingRun) -> str:
    return f"/d/birds/runs/{run.pk}/doubts"


def test_the_cost_is_told_before_anything_is_asked(run: TrainingRun, person: Person) -> None:
    client = person("curator")
    page = client.get(f"{page_of(run)}?most=2&votes=4").content.decode()
    assert "doubt the labels of 3 pictures" in page
    assert "2 pictures, 8 to 10 votes." in page
    assert "They cost $0.40 to $0.50, gold included." in page
    assert "2 pictures, at most 8 more votes, at most $0.40" in page
    assert page.count('<figure class="thumb">') == 2
    assert not VoteRequest.objects.exists()
    assert Round.objects.count() == 1
    assert "doubt the labels of 3 pictures" in client.get(page_of(run)).content.decode()


def test_gold_is_reckoned_in(run: TrainingRun) -> None:
    Round.objects.update(gold_rate=0.5)
    told = preview(run, 3, 2)
    assert (told.least, told.most, told.cost_least) == (6, 15, pytest.approx(6 * 0.05 / 0.5))
    assert told.rounds[0].cost == pytest.approx(6 * 0.05 / 0.5)


def test_a_new_round_asks_about_the_most_doubtful(run: TrainingRun, person: Person) -> None:
    client = person("curator")
    answer = client.post(page_of(run), {"most": 2, "votes": 3, "way": "new"})
    made = Round.objects.order_by("-pk")[0]
    assert answer["Location"] == f"/d/birds/rounds/{made.pk}"
    assert (made.title, made.tasks_total, made.votes_min, made.votes_max, made.price) == (
        f"What run {run.pk} doubts", 2, 3, 5, Decimal("0.05"),
    )  # fmt: skip
    doubted = [sha for sha, _, _ in preview(run, 2, 3).shown]
    assert set(made.tasks.values_list("image__sha256", flat=True)) == set(doubted)
    again = client.post(page_of(run), {"most": 2, "votes": 3, "way": "new"})
    assert again.status_code == 422
    assert f"round {made.pk} asks about what this run doubts already" in again.content.decode()
    assert Round.objects.count() == 2


def test_a_round_that_is_open_is_asked_for_more_votes(run: TrainingRun, person: Person) -> None:
    client = person("curator")
    said = client.post(page_of(run), {"most": 3, "votes": 1, "way": "more"}, follow=True)
    assert "3 more votes are asked for." in said.content.decode()
    assert set(VoteRequest.objects.values_list("task__image", flat=True)) == set(
        Image.objects.filter(sha256__in=[s for s, _, _ in preview(run, 3, 1).shown]).values_list(
            "pk", flat=True
        )
    )
    again = client.post(page_of(run), {"most": 3, "votes": 1, "way": "more"}, follow=True)
    assert "3 asked for before by this very list" in again.content.decode()
    Round.objects.update(state="closed")
    page = client.get(page_of(run)).content.decode()
    assert "None of them is in a round that is open" in page


@pytest.mark.parametrize("given", [{"most": "0"}, {"votes": "many"}, {"votes": "101"}, {"way": "nowhere"}])
def test_numbers_that_make_no_sense_ask_nothing(run: TrainingRun, person: Person, given: dict) -> None:
    asked = {"most": "2", "votes": "1", "way": "more", **given}
    assert person("curator").post(page_of(run), asked).status_code == 422
    assert not VoteRequest.objects.exists()


def test_a_run_that_judged_only_test_pictures_says_what_to_do(run: TrainingRun, person: Person) -> None:
    (Path(run.folder) / "predictions.parquet").unlink()
    page = person("curator").get(page_of(run))
    assert page.status_code == 200
    assert "no such file" in page.content.decode()
    assert "Have its train pictures judged" in page.content.decode()
    judged(Path(run.folder), doubted=0)
    assert "doubt no consensus" in person("curator").get(page_of(run)).content.decode()
