"""Runs that wait: begun in their order, once, by one process; stopped, left in the middle, gone on with."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from kombu.exceptions import OperationalError

from export.models import Release
from tests.training_site.conftest import Stand
from training import jobs
from training.models import TrainingRun
from training.process import name_of
from training.services import queue
from training.services import trainer as trainers
from training.services.queue import perform_queued, work_off_queue
from training.services.runs import is_abandoned, perform_run, start_run, stop_run
from training.services.standing import standing_of
from training.services.trainer import said_last
from training.store import RunFolder

pytestmark = pytest.mark.django_db
State = TrainingRun.State


@pytest.fixture
def release(bare_release: Release) -> Release:
    """No picture is looked at here."""
    return bare_release


def test_the_queue_is_worked_off_in_order_each_run_once(
    release: Release, trainer: Stand, tmp_path: Path
) -> None:
    trainer(f'mkdir -p "$5"; basename "$5" >> {tmp_path}/order; echo "no luck" >&2; exit 1')
    first, stopped, last = (start_run(release, seeds=n) for n in (1, 2, 3))
    stop_run(stopped)
    assert work_off_queue() == {first.pk: 1, last.pk: 1}
    assert (tmp_path / "order").read_text() == f"birds-1.0.0-run{first.pk}\nbirds-1.0.0-run{last.pk}\n"
    states = dict(TrainingRun.objects.values_list("pk", "state"))
    assert states == {first.pk: "failed", stopped.pk: "stopped", last.pk: "failed"}
    assert work_off_queue() == {}, "failed runs wait for a person"


def test_one_process_at_a_time_works_off_the_queue(release: Release, trainer: Stand) -> None:
    trainer("exit 1")
    run = start_run(release)
    with (run_folder(run).parent / ".queue.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert queue.is_worked_off()
        assert work_off_queue() == {}
    assert not queue.is_worked_off()
    assert work_off_queue() == {run.pk: 1}


def test_what_was_queued_while_the_worker_left_is_not_forgotten(
    release: Release, trainer: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer("exit 1")
    first = start_run(release, seeds=1)
    due, late = queue._due, []

    def last_look(tried: set[int]) -> object:
        found = due(tried)
        if first.pk in tried and not late and not found:
            late.append(start_run(release, seeds=2))
            return TrainingRun.objects.none()  # it came just after the worker had looked
        return found

    monkeypatch.setattr(queue, "_due", last_look)
    assert work_off_queue() == {first.pk: 1, late[0].pk: 1}


def run_folder(run: TrainingRun) -> Path:
    folder = Path(run.folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_run_whose_worker_was_killed_is_performed_again(release: Release, trainer: Stand) -> None:
    trainer("exit 1")
    run = start_run(release)
    perform_run(run.pk)
    TrainingRun.objects.update(state=State.RUNNING)
    run.refresh_from_db()
    assert is_abandoned(run)
    assert standing_of(run).abandoned
    assert jobs.retrain.delay(run.pk).get() == 1


def test_a_run_that_has_ended_is_not_begun_by_a_job_that_comes_twice(
    release: Release, trainer: Stand
) -> None:
    trainer("exit 1")
    run = start_run(release)
    assert jobs.retrain.delay(run.pk).get() == 1
    assert jobs.retrain.delay(run.pk).get() is None
    assert jobs.retrain.delay(run.pk + 1).get() is None


def test_a_lost_release_folder_stands_in_the_row(release: Release) -> None:
    release.location = "s3://bucket/birds-1.0.0"
    release.save()
    run = start_run(release)
    assert perform_queued(run.pk) == 2
    run.refresh_from_db()
    assert (run.state, run.error.split(":")[0]) == ("failed", "birds-1.0.0 is at s3")


def test_a_running_trainer_is_stopped_by_its_process(release: Release, trainer: Stand) -> None:
    trainer("echo up >&2; exec sleep 60")
    run = start_run(release)
    assert perform_run(run.pk, show=lambda words: stop_run(run)).code == -15
    run.refresh_from_db()
    assert (run.state, run.error, run.process) == ("stopped", "", "")
    assert not stop_run(run), "it has ended"


def test_a_trainer_elsewhere_is_stopped_by_whoever_performs_it(
    release: Release, trainer: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainers, "ASK_EVERY", 0.0)
    trainer("echo up >&2; exec sleep 60")
    run = start_run(release)

    def stop_from_another_machine(words: bytes) -> None:
        TrainingRun.objects.update(process="other-boot pid:[1] 1 1")
        stop_run(run)

    assert perform_run(run.pk, show=stop_from_another_machine).code == -15
    run.refresh_from_db()
    assert run.state == State.STOPPED


def test_a_process_that_took_the_number_over_is_not_hit(release: Release) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        boot, room, pid, began = name_of(other.pid).split(" ")
        process = f"{boot} {room} {pid} {int(began) - 1}"
        run = start_run(release)
        TrainingRun.objects.update(state=State.RUNNING, process=process)
        assert stop_run(run)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_stopped_before_its_turn_it_is_not_begun(release: Release, trainer: Stand, tmp_path: Path) -> None:
    trainer(f"touch {tmp_path}/begun; exit 1")
    run = start_run(release)
    stop_run(run)
    assert perform_queued(run.pk) is None
    assert not (tmp_path / "begun").exists()


def test_the_log_keeps_what_a_bar_showed_last(release: Release, trainer: Stand) -> None:
    trainer(r'printf "train 10%%\rtrain 20%%\rtrain 30%%\n\nretrain: no memory\n" >&2; exit 1')
    run = start_run(release)
    perform_run(run.pk)
    assert said_last(Path(run.folder)) == ["train 30%", "retrain: no memory"]
    assert said_last(Path(run.folder), 1) == ["retrain: no memory"]
    assert said_last(Path(run.folder).parent / "nothing") == []


def test_a_killed_starter_takes_no_word_from_the_trainer(release: Release, trainer: Stand) -> None:
    """What the trainer says goes to a file, so that writing it cannot fail when nobody listens."""
    trainer("readlink /proc/self/fd/2 >&2; exit 1")
    run = start_run(release)
    perform_run(run.pk)
    assert said_last(Path(run.folder)) == [f"{run.folder}.log"]


def test_time_left_is_at_the_pace_of_this_trainer(release: Release) -> None:
    run = start_run(release, seeds=1)
    folder = RunFolder(Path(run.folder))
    folder.results.mkdir(parents=True)
    folder.plan(10)
    TrainingRun.objects.update(state=State.RUNNING, begun="2026-01-01T00:00:00Z")
    run.refresh_from_db()
    began = run.begun.timestamp()
    for name in ("old-0", "a-0"):
        (folder.results / f"{name}.npz").touch()
    assert standing_of(run, now=began + 50).seconds_left is None, "nothing is noted yet"
    folder.note_progress(25, 100, 15)  # of 10 trainings of 10 epochs, the first by an earlier trainer
    trainers.os.utime(folder.path / "progress", (began + 30, began + 30))
    standing = standing_of(run, now=began + 50)
    assert (standing.done, standing.planned, standing.abandoned) == (2, 10, False)
    assert standing.epochs == (25, 100)
    assert standing.seconds_left == pytest.approx(75 * 2 - 20)
    folder.note_progress(25, 100, 0)
    assert standing_of(run, now=began + 50).seconds_left is None, "no epoch of its own"
    trainers.os.utime(folder.path / "progress", (began - 500, began - 500))
    assert standing_of(run, now=began + 50).seconds_left is None, "what an earlier trainer noted"
    (folder.path / "progress").write_text("[1,")
    assert standing_of(run).epochs is None


def test_a_run_is_queued_at_once_and_a_worker_is_started(release: Release, workers: list[int]) -> None:
    call_command("retrain", "birds-1.0.0", "--queue", "--preset", "probe", "--epochs", "3", "--no-nesterov")
    run = TrainingRun.objects.get()
    assert (run.state, run.preset, run.config) == ("queued", "probe", "epochs = 3\nnesterov = false\n")
    assert workers == [1]


def test_without_a_worker_a_run_still_waits_and_says_so(
    release: Release, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise OperationalError("connection refused")

    run = start_run(release)
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(jobs.retrain, "apply_async", refuse)
    assert "connection refused" in jobs.enqueue(run)
    run.refresh_from_db()
    assert run.state == State.QUEUED
    assert "manage.py retrain --queued" in run.error
    sent: list[tuple[int]] = []
    monkeypatch.setattr(jobs.retrain, "apply_async", lambda args, retry: sent.append(args))
    call_command("retrain", "--queued")
    assert sent == [(run.pk,)]


def test_settings_beside_the_preset_reach_the_trainer_by_file(
    release: Release, trainer: Stand, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('preset = "baseline"\nepochs = 9\naugment = ["flip"]\nlr = 0.5\n')
    trainer('mkdir -p "$5"; echo "$@" >&2; exit 1')
    with pytest.raises(SystemExit):
        call_command("retrain", "birds-1.0.0", "--config", str(tmp_path / "mine.toml"), "--epochs", "4")
    run = TrainingRun.objects.get()
    assert (run.preset, run.config) == ("baseline", 'augment = ["flip"]\nepochs = 4\nlr = 0.5\n')
    assert run.error.endswith(f"--preset baseline --config {run.folder}.toml")
    assert Path(f"{run.folder}.toml").read_text() == run.config
    # By its number it goes on with the same, and with the machine that it began on.
    (Path(run.folder) / "run.json").write_text(json.dumps({"device": "cpu", "threads": 3}))
    with pytest.raises(SystemExit):
        call_command("retrain", "--run", str(run.pk), "--suspects")
    run.refresh_from_db()
    assert "--suspects --device cpu --threads 3" in run.error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["birds-1.0.0", "--arms", "nonsense"], "nonsense"),
        (["birds-1.0.0", "--epochs", "0"], "epochs"),
        (["birds-1.0.0", "--preset", "slow"], "unknown preset"),
        (["birds-1.0.0", "--config", "nothing.toml"], "nothing.toml"),
        (["birds-1.0.0", "--queue", "--threads", "1"], "--threads"),
        (["--run", "99"], "no run 99"),
        (["--stop", "99"], "no run 99"),
        (["birds-1.0.0", "--run", "1"], "one of"),
        ([], "name a release"),
        (["birds", "--on-publish", "slow"], "unknown preset"),
        (["cats", "--on-publish", "quick"], "no dataset"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_recorded(
    release: Release, words: list[str], told: str
) -> None:
    with pytest.raises(CommandError, match=told) as refused:
        call_command("retrain", *words)
    assert refused.value.returncode == 2
    assert not TrainingRun.objects.exists()


def test_stop_and_go_on_by_command(
    release: Release, trainer: Stand, workers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    run = start_run(release)
    call_command("retrain", "--stop", str(run.pk), "--json")
    assert json.loads(capsys.readouterr().out)["state"] == "stopped"
    with pytest.raises(CommandError, match="it is stopped") as over:
        call_command("retrain", "--stop", str(run.pk))
    assert over.value.returncode == 1
    call_command("retrain", "--run", str(run.pk), "--queue")
    run.refresh_from_db()
    assert (run.state, workers) == ("queued", [1])
    trainer("exit 1")
    with pytest.raises(CommandError, match="1 of 1 runs did not end well") as failed:
        call_command("retrain", "--queued")
    assert failed.value.returncode == 1
