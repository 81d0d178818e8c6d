"""`manage.py export_release`: publish a release as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from export.selection import Filters
from export.services.publish import Published, ReleaseFailed, ReleaseRefused, publish_release
from ingest.management.base import AssayCommand, BadInput, Failure


class Command(AssayCommand):
    """Arguments in, folder out; the work is `export.services.publish`."""

    help = "Publish an immutable release: OUTPUT/NAME-VERSION/, an ImageFolder with votes and provenance."
    example = """
        manage.py export_release clothing 1.0.0 --output releases
        manage.py export_release clothing 1.1.0 --output releases --min-confidence 0.9 --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument("version", help="X.Y.Z; only a new X adds test pictures")
        parser.add_argument(
            "--output", required=True, metavar="DIR", help="folder that will hold the release"
        )
        parser.add_argument("--splits", help="train/val/test in percent (80/10/10); first release only")
        parser.add_argument(
            "--min-confidence", type=float, default=0.0, metavar="P", help="for train and val"
        )
        parser.add_argument("--min-votes", type=int, default=1, metavar="N", help="train and val")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish and report."""
        dataset = self.dataset(options["name"])
        filters = Filters(options["min_confidence"], options["min_votes"])
        if not 0 <= filters.min_confidence <= 1:
            raise BadInput("--min-confidence is a probability, 0 to 1")
        if filters.min_votes < 0:
            raise BadInput("--min-votes is 0 or more")
        if "://" in options["output"]:
            raise BadInput(f"--output {options['output']}: only folders on this machine can be written")
        output = Path(options["output"])
        if output.exists() and not output.is_dir():
            raise BadInput(f"--output {output}: is no folder")
        try:
            made = publish_release(
                dataset, options["version"], output, splits=options["splits"], filters=filters
            )
        except ReleaseRefused as error:
            raise BadInput(str(error)) from None
        except ReleaseFailed as error:
            raise Failure(str(error)) from None
        for warning in made.warnings:
            self.stderr.write(f"warning: {warning}")
        self.report(options, made.as_dict(), as_text(made))


def as_text(made: Published) -> str:
    """What was published, for people."""
    counts = made.release.counts
    found = made.release.label_accuracy
    lines = [
        str(made.folder),
        f"{counts['images']} pictures: {counts['train']} train, {counts['val']} val, {counts['test']} test; "
        f"{counts['votes']} votes by {counts['workers']} workers",
    ]
    if found:
        lines.append(f"label accuracy {found['value']:.1%} ({found['lo']:.1%} to {found['hi']:.1%})")
    return "\n".join([*lines, f"fingerprint {made.release.fingerprint}"])
