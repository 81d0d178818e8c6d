"""WebDataset: tar shards that stream from a disk or a bucket in order (https://github.com/webdataset/webdataset).

`NAME-SPLIT-000000.tar`; a sample is `<image>.jpg` (`.png`, `.webp`), `<image>.cls` (the class index) and
`<image>.json`. Samples stand in the order of the SHA-256 of their originals, which mixes the classes: a
trainer that reads shard after shard never sees one class only. Sealed test pictures have no `.cls`.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from export import layout
from export.formats import Options
from export.reader import Picture, ReleaseFolder

_LABEL = ("category", "reference", "confidence", "votes")
_PICTURE = ("width", "height", "source_url", "page_url", "licence", "author", "phash", "duplicate_group")


class ShardWriter:
    """Shards of every split, one of each open at a time; `sizes.json` counts their samples."""

    def __init__(self, release: ReleaseFolder, out: Path, options: Options) -> None:
        self.release, self.out, self.options = release, out, options
        self.sizes: dict[str, int] = {}
        self._open: dict[str, _Shard] = {}
        self._made: dict[str, int] = dict.fromkeys(layout.SPLITS, 0)

    def add(self, picture: Picture) -> None:
        """Append a sample to its split's shard; a full shard is followed by a new one."""
        data = self.release.read(picture)
        shard = self._open.get(picture.split)
        if shard is None or self.options.full(shard.bytes, self.sizes[shard.name], len(data)):
            shard = self._next(picture.split)
        shard.put(f"{picture.image}.{picture.extension}", data)
        if picture.index is not None:
            shard.put(f"{picture.image}.cls", str(picture.index).encode())
        shard.put(f"{picture.image}.json", _about(picture))
        self.sizes[shard.name] += 1

    def _next(self, split: str) -> _Shard:
        if split in self._open:
            self._open[split].close()
        name = f"{self.release.name}-{split}-{self._made[split]:06d}.tar"
        self._made[split] += 1
        self.sizes[name] = 0
        self._open[split] = _Shard(self.out, name)
        return self._open[split]

    def close(self) -> None:
        """End every shard."""
        for shard in self._open.values():
            shard.close()
        text = json.dumps(self.sizes, indent=1, sort_keys=True)
        (self.out / "sizes.json").write_text(text + "\n", "utf-8")

    def note(self) -> str:
        """How to open it."""
        last = max(0, self._made["train"] - 1)
        shards = f"{self.release.name}-train-{{000000..{last:06d}}}.tar" if last else "…-train-000000.tar"
        return f"""```python
import webdataset as wds
train = wds.WebDataset("{shards}", shardshuffle=False).decode("pil").to_tuple("jpg;png;webp", "cls", "json")
```

`.cls` is the class index of `categories.json`; `.json` holds category, confidence, soft labels and where the
picture comes from. `sizes.json`: samples in each shard."""


class _Shard:
    """A tar file without clock, owner or anything else that would differ the next time."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.bytes = 0
        self._tar = tarfile.TarFile(folder / name, "w", format=tarfile.USTAR_FORMAT)

    def put(self, name: str, data: bytes) -> None:
        """Append a file."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o444
        self._tar.addfile(entry, io.BytesIO(data))
        self.bytes += len(data)

    def close(self) -> None:
        """Write the end of the archive."""
        self._tar.close()


def _about(picture: Picture) -> bytes:
    """What is known of a picture as JSON; what is not known is left out."""
    known = {key: picture.known.get(key) for key in (*_LABEL, *_PICTURE)}
    document = {key: value for key, value in known.items() if value is not None}
    if picture.soft:
        document["soft_labels"] = picture.soft
    return json.dumps(document | {"image": picture.image}, ensure_ascii=False, sort_keys=True).encode()
