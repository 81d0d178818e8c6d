"""What every `manage.py` command has in common: one clear line for an error, and exit codes to rely on.

Exit codes: 0 done; 1 the work or a check failed; 2 unusable arguments or input.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError, connections

from ingest.models import Dataset
from ingest.tables import BadTable


class Failure(CommandError):
    """The work or a check failed: exit code 1. The message is one line: what is wrong, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=1)


class BadInput(CommandError):
    """Unusable arguments or input: exit code 2. The message is one line: what is wrong, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps the lines of an example as they were written."""


class AssayCommand(BaseCommand):
    """Base of every command. Set `help` (one sentence) and `example` (one or more command lines).

    Raise `BadInput` or `Failure` with one line; `BadTable` counts as bad input. Everything else that can go
    wrong outside our code (disk full, database locked, Ctrl-C, closed pipe) is turned into one line here.
    """

    example = ""
    requires_system_checks: list[str] = []
    suppressed_base_arguments = {
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with the example under the options."""
        if self.example:
            lines = "\n".join(f"  {line.strip()}" for line in self.example.strip().splitlines())
            kwargs.setdefault("epilog", f"example:\n{lines}")
        kwargs.setdefault("formatter_class", _HelpFormatter)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        """Parse, run, and leave with the exit code that says how it went."""
        trace = "--traceback" in argv
        try:
            options = self._parse(argv)
            self.execute(*options.pop("args", ()), **options)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader of our output has gone; nothing is left to say
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except KeyboardInterrupt:
            self._leave("stopped; what is done is kept: run the same command again to go on", 1)
        except Exception as error:
            if trace:
                raise
            self._leave(*explain(error))
        finally:
            connections.close_all()

    def _parse(self, argv: list[str]) -> dict[str, Any]:
        parser = self.create_parser(argv[0], argv[1])
        try:
            return vars(parser.parse_args(argv[2:]))
        except CommandError as error:  # raised by Django's parser in place of argparse's two lines
            message = str(error).removeprefix("Error: ")
            raise BadInput(f"{message} (see: manage.py {argv[1]} --help)") from None

    def _leave(self, message: str, code: int) -> None:
        print("error: " + " ".join(message.split()), file=sys.stderr)
        sys.exit(code)

    # --- for the commands --------------------------------------------------------------------------------

    def add_json(self, parser: CommandParser) -> None:
        """Offer `--json`; see `report`."""
        parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")

    def report(self, options: dict[str, Any], data: dict[str, Any], text: str) -> None:
        """Print `data` as JSON where `--json` was given, else `text` for people."""
        self.stdout.write(json.dumps(data, ensure_ascii=False) if options.get("json") else text)

    def dataset(self, name: str) -> Dataset:
        """The dataset of this name.

        Raises:
            BadInput: there is none.
        """
        try:
            return Dataset.objects.get(name=name)
        except Dataset.DoesNotExist:
            known = ", ".join(Dataset.objects.values_list("name", flat=True)[:5])
            hint = f"there are: {known}" if known else "make one with manage.py create_dataset"
            raise BadInput(f"no dataset is called {name!r}; {hint}") from None


def explain(error: Exception) -> tuple[str, int]:
    """One line for people and the exit code, for anything that a command can raise."""
    if isinstance(error, CommandError):
        return str(error), error.returncode
    if isinstance(error, BadTable):
        return str(error), 2
    if isinstance(error, DatabaseError):
        return _explain_database(error), 1
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space is left on the disk; free some and run the same command again", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", 1
    if isinstance(error, MemoryError):
        return "not enough memory for this", 1
    kind = type(error).__name__
    return f"unexpected {kind}: {error} (a fault in Assay; --traceback shows where)", 1


def _explain_database(error: DatabaseError) -> str:
    words = " ".join(str(error).split())
    if "locked" in words:
        return "the database is busy: another command holds it for long; run the same command again"
    if "disk is full" in words or "No space left" in words:
        return "the disk that holds the database is full; free some space and run the same command again"
    if "no such table" in words or ("relation" in words and "does not exist" in words):
        return "the database has no tables yet: run manage.py migrate first"
    if "unable to open" in words or "readonly" in words:
        return f"the database cannot be opened or written ({words}); see ASSAY_DATA and DATABASE_URL"
    return f"the database refused: {words}"
