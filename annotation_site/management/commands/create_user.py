"""`manage.py create_user`: people and their roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Role, User
from annotation_site.services.accounts import AccountRow, BadAccount, create_users
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.tables import read_table


class Command(AssayCommand):
    """Make a person with a role, or give somebody one more role."""

    help = (
        "Make a person with a role, or give an existing person one more role (and a new password, where one "
        "is given). A new person without --password gets a random one, printed once. Making a password costs "
        "about a third of a second on purpose: many people in one --from-csv go side by side."
    )
    example = """
    python manage.py create_user ada --role annotator --dataset birds
    python manage.py create_user --from-csv users.csv
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("username", nargs="?", metavar="NAME", help="the name to log in with")
        parser.add_argument("--role", choices=Role.values, help="what the person may do")
        parser.add_argument("--dataset", metavar="D", help="only in this dataset (default: in all)")
        parser.add_argument("--password", metavar="P", help="default: a random one, printed")
        parser.add_argument(
            "--from-csv",
            type=Path,
            metavar="FILE",
            help="columns username,password,role[,dataset]; all or none",
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, then make all or none."""
        rows = self._from_file(options) if options["from_csv"] else [self._from_arguments(options)]
        try:
            made = create_users(rows)
        except BadAccount as error:
            raise BadInput(str(error)) from None
        people = [self._result(row, user, text) for row, (user, text) in zip(rows, made, strict=True)]
        data = people[0] if options["username"] else {"users": people}
        self.report(options, data, "\n".join(self._line(person) for person in people))

    def _from_arguments(self, options: dict[str, Any]) -> AccountRow:
        if not options["username"] or not options["role"]:
            raise BadInput("say who and which role: create_user NAME --role annotator, or --from-csv FILE")
        dataset = self.dataset(options["dataset"]) if options["dataset"] else None
        return AccountRow(options["username"], options["role"], dataset, options["password"])

    def _from_file(self, options: dict[str, Any]) -> list[AccountRow]:
        if options["username"]:
            raise BadInput("give one NAME or --from-csv, not both")
        frame = read_table(options["from_csv"], ["username", "password", "role"])
        datasets: dict[str, Dataset | None] = {"": None}
        rows = []
        for row in frame.to_dict("records"):
            name = str(row.get("dataset", ""))
            if name not in datasets:
                datasets[name] = self.dataset(name)
            rows.append(
                AccountRow(
                    str(row["username"]), str(row["role"]), datasets[name], str(row["password"]) or None
                )
            )
        if not rows:
            raise BadInput(f"{options['from_csv']}: no people in it")
        return rows

    def _result(self, row: AccountRow, user: User, text: str) -> dict[str, str | None]:
        drawn = text if text and not row.password else None
        where = row.dataset.name if row.dataset else None
        return {"username": user.get_username(), "role": row.role, "dataset": where, "password": drawn}

    def _line(self, person: dict[str, str | None]) -> str:
        line = f"{person['username']}: {person['role']} of {person['dataset'] or 'all datasets'}"
        return line + (f", password {person['password']}" if person["password"] else "")
