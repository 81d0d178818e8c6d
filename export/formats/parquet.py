"""Parquet with the pictures inside, as the Hugging Face `datasets` library lays it out.

`data/SPLIT-00000-of-000NN.parquet`; the features (Image, ClassLabel) stand in each file's schema and in the
front matter of README.md, so that `datasets.load_dataset(OUT)` needs no code. The names of the ClassLabel are
category ids: names of categories need not be unique. Sealed test pictures have the label -1, as that library
has it for hidden test sets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.formats import Options
from export.reader import Picture, ReleaseFolder

ROWS = 100
"""Pictures in a row group: what a viewer or a shuffling reader must hold at a time."""
HIDDEN = -1

_TEXTS = ("image_id", "category", "reference", "licence", "author", "source_url", "page_url")
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCHEMA = pa.schema(
    [
        ("image", _IMAGE),
        ("label", pa.int64()),
        ("image_id", pa.string()),
        ("category", pa.string()),
        ("confidence", pa.float64()),
        ("votes", pa.int32()),
        ("soft_label", pa.list_(pa.float32())),
        ("reference", pa.string()),
        ("licence", pa.string()),
        ("author", pa.string()),
        ("source_url", pa.string()),
        ("page_url", pa.string()),
    ]
)


class ParquetWriter:
    """One file of each split open at a time; files get their `-of-NN` in the end, when NN is known."""

    def __init__(self, release: ReleaseFolder, out: Path, options: Options) -> None:
        self.release, self.options = release, options
        self.out, self.data = out, out / "data"
        self.data.mkdir()
        self.classes = [str(node["id"]) for node in release.classes]
        self.schema = _SCHEMA.with_metadata({"huggingface": json.dumps(_features(self.classes))})
        self.images: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self._files: dict[str, list[_File]] = {}

    def add(self, picture: Picture) -> None:
        """Append a row to its split's file; a full file is followed by a new one."""
        data = self.release.read(picture)
        files = self._files.setdefault(picture.split, [])
        if not files or self.options.full(files[-1].bytes, files[-1].rows, len(data)):
            if files:
                files[-1].close()
            files.append(_File(self.data / f"{picture.split}-{len(files):05d}", self.schema))
        files[-1].add(self._row(picture, data), len(data))
        self.images[picture.split] = self.images.get(picture.split, 0) + 1
        self.bytes[picture.split] = self.bytes.get(picture.split, 0) + len(data)

    def _row(self, picture: Picture, data: bytes) -> dict[str, Any]:
        known = {name: picture.known.get(name) for name in (*_TEXTS, "confidence", "votes")}
        soft = [picture.soft.get(category, 0.0) for category in self.classes] if picture.soft else None
        return known | {
            "image": {"bytes": data, "path": f"{picture.image}.{picture.extension}"},
            "label": HIDDEN if picture.index is None else picture.index,
            "image_id": picture.image,
            "soft_label": soft,
        }

    def close(self) -> None:
        """Close the files and give them their names."""
        for split, files in self._files.items():
            files[-1].close()
            for place, file in enumerate(files):
                file.path.rename(self.data / f"{split}-{place:05d}-of-{len(files):05d}.parquet")

    def note(self) -> str:
        """How to open it."""
        return """```python
from datasets import load_dataset
data = load_dataset("path/of/this/folder")
data["train"][0]["image"], data["train"].features["label"].int2str(data["train"][0]["label"])
```

`label` is the class index of `categories.json`, the names of the ClassLabel are the categories' ids.
`soft_label` has one probability a class, in the same order; it is null where nobody voted. A test picture
whose label is kept back has the label -1."""

    def front_matter(self) -> str:
        """The README's YAML: which file is which split, and the features."""
        splits = [split for split in layout.SPLITS if split in self._files]
        lines = ["configs:", "- config_name: default", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: data/{split}-*"]
        lines += ["dataset_info:", "  features:"]
        for name, feature in _features(self.classes)["info"]["features"].items():
            lines += [f"  - name: {name}", *_yaml_type(feature)]
        lines += ["  splits:"]
        for split in splits:
            sizes = [f"    num_bytes: {self.bytes[split]}", f"    num_examples: {self.images[split]}"]
            lines += [f"  - name: {split}", *sizes]
        return "\n".join([*lines, "task_categories:", "- image-classification"])


class _File:
    """A Parquet file that grows by row groups of `ROWS`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.bytes, self.rows = path, 0, 0
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._out = pq.ParquetWriter(path, schema, compression="snappy", version="2.6")

    def add(self, row: dict[str, Any], size: int) -> None:
        self._waiting.append(row)
        self.bytes += size
        self.rows += 1
        if len(self._waiting) == ROWS:
            self._flush()

    def _flush(self) -> None:
        self._out.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._out.close()


def _features(classes: list[str]) -> dict[str, Any]:
    """The features in the words of `datasets`, as that library keeps them in a file's schema."""
    kinds: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": classes, "_type": "ClassLabel"},
        "confidence": {"dtype": "float64", "_type": "Value"},
        "votes": {"dtype": "int32", "_type": "Value"},
        "soft_label": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"},
    }
    text = {"dtype": "string", "_type": "Value"}
    return {"info": {"features": {name: kinds.get(name, text) for name in _SCHEMA.names}}}


def _yaml_type(feature: dict[str, Any]) -> list[str]:
    """The lines that say a feature's type in a README."""
    if feature["_type"] == "ClassLabel":
        pairs = [(json.dumps(str(n)), json.dumps(name)) for n, name in enumerate(feature["names"])]
        names = [f"          {index}: {name}" for index, name in pairs]
        return ["    dtype:", "      class_label:", "        names:", *names]
    if feature["_type"] == "Sequence":
        return [f"    sequence: {feature['feature']['dtype']}"]
    return [f"    dtype: {feature.get('dtype', 'image')}"]
