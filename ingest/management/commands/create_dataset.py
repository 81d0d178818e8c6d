"""manage.py create_dataset: a name, its categories, its split shares."""

from typing import Any

from django.core.management.base import CommandParser

from ingest.categories import read_categories
from ingest.management.base import AssayCommand, BadInput
from ingest.services.datasets import create_dataset


class Command(AssayCommand):
    """Starts a dataset."""

    help = (
        "Start a dataset from a list of categories (columns: id, name, gloss, parent, synonyms parted by |)."
    )
    example = (
        "manage.py create_dataset clothing --categories categories.csv --splits 70/10/20\n"
        "manage.py create_dataset birds --categories birds.csv --title 'Birds of Europe' --licence CC-BY-4.0"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of this command."""
        parser.add_argument("name", help="lower-case letters, digits, _ and -; it stands in addresses")
        parser.add_argument("--categories", required=True, metavar="FILE", help=".csv, .csv.gz or .parquet")
        parser.add_argument(
            "--splits", default="80/10/10", help="train/val/test in percent (default %(default)s)"
        )
        parser.add_argument("--title", default="", help="what people call it")
        parser.add_argument("--licence", default="", help="licence of the dataset itself, such as CC-BY-4.0")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, then make it all at once."""
        rows = read_categories(options["categories"])
        try:
            dataset = create_dataset(
                options["name"],
                rows,
                splits=options["splits"],
                title=options["title"],
                licence=options["licence"],
            )
        except ValueError as error:
            raise BadInput(str(error)) from None
        self.report(
            options,
            {"dataset": dataset.name, "categories": len(rows), "splits": dataset.splits},
            f"Dataset {dataset.name} with {len(rows)} categories. "
            f"Next: manage.py ingest {dataset.name} SOURCE…",
        )
