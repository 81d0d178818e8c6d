"""COCO JSON for classification: `annotations/SPLIT.json`, as iNaturalist and most tools' importers have it.

`images`, `categories`, `licenses`, and one entry of `annotations` a picture with `image_id` and
`category_id`, no box. `file_name` is the path inside the release folder, so the JSON works with the release
as its root too (`--no-pictures`). A category's `id` is its class index + 1 (many tools take 0 for the
background), its `name` the category's id, which is unique; `title` and `gloss` are for people. Ids of images
are unique over all splits. Sealed test pictures have no annotation.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TextIO

from export import layout
from export.formats import Options
from export.formats.pictures import copy_picture
from export.reader import Picture, ReleaseFolder


class CocoWriter:
    """Lists grow in files of their own and are put together in the end."""

    def __init__(self, release: ReleaseFolder, out: Path, options: Options) -> None:
        self.release, self.out, self.pictures = release, out, options.pictures
        self.folder = out / "annotations"
        self.folder.mkdir()
        self.licences: dict[str, int] = {}
        self._lists: dict[tuple[str, str], _List] = {}
        self._images = 0

    def add(self, picture: Picture) -> None:
        """Append a picture and its annotation."""
        self._images += 1
        if self.pictures:
            copy_picture(self.release, picture, self.out)
        licence = picture.known.get("licence") or "unknown"
        image = {
            "id": self._images,
            "file_name": picture.path,
            "width": picture.known.get("width"),
            "height": picture.known.get("height"),
            "license": self.licences.setdefault(licence, len(self.licences) + 1),
            "coco_url": picture.known.get("source_url"),
            "author": picture.known.get("author"),
            "image": picture.image,
        }
        self._list(picture.split, "images").add({k: v for k, v in image.items() if v is not None})
        labels = self._list(picture.split, "annotations")
        if picture.index is not None:
            label = {"id": self._images, "image_id": self._images, "category_id": picture.index + 1}
            sure = picture.known.get("confidence")
            labels.add(label if sure is None else label | {"confidence": sure})

    def _list(self, split: str, name: str) -> _List:
        key = (split, name)
        if key not in self._lists:
            self._lists[key] = _List(self.folder / f"{split}.{name}")
        return self._lists[key]

    def close(self) -> None:
        """Put the parts of each split together."""
        about = self.release.about
        head = {
            "info": {"description": self.release.name, "version": about["version"]},
            "licenses": [{"id": place, "name": name} for name, place in self.licences.items()],
            "categories": self._categories(),
        }
        for split in layout.SPLITS:
            if (split, "images") not in self._lists:
                continue
            with (self.folder / f"{split}.json").open("w", encoding="utf-8") as out:
                out.write(json.dumps(head, ensure_ascii=False, indent=1)[:-2])
                for name in ("images", "annotations"):
                    out.write(f',\n "{name}": [')
                    self._lists[split, name].pour(out)
                    out.write("\n ]")
                out.write("\n}\n")

    def _categories(self) -> list[dict[str, Any]]:
        return [
            {
                "id": int(node["index"]) + 1,
                "name": str(node["id"]),
                "supercategory": str(node.get("parent") or ""),
                "title": node.get("name") or "",
                "gloss": node.get("gloss") or "",
            }
            for node in self.release.classes
        ]

    def note(self) -> str:
        """How to open it."""
        root = "this folder" if self.pictures else f"the release folder `{self.release.name}`"
        return f"""```python
from pycocotools.coco import COCO
train = COCO("annotations/train.json")
```

`file_name` is a path in {root}. `category_id` is the class index of `categories.json` + 1; a category's
`name` is its id, `title` its name."""


class _List:
    """A JSON list on disk, one element a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._out = path.open("w", encoding="utf-8")
        self._comma = ""

    def add(self, element: dict[str, Any]) -> None:
        self._out.write(f"{self._comma}\n  {json.dumps(element, ensure_ascii=False)}")
        self._comma = ","

    def pour(self, out: TextIO) -> None:
        """Move what was written into `out`."""
        self._out.close()
        with self.path.open(encoding="utf-8") as held:
            shutil.copyfileobj(held, out)
        self.path.unlink()
