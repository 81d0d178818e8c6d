"""`manage.py add_gold`: see `quality.services.known` and `quality.services.gold`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.tables import read_table
from quality.services.gold import add_settled_gold, gold_report, retire_gold
from quality.services.known import KnownRow, KnownSummary, UnusableAnswers, add_gold


class Command(AssayCommand):
    """Keep known answers that screen workers."""

    help = "Keep known answers (columns image,label) as gold, which screens workers; watch and retire gold."
    example = """python manage.py add_gold clothing gold.csv
        python manage.py add_gold clothing --from-settled 60
        python manage.py add_gold clothing --check
        python manage.py add_gold clothing --retire leaked.csv"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, and where gold comes from or goes."""
        parser.add_argument("name", help="dataset")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "file", nargs="?", help="table with image (sha256, or a unique path or URL) and label"
        )
        what.add_argument(
            "--from-settled", type=int, metavar="N", help="take N settled images, to screen only"
        )
        what.add_argument("--check", action="store_true", help="how gold is answered, and what has leaked")
        what.add_argument("--retire", metavar="FILE|IMAGE", help="stop screening with these images")
        parser.add_argument("--skip-unknown", action="store_true", help="leave out unknown images and labels")
        parser.add_argument("--seed", type=int, default=0, help="with --from-settled: which images of many")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the one thing that was asked."""
        dataset = self.dataset(options["name"])
        try:
            if options["from_settled"] is not None:
                self._from_settled(dataset, options)
            elif options["check"]:
                self._check(dataset, options)
            elif options["retire"]:
                self._retire(dataset, options)
            else:
                self._from_file(dataset, options)
        except UnusableAnswers as error:
            where = f"{options['file']}: " if options["file"] else ""
            raise BadInput(f"{where}{error}") from None

    def _from_file(self, dataset: Dataset, options: dict[str, Any]) -> None:
        frame = read_table(options["file"], ["image", "label"], rename={"task": "image", "item": "image"})
        rows = [KnownRow(i, c) for i, c in zip(frame["image"], frame["label"], strict=True)]
        summary = add_gold(dataset, rows, skip_unknown=options["skip_unknown"])
        self.report(options, summary.as_dict(), in_words(summary, "gold answer"))

    def _from_settled(self, dataset: Dataset, options: dict[str, Any]) -> None:
        if options["from_settled"] < 1:
            raise BadInput(f"--from-settled takes 1 or more, not {options['from_settled']}")
        chosen = add_settled_gold(dataset, options["from_settled"], options["seed"])
        third = {str(k): int(n) for k, n in chosen["difficulty"].value_counts().sort_index().items()}
        label = {str(k): int(n) for k, n in chosen["label"].value_counts().sort_index().items()}
        data = {"added": len(chosen), "difficulty": third, "labels": label}
        spread = ", ".join(f"{n} {name}" for name, n in third.items())
        words = (
            f"{number_of(len(chosen), 'settled image is', 'settled images are')} gold now ({spread}); rounds "
        )
        words += f"opened from now on use {'it' if len(chosen) == 1 else 'them'}"
        self.report(options, data, words)

    def _retire(self, dataset: Dataset, options: dict[str, Any]) -> None:
        keys = [options["retire"]]
        if Path(options["retire"]).is_file():
            table = read_table(options["retire"], ["image"], rename={"task": "image", "item": "image"})
            keys = list(table["image"])
        retired, tasks = retire_gold(dataset, keys)
        words = (
            f"{number_of(retired, 'gold image')} retired; "
            f"{number_of(tasks, 'task is an ordinary one', 'tasks are ordinary ones')} now"
        )
        self.report(options, {"retired": retired, "tasks": tasks}, words)

    def _check(self, dataset: Dataset, options: dict[str, Any]) -> None:
        found = gold_report(dataset)
        right = "" if found.right is None else f", {found.right:.1%} right"
        lines = [
            f"gold: {found.expert} from experts, {found.settled} from settled images, "
            f"{found.retired} retired; {number_of(found.answers, 'answer')}{right}"
        ]
        lines += [f"  leaked? {leak.evidence}" for leak in found.leaks]
        lines += [] if found.leaks else ["  nothing seems to have leaked"]
        self.report(options, found.as_dict(), "\n".join(lines))


def in_words(summary: KnownSummary, what: str) -> str:
    """The summary for people; at most five of the changes are shown."""
    text = (
        f"{number_of(summary.rows, 'row')}: {number_of(summary.added, what)} added, "
        f"{summary.unchanged} unchanged, {summary.changed} changed, {summary.skipped} skipped"
    )
    shown = "".join(f"\n  changed {change}" for change in summary.changes[:5])
    more = summary.changed - 5
    return text + shown + (f"\n  … and {more} more" if more > 0 else "")
