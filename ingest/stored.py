"""Work on pictures in the store, cut into batches for a pool of processes: records, and second looks."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from ingest.decode import RejectedPicture, open_picture
from ingest.duplicates import Candidate, Pair, Record, examine, make_record
from ingest.storage import MissingBytes, open_store


@dataclass(frozen=True)
class Unreadable:
    """A picture of the store that can no longer be read; `why` is a few words."""

    key: str
    why: str


def record_stored(job: tuple[str, list[str]]) -> list[Record | Unreadable]:
    """Records of the pictures of some SHA-256s; `job` is (store address, SHA-256s)."""
    address, keys = job
    store = open_store(address)
    made: list[Record | Unreadable] = []
    for key in keys:
        try:
            data = store.get(key)
            made.append(make_record(key, open_picture(data).image, len(data)))
        except (MissingBytes, RejectedPicture) as problem:
            made.append(Unreadable(key, str(problem)))
    return made


def examine_stored(job: tuple[str, list[Candidate]]) -> list[Pair]:
    """Second looks at some candidates; `job` is (store address, candidates of whole components)."""
    address, found = job
    store = open_store(address)

    def load(key: str) -> Image.Image:
        return open_picture(store.get(key)).image

    return list(examine(found, load))
