"""`manage.py retrain`: the baseline on a release, recorded in the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from export.services.find import UnknownRelease, find_release
from ingest.management.base import AssayCommand, BadInput, Failure
from training.models import TrainingRun
from training.services.runs import NoReleaseFolder, RunBusy, perform_run, start_run


class Command(AssayCommand):
    """Records a run and starts the trainer as a process; `python -m training.retrain` does it unrecorded."""

    help = "Retrain the baseline on a release under several labellings; the same command again goes on."
    example = """
        manage.py retrain clothing-1.0.0
        manage.py retrain clothing-1.0.0 --arms majority,consensus --seeds 10 --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("release", help="NAME-VERSION or the folder of a published release")
        parser.add_argument("--arms", default="", metavar="A,B", help="labellings to compare")
        parser.add_argument("--seeds", type=int, metavar="N", help="runs of each labelling")
        parser.add_argument("--preset", default="", help="the trainer's settings, such as quick or baseline")
        parser.add_argument("--device", help="auto, cpu or cuda")
        parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Perform the run and report; the trainer's exit code is passed on."""
        if options["seeds"] is not None and not 1 <= options["seeds"] <= 1000:
            raise BadInput("--seeds is 1 to 1000")
        try:
            release = find_release(options["release"])
            run = start_run(release, options["preset"], options["arms"], options["seeds"])
            outcome = perform_run(run.pk, show=_to_stderr, extra=_machine_options(options))
        except (UnknownRelease, NoReleaseFolder) as error:
            raise BadInput(str(error)) from None
        except RunBusy as error:
            raise Failure(str(error)) from None
        if outcome.code < 0:
            raise Failure(f"{outcome.error}; the same command goes on")
        if outcome.code:
            # The trainer has said why, on stderr; one line stands there, not two.
            sys.stderr.flush()
            raise SystemExit(outcome.code if outcome.code in (1, 2) else 1)
        run.refresh_from_db()
        self.report(options, _as_dict(run), outcome.output.rstrip())


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
