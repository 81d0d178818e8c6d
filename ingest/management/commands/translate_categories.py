"""manage.py translate_categories: what categories are called in other languages."""

from typing import Any

from django.core.management.base import CommandParser

from ingest.categories import read_translations
from ingest.management.base import AssayCommand, BadInput
from ingest.services.translations import UnknownCategory, translate_categories


class Command(AssayCommand):
    """Adds or replaces translations."""

    help = (
        "Add what categories are called in other languages: a table with the column id and columns such as "
        "name:zh-hans, gloss:zh-hans, synonyms:zh-hans (parted by |). Pages of those who label show them."
    )
    example = "manage.py translate_categories birds birds-zh.csv"

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of this command."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument("file", help=".csv, .csv.gz or .parquet")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """All of the file or nothing."""
        dataset = self.dataset(options["name"])
        try:
            changed = translate_categories(dataset, read_translations(options["file"]))
        except UnknownCategory as error:
            raise BadInput(f"{options['file']}: {error}") from None
        self.report(
            options,
            {"dataset": dataset.name, "changed": changed},
            f"{changed} categories of {dataset.name} were translated anew.",
        )
