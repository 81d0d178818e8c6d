"""A local folder: every file in it, hidden ones left out, at any depth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ingest.sources.found import BadSource, Found


def find_in_folder(root: Path) -> Iterator[Found]:
    """Every file under `root`, in order of name; links to folders are not followed.

    Raises:
        BadSource: the folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise BadSource(f"{error.filename}: {error.strerror}")

    for folder, names, files in os.walk(root, onerror=stop):
        names[:] = sorted(name for name in names if not name.startswith("."))
        inside = Path(folder).relative_to(root)
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = (inside / name).as_posix()
            if _is_text(path):
                yield Found(path)


def _is_text(path: str) -> bool:
    """Whether the name can be written down: a name that is no UTF-8 could never be told to anybody."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
