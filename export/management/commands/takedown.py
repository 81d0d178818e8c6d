"""`manage.py takedown`: a picture leaves the dataset for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from export.services.image_takedown import Foreseen, TakedownRefused, foresee, take_picture_down
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Arguments in, block list out; the work is `export.services.image_takedown`."""

    help = (
        "Take a picture down, with its copies: no page shows it, nobody is asked about it, its bytes are "
        "removed, later crawls refuse it and later releases leave it out. Says which releases hold it."
    )
    example = """
        manage.py takedown clothing --url https://photos.example/1.jpg --reason "asked for by its author"
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument(
            "--url", action="append", default=[], help="where it was found; may be given again"
        )
        parser.add_argument(
            "--image", action="append", default=[], metavar="SHA256", help="its SHA-256; may be given again"
        )
        parser.add_argument("--reason", required=True, help="why, in a sentence; it is kept")
        parser.add_argument(
            "--this-file-only", action="store_true", help="leave other files that show the same picture"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Take down and report."""
        dataset = self.dataset(options["name"])
        try:
            foreseen = foresee(
                dataset, hashes=options["image"], urls=options["url"], copies=not options["this_file_only"]
            )
            if not options["dry_run"]:
                take_picture_down(foreseen, options["reason"], "")
        except TakedownRefused as error:
            raise BadInput(str(error)) from None
        reason = " ".join(options["reason"].split())
        done = {**foreseen.as_dict(reason), "dry_run": options["dry_run"]}
        self.report(options, done, as_text(foreseen, reason, done["dry_run"]))


def as_text(foreseen: Foreseen, reason: str, dry_run: bool) -> str:
    """For people."""
    images = number_of(len(foreseen.images), "file", "files")
    lines = [
        f"{foreseen.dataset.name}: {images} {'would be' if dry_run else ''} taken down.".replace("  ", " ")
    ]
    if foreseen.copies:
        lines.append(f"  {foreseen.copies:>7}  of them were not named but show the same picture")
    if foreseen.others:
        lines.append(f"  {foreseen.others:>7}  other files show the same picture and stay")
    if foreseen.tasks:
        lines.append(f"  {foreseen.tasks:>7}  tasks withdrawn; {foreseen.votes} votes are kept")
    if foreseen.elsewhere:
        lines.append(f"  {foreseen.elsewhere:>7}  files keep their bytes: other datasets hold them")
    unknown = (*foreseen.hashes, *foreseen.urls)
    lines += [f"  nothing is held of {what}; later crawls refuse it" for what in unknown]
    if foreseen.releases:
        lines.append(f"Held by {', '.join(map(str, foreseen.releases))}. Next:")
        lines += [f"  {line}" for line in foreseen.commands(reason)]
    return "\n".join(lines)
