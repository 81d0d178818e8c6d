"""What the demo's web server shows: every URL, the photo behind it, and its faults. Pure and seeded."""

import csv
import hashlib
import io
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

from demo.copies import KINDS, make_copy

HERE = Path(__file__).resolve().parent
NONE = "__none__"
COPIED_SHARE = 0.15
SECOND_COPY_SHARE = 0.2
MISPLACED_SHARE = 0.04
PRIVATE_PHOTOS = 24
LOOK_ALIKES: dict[str, tuple[str, ...]] = {
    "t-shirt": ("longsleeve", "shirt"),
    "longsleeve": ("t-shirt", "outwear", "shirt"),
    "shirt": ("outwear", "longsleeve", "t-shirt"),
    "outwear": ("longsleeve", "shirt"),
    "dress": ("skirt", "t-shirt"),
    "skirt": ("dress", "shorts"),
    "pants": ("shorts",),
    "shorts": ("pants", "skirt"),
    "shoes": ("hat",),
    "hat": ("shoes",),
}
# Kinds that carry a picture which a crawler should keep.
PICTURES = ("original", *KINDS)


@dataclass(frozen=True)
class Served:
    """One URL path of the server.

    `kind`: original, resized, recompressed, cropped, watermarked; private (robots.txt forbids it), dead
    (404), page (HTML under a .jpg name), mistyped (a photo sent as text/plain), oversized, truncated.
    `photo`: the photo behind it, or empty. `sha256`: of the bytes where `kind` is a picture, else empty.
    """

    photo: str
    kind: str
    sha256: str = ""


@dataclass
class Plan:
    """The whole site: `files` by URL path, `galleries` of paths by category id, in page order."""

    seed: int
    files: dict[str, Served] = field(default_factory=dict)
    galleries: dict[str, list[str]] = field(default_factory=dict)

    def photo_of(self) -> dict[str, str]:
        """Photo id by SHA-256 of the served bytes."""
        return {f.sha256: f.photo for f in self.files.values() if f.sha256}

    def count(self, kind: str) -> int:
        """How many URLs are of this kind."""
        return sum(f.kind == kind for f in self.files.values())

    def write(self, path: Path) -> None:
        """Save as JSON, whole or not at all."""
        text = json.dumps(
            {
                "seed": self.seed,
                "files": {p: asdict(f) for p, f in self.files.items()},
                "galleries": self.galleries,
            },
            indent=0,
        )
        beside = path.with_suffix(".part")
        beside.write_text(text)
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Load what `write` saved."""
        saved = json.loads(path.read_text())
        files = {p: Served(**f) for p, f in saved["files"].items()}
        return cls(saved["seed"], files, saved["galleries"])


def read_labels(path: Path = HERE / "labels.csv") -> dict[str, str]:
    """Published label by photo id; `__none__` for the noise."""
    with path.open(newline="") as file:
        return {row["photo"]: row["label"] for row in csv.DictReader(file)}


def read_category_names(path: Path = HERE / "categories.csv") -> dict[str, str]:
    """Category name by id, in the file's order."""
    with path.open(newline="") as file:
        return {row["id"]: row["name"] for row in csv.DictReader(file)}


def photo_bytes(photo: str) -> bytes:
    """The bundled JPEG."""
    return (HERE / "photos" / f"{photo}.jpg").read_bytes()


def pick(labels: dict[str, str], count: int | None) -> dict[str, str]:
    """About `count` photos with every label's share kept, or all of them for None."""
    if count is None or count >= len(labels):
        return dict(labels)
    by_label: dict[str, list[str]] = defaultdict(list)
    for photo in sorted(labels, key=lambda p: hashlib.sha256(p.encode()).digest()):
        by_label[labels[photo]].append(photo)
    kept: dict[str, str] = {}
    for label, photos in sorted(by_label.items()):
        share = max(1, round(count * len(photos) / len(labels)))
        kept.update(dict.fromkeys(photos[:share], label))
    return dict(sorted(kept.items()))


class BadPhoto(ValueError):
    """A bundled photo is missing or damaged; the message is one line that says which and what to do."""


def check_photos(photos: Iterable[str]) -> None:
    """Decode every photo once, so that a damaged checkout is named before anything is served.

    Raises:
        BadPhoto: the first that cannot be read.
    """
    for photo in photos:
        try:
            Image.open(io.BytesIO(photo_bytes(photo))).load()
        except OSError as problem:
            raise BadPhoto(
                f"demo/photos/{photo}.jpg cannot be read ({problem.strerror or problem}): bring it back with "
                "`git checkout demo/photos` and run the demo again"
            ) from None


def make_plan(labels: dict[str, str], categories: list[str], seed: int) -> Plan:
    """Lay out the site for these photos. Equal arguments give an equal plan.

    A photo stands in its category's gallery; noise is spread over all of them, as a search engine would do;
    4 % also stand, under the same URL, in a look-alike's gallery. 15 % have a near-copy, a fifth of those a
    second.
    """
    rng = random.Random(f"plan|{seed}")
    plan = Plan(seed, galleries={category: [] for category in categories})
    shown: dict[str, list[str]] = plan.galleries
    for photo, label in sorted(labels.items()):
        home = rng.choice(categories) if label == NONE else label
        path = f"/photos/{photo}.jpg"
        plan.files[path] = Served(photo, "original", hashlib.sha256(photo_bytes(photo)).hexdigest())
        shown[home].append(path)
        others = [c for c in LOOK_ALIKES.get(label, ()) if c in shown]
        if others and rng.random() < MISPLACED_SHARE:
            shown[others[0]].append(path)
        if rng.random() < COPIED_SHARE:
            for kind in rng.sample(KINDS, 2 if rng.random() < SECOND_COPY_SHARE else 1):
                copy = make_copy(photo_bytes(photo), kind, seed, photo)
                path = f"/copies/{photo}-{kind}.jpg"
                plan.files[path] = Served(photo, kind, hashlib.sha256(copy).hexdigest())
                shown[home].append(path)
    _add_trouble(plan, sorted(labels), rng)
    for paths in shown.values():
        rng.shuffle(paths)
    return plan


def _add_trouble(plan: Plan, photos: list[str], rng: random.Random) -> None:
    """What a crawler meets on real sites: two of each fault, and a folder that robots.txt closes."""
    galleries = list(plan.galleries.values())

    def show(path: str, served: Served) -> None:
        plan.files[path] = served
        rng.choice(galleries).append(path)

    for photo in rng.sample(photos, min(PRIVATE_PHOTOS, len(photos))):
        show(f"/private/{photo}.jpg", Served(photo, "private"))
    for number in range(6):
        show(f"/photos/gone-{number}.jpg", Served("", "dead"))
    for number in range(2):
        show(f"/photos/moved-{number}.jpg", Served("", "page"))
        show(f"/photos/poster-{number}.jpg", Served("", "oversized"))
    for photo in rng.sample(photos, 2):
        show(f"/raw/{photo}.jpg", Served(photo, "mistyped"))
    for photo in rng.sample(photos, 2):
        show(f"/partial/{photo}.jpg", Served(photo, "truncated"))
