"""manage.py dedup: groups near-duplicates; run again after every ingest."""

from typing import Any

from django.core.management.base import CommandParser

from ingest.duplicates import DEFAULT_RADIUS
from ingest.management.base import AssayCommand, BadInput, Failure
from ingest.services.dedup import group_duplicates


class Command(AssayCommand):
    """Groups near-duplicates."""

    help = (
        "Group the images that show the same picture. Only new images are compared, with all others; "
        "close hashes nominate a pair, a second look at the pictures settles it."
    )
    example = "manage.py dedup clothing\nmanage.py dedup clothing --radius 8 --json"

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of this command."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument(
            "--radius",
            type=int,
            default=DEFAULT_RADIUS,
            metavar="BITS",
            help="how far two hashes may differ to be looked at twice, 0 to 32 (default %(default)s)",
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Group what has no group yet."""
        dataset = self.dataset(options["name"])
        radius = options["radius"]
        if not 0 <= radius <= 32:
            raise BadInput(f"--radius is 0 to 32 bits, not {radius}")
        if not dataset.images.exists():
            raise BadInput(
                f"{dataset.name} has no images yet; bring some with manage.py ingest {dataset.name} SOURCE…"
            )
        summary = group_duplicates(dataset, radius)
        self.report(
            options,
            summary.as_json(),
            f"{summary.new} new images. {dataset.name} has {summary.groups} different pictures and "
            f"{summary.copies} copies of them; {len(summary.unsure)} pairs stay unsure and apart.",
        )
        if summary.unreadable:
            first, why = next(iter(summary.unreadable.items()))
            raise Failure(
                f"{len(summary.unreadable)} images can no longer be read from the store and have no group, "
                f"such as {first[:12]}: {why}"
            )
