"""CSV: `SPLIT.csv` with a row a picture, for every tool that reads a table of paths and labels.

`path` is the path inside the release folder, so the lists work with the release as their root too
(`--no-pictures`). `label` is the category's id, `index` its class index; both are empty for the test pictures
of a sealed release.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from export.formats import Options
from export.formats.pictures import copy_picture
from export.reader import Picture, ReleaseFolder

_LABEL = ("confidence", "votes", "reference")
_PICTURE = ("width", "height", "licence", "author", "source_url", "page_url")
COLUMNS = ("path", "label", "index", "image", *_LABEL, *_PICTURE)


class ListWriter:
    """One open file a split."""

    def __init__(self, release: ReleaseFolder, out: Path, options: Options) -> None:
        self.release, self.out, self.pictures = release, out, options.pictures
        self._files: dict[str, TextIO] = {}
        self._rows: dict[str, Any] = {}

    def add(self, picture: Picture) -> None:
        """Append a row; a null is an empty cell."""
        if picture.split not in self._files:
            file = (self.out / f"{picture.split}.csv").open("w", encoding="utf-8", newline="")
            self._files[picture.split] = file
            self._rows[picture.split] = csv.writer(file, lineterminator="\n")
            self._rows[picture.split].writerow(COLUMNS)
        if self.pictures:
            copy_picture(self.release, picture, self.out)
        label = (picture.path, picture.category, picture.index, picture.image)
        known = [picture.known.get(name) for name in (*_LABEL, *_PICTURE)]
        self._rows[picture.split].writerow([*label, *known])

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def note(self) -> str:
        """How to open it."""
        root = "this folder" if self.pictures else f"the release folder `{self.release.name}`"
        return f"""```python
import pandas as pd
train = pd.read_csv("train.csv", dtype={{"label": str}})
```

`path` is a path in {root}, `label` the category's id, `index` the class index of `categories.json`."""
