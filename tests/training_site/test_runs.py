"""Training runs as processes: what is recorded, what a failure says, who may run twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation_site.models import User
from export.models import Release
from training.jobs import retrain
from training.models import TrainingRun
from training.services import trainer as trainers
from training.services.runs import NoReleaseFolder, RunBusy, perform_run, start_run
from training.services.standing import pairs_planned, standing_of

pytestmark = pytest.mark.django_db


def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in the trainer's place; `$5` is the run's folder."""
    path = tmp_path / "trainer"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(trainers.sys, "executable", str(path))


METRICS = {
    "schema": 1,
    "model": "small",
    "test_images": 6,
    "warnings": ["few images"],
    "arms": {
        "consensus": {
            "n_train": 8,
            "label_error": 0.1,
            "top1": {"value": 0.8, "lo": 0.7, "hi": 0.9},
            "top5": None,
            "minus_majority": {"value": 0.1, "lo": -0.1, "hi": 0.3, "p": 0.4},
            "seeds": [{"seed": 0, "top1": 0.8}],
        }
    },
}


@pytest.mark.pipeline
def test_the_real_trainer_through_the_command(release: Release, client: Client) -> None:
    out = StringIO()
    options = ["--arms", "majority,consensus", "--seeds", "1", "--threads", "1", "--json"]
    call_command("retrain", "birds-1.0.0", *options, stdout=out)
    said = json.loads(out.getvalue())
    run = TrainingRun.objects.get()
    assert (said["run"], said["state"], run.state) == (run.pk, "done", "done")
    assert Path(said["report"]).is_file()
    assert set(run.metrics["arms"]) == {"majority", "consensus"}
    assert "seeds" not in run.metrics["arms"]["majority"]
    standing = standing_of(run)
    assert standing.done == pairs_planned(run) == 2
    assert standing.epochs is not None
    assert standing.epochs[0] == standing.epochs[1] > 0
    client.force_login(User.objects.create(username="root", is_superuser=True))
    assert "cannot be told" in client.get(f"/d/birds/runs/{run.pk}").content.decode()
    report = client.get(f"/d/birds/runs/{run.pk}/report")
    assert report["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"<html" in report.content


def test_a_run_is_recorded_with_what_it_found(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    script = f'mkdir -p "$5/results"; touch "$5/results/consensus-0.npz"; cp {tmp_path}/metrics.json "$5/"'
    trainer(tmp_path, monkeypatch, script + "; echo table; echo bar >&2")
    heard: list[bytes] = []
    run = start_run(release, preset="quick", arms="consensus", seeds=1)
    outcome = perform_run(run.pk, show=heard.append)
    run.refresh_from_db()
    assert (outcome.code, outcome.output, b"".join(heard)) == (0, "table\n", b"bar\n")
    assert run.state == TrainingRun.State.DONE
    assert run.metrics["arms"]["consensus"]["runs"] == 1
    assert run.finished
    assert start_run(release, "quick", "consensus", 1) != run, "a finished run is not begun again"


def test_options_reach_the_trainer(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer(tmp_path, monkeypatch, 'echo "$@" >&2; exit 1')
    run = start_run(release, preset="baseline", arms="majority", seeds=3)
    perform_run(run.pk, extra=("--device", "cpu"))
    run.refresh_from_db()
    wanted = "--preset baseline --arms majority --seeds 3 --device cpu"
    assert run.error == f"-m training.retrain {release.location} -o {run.folder} {wanted}"


def test_a_failed_run_says_why_and_goes_on_under_its_number(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, monkeypatch, r'mkdir -p "$5"; printf "10%%\r20%%\rretrain: it diverged\n" >&2; exit 1')
    run = start_run(release)
    assert retrain.delay(run.pk).get() == 1
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "retrain: it diverged")
    with pytest.raises(SystemExit) as caught:
        call_command("retrain", "birds-1.0.0")
    assert caught.value.code == 1
    assert TrainingRun.objects.count() == 1
    trainer(tmp_path, monkeypatch, "kill -9 $$")
    with pytest.raises(CommandError, match="signal 9") as dead:
        call_command("retrain", "birds-1.0.0")
    assert dead.value.returncode == 1


def test_unusable_arguments_leave_no_run(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, monkeypatch, 'echo "retrain: unknown arm" >&2; exit 2')
    with pytest.raises(SystemExit) as caught:
        call_command("retrain", release.location, "--arms", "majority")
    assert caught.value.code == 2
    assert not TrainingRun.objects.exists()
    for name in ("birds-9.9.9", "nothing"):
        with pytest.raises(CommandError) as unknown:
            call_command("retrain", name)
        assert unknown.value.returncode == 2
    release.location = str(tmp_path / "gone")
    release.save()
    with pytest.raises(NoReleaseFolder):
        perform_run(start_run(release).pk)


def test_a_trainer_that_outlives_its_starter_keeps_the_run(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the trainer leaves behind holds the lock that the trainer was given.
    trainer(tmp_path, monkeypatch, f"sleep 60 >/dev/null 2>&1 & echo $! > {tmp_path}/survivor; exit 1")
    run = start_run(release)
    perform_run(run.pk)
    try:
        with pytest.raises(RunBusy):
            perform_run(run.pk)
    finally:
        os.kill(int((tmp_path / "survivor").read_text()), signal.SIGKILL)
    trainer(tmp_path, monkeypatch, "exit 1")
    while True:  # the kernel lets go of a killed process's lock in its own time
        with contextlib.suppress(RunBusy):
            perform_run(run.pk)
            break


def test_this_side_never_loads_torch() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'annotation_site.settings'; "
        "django.setup(); import training.views, training.jobs, training.management.commands.retrain; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
