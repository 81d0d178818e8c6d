"""`manage.py retrain`: the baseline on a release, recorded in the database."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from export.services.find import UnknownRelease, find_release
from ingest.management.base import AssayCommand, BadInput, Failure
from training.jobs import enqueue, send
from training.models import PublishingPreset, TrainingRun
from training.presets import PRESETS
from training.services.queue import work_off_queue
from training.services.runs import (
    NoReleaseFolder,
    RunBusy,
    forget_unbegun,
    perform_run,
    release_folder,
    start_run,
    stop_run,
    want_suspects,
)
from training.settings import NONE, SettingsError, add_flags, flags_given
from training.wishes import read_wishes


class Command(AssayCommand):
    """Records a run and starts the trainer as a process; `python -m training.retrain` does it unrecorded."""

    help = "Retrain the baseline on a release under several labellings; the same command again goes on."
    example = """
        manage.py retrain clothing-1.0.0
        manage.py retrain clothing-1.0.0 --arms majority,consensus --seeds 10 --json
        manage.py retrain clothing-1.0.0 --preset baseline --config mine.toml --queue
        manage.py retrain --run 7
        manage.py retrain --stop 7
        manage.py retrain clothing --on-publish quick
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument(
            "release",
            nargs="?",
            help="NAME-VERSION or the folder of a published release; with --on-publish the dataset",
        )
        parser.add_argument("--config", type=Path, metavar="F.toml", help="settings; flags override them")
        parser.add_argument("--device", help="auto, cpu or cuda; not kept with the run")
        parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; not kept with the run")
        parser.add_argument(
            "--suspects",
            action="store_true",
            help="judge every train picture by nets that were not taught it: request_votes --from-run asks "
            "people about those that look wrong; with --run also for one that is done",
        )
        parser.add_argument(
            "--queue", action="store_true", help="record the run and leave; it is performed in the background"
        )
        other = parser.add_argument_group("other than a release").add_mutually_exclusive_group()
        other.add_argument("--run", type=int, metavar="RUN", help="go on with the run of this number")
        other.add_argument("--stop", type=int, metavar="RUN", help="stop it; what it has finished is kept")
        other.add_argument(
            "--queued", action="store_true", help="perform what waits, and what was left in the middle"
        )
        other.add_argument(
            "--on-publish",
            metavar="PRESET|none",
            help="what publishing a release of this dataset starts from now on",
        )
        self.add_json(parser)
        group = parser.add_argument_group("settings, as python -m training.retrain --help explains them")
        add_flags(group, PRESETS["quick"])

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the one thing that was asked; the trainer's exit code is passed on."""
        elsewhere = options["run"], options["stop"], options["queued"] or None
        if (options["release"] is None) == all(given is None for given in elsewhere):
            raise BadInput("name a release, or one of --run, --stop and --queued")
        try:
            if options["on_publish"] is not None:
                self._choose(options)
            elif options["stop"] is not None:
                self._stop(options)
            elif options["queued"]:
                self._work_off(options)
            elif options["queue"]:
                self._queue(options)
            else:
                self._perform(options)
        except (UnknownRelease, NoReleaseFolder, SettingsError) as error:
            raise BadInput(str(error)) from None
        except RunBusy as error:
            raise Failure(str(error)) from None

    def _perform(self, options: dict[str, Any]) -> None:
        """Train here and now, and report."""
        run = self._asked(options)
        outcome = perform_run(run.pk, show=_to_stderr, extra=_machine_options(options))
        run.refresh_from_db()
        if run.state == TrainingRun.State.STOPPED:
            raise Failure(f"run {run.pk} was stopped; the same command goes on")
        if outcome.code < 0:
            raise Failure(f"{outcome.error}; the same command goes on")
        if outcome.code == 2:
            forget_unbegun(run)
        if outcome.code:
            # The trainer has said why, on stderr; one line stands there, not two.
            sys.stderr.flush()
            raise SystemExit(outcome.code if outcome.code in (1, 2) else 1)
        self.report(options, _as_dict(run), outcome.output.rstrip())

    def _queue(self, options: dict[str, Any]) -> None:
        """Leave the run to a worker; nothing is wrong with it if none can be told yet."""
        if _machine_options(options):
            raise BadInput("--device and --threads are for a run that is performed at once, not with --queue")
        run = self._asked(options)
        release_folder(run.release)
        if hindered := enqueue(run):
            raise Failure(f"run {run.pk} {hindered}")
        run.refresh_from_db()
        self.report(options, _as_dict(run), f"run {run.pk} is queued; its page shows how far it is")

    def _stop(self, options: dict[str, Any]) -> None:
        run = _run(options["stop"])
        if not stop_run(run):
            raise Failure(f"run {run.pk} is not under way: it is {run.get_state_display()}")
        run.refresh_from_db()
        words = f"run {run.pk} is stopped; manage.py retrain --run {run.pk} goes on with it"
        self.report(options, _as_dict(run), words)

    def _work_off(self, options: dict[str, Any]) -> None:
        """Perform what is due here, or, where there is a broker, tell its workers again."""
        if settings.CELERY_BROKER_URL:
            due = list(TrainingRun.objects.begun_or_due().order_by("pk").values_list("pk", flat=True))
            if hindered := send(due):
                raise Failure(hindered)
            self.report(options, {"runs": dict.fromkeys(map(str, due))}, f"{len(due)} sent to the workers")
            return
        codes = work_off_queue(_to_stderr)
        failed = sorted(pk for pk, code in codes.items() if code)
        if failed:
            runs = ", ".join(map(str, failed))
            raise Failure(f"{len(failed)} of {len(codes)} runs did not end well: {runs}; their pages say why")
        told = {"runs": {str(pk): code for pk, code in codes.items()}}
        self.report(options, told, f"{len(codes)} performed")

    def _choose(self, options: dict[str, Any]) -> None:
        """Keep the preset that publishing starts."""
        dataset, preset = self.dataset(options["release"] or ""), options["on_publish"]
        if preset == NONE:
            PublishingPreset.objects.filter(dataset=dataset).delete()
            words = f"publishing a release of {dataset.name} starts no training"
        elif preset in PRESETS:
            PublishingPreset.objects.update_or_create(dataset=dataset, defaults={"preset": preset})
            words = f"publishing a release of {dataset.name} starts preset {preset}"
        else:
            raise BadInput(f"unknown preset {preset!r}; known are {', '.join(PRESETS)}, and {NONE}")
        told = {"dataset": dataset.name, "on_publish": None if preset == NONE else preset}
        self.report(options, told, words)

    def _asked(self, options: dict[str, Any]) -> TrainingRun:
        """The run that is meant: of that number, or of these settings on that release."""
        flags = flags_given(Namespace(**options))
        if options["run"] is not None:
            if flags or options["config"]:
                raise BadInput("--run goes on with the settings that the run has; give it no others")
            run = _run(options["run"])
            if options["suspects"]:
                want_suspects(run)
            return run
        wishes = read_wishes(flags, options["config"])
        release = find_release(options["release"])
        return start_run(
            release, wishes.preset, wishes.arms, wishes.seeds, wishes.config, options["suspects"]
        )


def _run(pk: int) -> TrainingRun:
    run = TrainingRun.objects.select_related("release__dataset").filter(pk=pk).first()
    if run is None:
        raise BadInput(f"there is no run {pk}")
    return run


def _to_stderr(words: bytes) -> None:
    sys.stderr.buffer.write(words)
    sys.stderr.flush()


def _machine_options(options: dict[str, Any]) -> tuple[str, ...]:
    """Options that decide how fast it goes on this machine, not what is computed."""
    given: list[str] = []
    for flag in ("device", "threads"):
        if options[flag]:
            given += [f"--{flag}", str(options[flag])]
    return tuple(given)


def _as_dict(run: TrainingRun) -> dict[str, Any]:
    """As `retrain --json` prints it."""
    folder = Path(run.folder)
    return {
        "run": run.pk,
        "state": run.state,
        "folder": run.folder,
        "report": str(folder / "report.html"),
        "metrics": run.metrics,
    }
