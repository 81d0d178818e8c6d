"""The pages of releases and runs: who sees them, what they say, when there is nothing yet too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.test import Client

from annotation_site.models import Membership, User
from export.funnel import Next, Standing, next_step
from export.models import Release
from ingest.models import Dataset
from tests.training_site.test_runs import METRICS
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
PAGES = ["/d/birds/", "/d/birds/releases/", "/d/birds/releases/1.0.0", "/d/birds/runs/"]


@pytest.fixture
def run(release: Release, tmp_path: Path) -> TrainingRun:
    arms = {name: {**row, "runs": 1} for name, row in METRICS["arms"].items()}
    return TrainingRun.objects.create(
        release=release, state="done", folder=str(tmp_path / "run"), metrics={**METRICS, "arms": arms}
    )


def person(role: str) -> Client:
    client = Client()
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, role=role)
    client.force_login(user)
    return client


def test_researchers_see_everything_and_annotators_nothing(run: TrainingRun) -> None:
    for path in [*PAGES, f"/d/birds/runs/{run.pk}"]:
        assert Client().get(path).status_code == 302, path
    annotator, researcher = person("annotator"), person("researcher")
    for path in [*PAGES, f"/d/birds/runs/{run.pk}"]:
        assert annotator.get(path).status_code == 403, path
        assert researcher.get(path).status_code == 200, path
        assert researcher.post(path).status_code == 405, path
    assert researcher.get("/d/birds/releases/9.9.9").status_code == 404
    assert researcher.get("/d/birds/runs/999").status_code == 404
    assert researcher.get(f"/d/birds/runs/{run.pk}/report").status_code == 404


def test_a_run_of_another_dataset_is_not_here(run: TrainingRun) -> None:
    Dataset.objects.create(name="cats")
    assert person("curator").get(f"/d/cats/runs/{run.pk}").status_code == 404


def test_the_pages_say_what_was_found(run: TrainingRun) -> None:
    client = person("curator")
    release = client.get("/d/birds/releases/1.0.0").content.decode()
    assert "100.0% of the labels are right (95% interval 61.0% to 100.0%)" in release
    assert "80.0%" in release
    assert release.count("<figure") == 18
    found = client.get(f"/d/birds/runs/{run.pk}").content.decode()
    assert "right on 80.0% of 6 test pictures" in found
    assert "few images" in found
    overview = client.get("/d/birds/").content.decode()
    assert "18 pictures are released as birds-1.0.0" in overview
    assert "61.0%" in client.get("/d/birds/releases/").content.decode()


def test_a_lost_folder_is_said_and_breaks_nothing(run: TrainingRun) -> None:
    shutil.rmtree(run.release.location)
    client = person("curator")
    page = client.get("/d/birds/releases/1.0.0").content.decode()
    assert "Its folder is gone" in page
    assert "gone" in client.get("/d/birds/releases/").content.decode()
    assert client.get("/d/birds/").status_code == 200


def test_an_empty_dataset_says_what_to_do() -> None:
    Dataset.objects.create(name="cats")
    client = person("curator")
    assert "manage.py ingest cats" in client.get("/d/cats/").content.decode()
    assert "manage.py export_release cats 1.0.0" in client.get("/d/cats/releases/").content.decode()
    assert "manage.py retrain cats" in client.get("/d/cats/runs/").content.decode()


def test_pages_need_a_fixed_number_of_queries(
    run: TrainingRun, django_assert_max_num_queries: object
) -> None:
    client = person("curator")
    for path in PAGES:
        with django_assert_max_num_queries(26):
            client.get(path)


def test_the_next_step_is_the_first_thing_missing() -> None:
    empty = Standing(found=0, stored=0, unique=0, labelled=0, settled=0, released=0)
    assert next_step(empty) == Next.INGEST
    steps: list[tuple[dict, Next]] = [
        ({"found": 9, "stored": 9}, Next.DEDUP),
        ({"unique": 8}, Next.OPEN_ROUND),
        ({"rounds": 1, "open_rounds": 1, "waiting": 8}, Next.WAIT),
        ({"labelled": 8, "settled": 5, "waiting": 3}, Next.WAIT),
        ({"settled": 8, "waiting": 0}, Next.REFER),
        ({"references": True}, Next.EXPORT),
        ({"released": 7}, Next.RETRAIN),
        ({"runs": 1}, Next.DONE),
    ]
    known: dict = {"found": 0, "stored": 0, "unique": 0, "labelled": 0, "settled": 0, "released": 0}
    for change, wanted in steps:
        known |= change
        assert next_step(Standing(**known)) == wanted, change
    assert {s: share for s, _, share in Standing(**known).steps()}["unique"] == 8 / 9
