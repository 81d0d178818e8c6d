"""A small dataset with rounds and people, built through the real services."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image as Pillow

from annotation_site.models import Round, User, Worker
from annotation_site.services.accounts import create_user, worker_of
from annotation_site.services.rounds import open_round
from ingest.models import Category, Dataset, Image

CATEGORIES = ("cat", "dog", "eel")


def make_dataset(name: str = "pets", images: int = 10) -> Dataset:
    """A dataset of `images` rows without bytes; see `jpeg` for one with."""
    dataset = Dataset.objects.create(name=name, title="Pets at home")
    Category.objects.bulk_create(
        Category(dataset=dataset, key=key, name=key.title(), gloss=f"What a {key} is.", position=place)
        for place, key in enumerate(CATEGORIES)
    )
    Image.objects.bulk_create(image_row(dataset, number) for number in range(images))
    return dataset


def image_row(dataset: Dataset, number: int) -> Image:
    """An unsaved image."""
    sha256 = hashlib.sha256(f"{dataset.name} {number}".encode()).hexdigest()
    return Image(
        dataset=dataset,
        sha256=sha256,
        phash=number,
        hash_version=1,
        format="jpeg",
        width=9,
        height=9,
        bytes=9,
    )


def make_round(dataset: Dataset, question: str = "classify", *, gold: int = 0, **settings: Any) -> Round:
    """A round on all images; the first `gold` of them are gold."""
    ids = list(dataset.images.order_by("pk").values_list("pk", flat=True))
    category = dataset.categories.get(key="cat").pk if question == "verify" else None
    settings.setdefault("audit_rate", 0.0)
    return open_round(
        dataset, question, tasks=[(pk, category) for pk in ids], gold_image_ids=ids[:gold], **settings
    )


def person(name: str, role: str = "annotator", dataset: Dataset | None = None) -> User:
    """Somebody who logs in with the password `secret-NAME`."""
    return create_user(name, role, dataset=dataset, password=f"secret-{name}")[0]


def worker(name: str, dataset: Dataset | None = None) -> Worker:
    """The worker of a new annotator."""
    return worker_of(person(name, dataset=dataset))


def jpeg(colour: str = "red", size: tuple[int, int] = (640, 400), place: bool = True) -> bytes:
    """A photo with camera data and a place in it, lying on its side."""
    exif = Pillow.Exif()
    exif[0x0110] = "SpyCam 3000"
    exif[0x0112] = 6  # turn by 90 degrees
    if place:
        exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    Pillow.new("RGB", size, colour).save(out, "JPEG", exif=exif)
    return out.getvalue()
