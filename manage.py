#!/usr/bin/env python3
"""The command line of Assay: `python manage.py help` lists every command."""

import os
import sys


def main() -> None:
    """Run one management command."""
    if sys.version_info < (3, 11):
        sys.exit(f"Assay needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed here: run `make venv`, then use .venv/bin/python manage.py …")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
