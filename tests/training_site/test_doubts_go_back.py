"""A run's doubts go back to the crowd: from votes over a release and its trainer to a task that is open."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image as Pillow

from annotation_site.models import Round, Task
from export.services.publish import publish_release
from ingest.models import Image
from quality.models import VoteRequest
from tests.export.world import World
from training.services.runs import perform_run, start_run

pytestmark = pytest.mark.django_db
COLOURS = {"finch": (190, 60, 60), "owl": (60, 60, 190)}


def coloured(category: str, seed: int) -> bytes:
    """A picture that its colour tells: red is a finch, blue an owl."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array(COLOURS[category]) + rng.normal(0, 30, (24, 24, 3)), 0, 255)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def world(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[Image]]:
    """Forty train pictures with two votes each, and the three of them on which both voters were wrong."""
    monkeypatch.setattr("os.sync", lambda: None)
    settings.STORAGE_URL, settings.RUNS_DIR = str(tmp_path / "store"), tmp_path / "runs"
    world, wrong, seed = World(), [], 0
    for split, number in {"train": 20, "val": 2, "test": 4}.items():
        for key, other in (("finch", "owl"), ("owl", "finch")):
            for place in range(number):
                image = world.add_image(coloured(key, seed := seed + 1), split=split)
                mistaken = split == "train" and key == "owl" and place < 3
                world.vote(image, [other if mistaken else key] * 2)
                wrong += [image] * mistaken
                if split == "test":
                    world.refer(image, key)
    Task.objects.update(state=Task.State.SETTLED)
    Round.objects.update(tasks_settled=Task.objects.count())
    return world, wrong


def test_what_a_run_doubts_is_asked_again(
    world: tuple[World, list[Image]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, wrong = world
    release = publish_release(made.dataset, "1.0.0", tmp_path / "releases").release
    run = start_run(release, arms="consensus,cleaned,cleaned_control", seeds=1)
    options = ("--size", "32", "--epochs", "2", "--hidden", "0", "--folds", "4", "--threads", "1")
    outcome = perform_run(run.pk, extra=(*options, "--device", "cpu"))
    assert outcome.code == 0, outcome.error
    call_command("request_votes", "birds", "--from-run", run.folder, "--json")
    told = json.loads(capsys.readouterr().out)
    asked = set(VoteRequest.objects.values_list("task__image", flat=True))
    assert {image.pk for image in wrong} <= asked
    assert told["tasks"] == len(asked) <= 6
    assert told["unknown"] == 0
    assert not Task.objects.filter(image__in=wrong).exclude(state=Task.State.OPEN).exists()
    # The same run asks once.
    call_command("request_votes", "birds", "--from-run", run.folder, "--json")
    again = json.loads(capsys.readouterr().out)
    assert (again["tasks"], again["left_out"]) == (0, {"already_waiting": len(asked)})
