"""The command line of every `python -m …`: what is wrong with it is said in one line, as all errors are."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn


class Arguments(argparse.ArgumentParser):
    """argparse with the lines of an epilog as they were written, and one line for an error (exit code 2)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Say it and leave; the usage is in --help."""
        print(f"error: {' '.join(message.split())} (see: {self.prog} --help)", file=sys.stderr)
        sys.exit(2)
