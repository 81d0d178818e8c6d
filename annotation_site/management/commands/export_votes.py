"""`manage.py export_votes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from django.core.management.base import CommandParser

from annotation_site.models import Round
from annotation_site.services.tables import COLUMNS, votes_by_image
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.progress import progress
from ingest.tables import BadTable, table_kind, write_table

ORDER = ["image", "worker", "label", "seconds", "created", "round", "gold", "audit", "task", "status"]


class Command(AssayCommand):
    """Write all votes of a dataset to a table."""

    help = (
        "Write every vote of a dataset, sorted by image: image, worker (a pseudonym), label, seconds, "
        "created (UTC), round, gold, audit, task, status. Status is `counted`, or why the vote does not."
    )
    example = """
    python manage.py export_votes birds votes.parquet
    python manage.py export_votes birds votes.csv.gz --round 3
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("name", metavar="NAME", help="the dataset")
        parser.add_argument("out", type=Path, metavar="OUT", help=".csv, .csv.gz or .parquet")
        parser.add_argument("--round", type=int, metavar="ROUND", help="only the votes of this round")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read frame by frame, write once."""
        dataset = self.dataset(options["name"])
        table_kind(options["out"])  # before the work, not after it
        if not options["out"].absolute().parent.is_dir():
            raise BadTable(f"{options['out']}: no such folder")
        scope = self._round(dataset, options["round"]) if options["round"] is not None else dataset
        frames = [pd.DataFrame(columns=COLUMNS)]
        with progress(what="votes", unit="vote") as bar:
            for frame in votes_by_image(scope):
                frames.append(frame)
                bar.update(len(frame))
        table = pd.concat(frames[1:] or frames, ignore_index=True)[ORDER]
        write_table(table, options["out"])
        counted = int((table["status"] == "counted").sum())
        data = {"votes": len(table), "counted": counted, "path": str(options["out"])}
        self.report(options, data, f"{len(table):,} votes ({counted:,} counted) written to {options['out']}")

    def _round(self, dataset: Dataset, number: int) -> Round:
        found = dataset.rounds.filter(pk=min(max(number, 0), 2**63 - 1)).first()
        if found is None:
            raise BadInput(f"dataset {dataset.name} has no round {number}")
        return found
