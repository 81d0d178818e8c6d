"""A dataset of many small pictures and votes, written straight into a database: what `export_speed` exports.

usage: python -m benchmarks.export_dataset IMAGES FOLDER [SIDE]

FOLDER becomes an ASSAY_DATA: database, store, and `originals/<category>/<sha256>.jpg`, the same pictures as
other tools import them. Five workers of fifty vote on every picture, the consensus is their majority, and
every test picture has a reference. Pictures are JPEGs of SIDE x SIDE pixels (256: about 23 kB; 64: 2 kB, so
that what is paid for every file counts most) with a camera's EXIF in them.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

CATEGORIES, EACH = 20, 100
"""So many categories, fewer where there would be less than `EACH` pictures of one."""
WORKERS, VOTES = 50, 5
CHUNK = 2_000
SIDE = 256
BASES = 500
"""Pictures encoded; every other is one of these with a comment of its own, which makes it another file."""


def pictures(images: int, side: int) -> Iterator[bytes]:
    """Different JPEG files with EXIF; the pixels of one in `BASES` are drawn, the others share them."""
    rng = np.random.default_rng(7)
    exif = Pillow.Exif()
    exif[0x010F], exif[0x0110] = "Camera maker", "Model 3"
    bases = []
    for _ in range(min(BASES, images)):
        small = Pillow.fromarray(rng.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8))
        out = io.BytesIO()
        small.resize((side, side), Pillow.Resampling.BICUBIC).save(out, "JPEG", quality=90, exif=exif)
        bases.append(out.getvalue())
    for number in range(images):
        base, comment = bases[number % len(bases)], f"picture {number}".encode()
        yield base[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + base[2:]


def build(images: int, folder: Path, side: int = SIDE) -> None:
    """Fill the database that the environment names, its store, and `folder/originals`."""
    import django

    django.setup()
    from django.core.management import call_command

    from annotation_site.models import Round, Worker
    from ingest.models import Category, Dataset, Source

    call_command("migrate", verbosity=0)
    dataset = Dataset.objects.create(name="speed", title="Speed", licence="CC0-1.0", split_key="k" * 32)
    Category.objects.bulk_create(
        [
            Category(dataset=dataset, key=f"class{n:02d}", name=f"class{n:02d}", position=n)
            for n in range(max(2, min(CATEGORIES, images // EACH)))
        ]
    )
    made = {
        "dataset": dataset,
        "source": Source.objects.create(dataset=dataset, kind="page", location="http://127.0.0.1/"),
        "round": Round.objects.create(dataset=dataset, question="classify", title="Speed"),
        "categories": list(dataset.categories.order_by("position")),
        "workers": Worker.objects.bulk_create([Worker(code=f"w{n:010d}") for n in range(WORKERS)]),
        "rng": np.random.default_rng(11),
    }
    waiting = enumerate(pictures(images, side))
    while chunk := list(islice(waiting, CHUNK)):
        _add(chunk, folder, **made)


def _add(chunk: list[tuple[int, bytes]], folder: Path, **made: Any) -> None:
    """A chunk of pictures with everything that the stages before export leave."""
    from django.db import transaction

    with transaction.atomic():
        images = _add_images(chunk, folder, **made)
        _add_votes(images, **made)


def _add_images(chunk: list[tuple[int, bytes]], folder: Path, **made: Any) -> list[Any]:
    from django.conf import settings

    from ingest.models import Candidate, DuplicateGroup, Image
    from ingest.splits import draw
    from ingest.storage import FolderStore

    dataset, store = made["dataset"], FolderStore(Path(settings.STORAGE_URL))
    images = []
    for number, data in chunk:
        sha256 = hashlib.sha256(data).hexdigest()
        category = made["categories"][number % len(made["categories"])]
        for path in (store.path(sha256), folder / "originals" / category.key / f"{sha256}.jpg"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        images.append(
            Image(
                dataset=dataset, sha256=sha256, phash=int(sha256[:15], 16), hash_version=1, format="jpeg",
                width=64, height=64, bytes=len(data),
            )
        )  # fmt: skip
    Image.objects.bulk_create(images)
    groups = [
        DuplicateGroup(dataset=dataset, representative=image, draw=draw("k" * 32, image.sha256))
        for image in images
    ]
    DuplicateGroup.objects.bulk_create(groups)
    for image, group in zip(images, groups, strict=True):
        image.group = group
    Image.objects.bulk_update(images, ["group"], batch_size=500)
    Candidate.objects.bulk_create(
        Candidate(
            source=made["source"], url=f"http://127.0.0.1/{image.sha256}.jpg", url_sha256=image.sha256[:32],
            page_url="http://127.0.0.1/page", licence="CC BY 4.0", author="A. Person",
            state=Candidate.State.STORED, image=image,
        )
        for image in images
    )  # fmt: skip
    return images


def _add_votes(images: list[Any], **made: Any) -> None:
    from annotation_site.models import Task, Vote
    from ingest.splits import Shares, split_of
    from quality.models import Consensus, Reference

    categories, workers, rng = made["categories"], made["workers"], made["rng"]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    tasks = Task.objects.bulk_create(
        Task(
            round=made["round"], image=image, rank=image.pk, wanted=VOTES, votes=VOTES,
            state=Task.State.SETTLED, claimable=False,
        )
        for image in images
    )  # fmt: skip
    votes, settled, references = [], [], []
    for place, (image, task) in enumerate(zip(images, tasks, strict=True)):
        true = place % len(categories)
        chosen = [true if rng.random() < 0.85 else int(rng.integers(len(categories))) for _ in range(VOTES)]
        for worker, answer in zip(rng.choice(WORKERS, VOTES, replace=False), chosen, strict=True):
            created = start + timedelta(seconds=len(votes))
            votes.append(
                Vote(task=task, worker=workers[worker], answer=0, category=categories[answer], seconds=2.5,
                     created=created)
            )  # fmt: skip
        shares = {categories[c].key: chosen.count(c) / VOTES for c in sorted(set(chosen))}
        best = min(set(chosen), key=lambda c: (-chosen.count(c), c))
        settled.append(
            Consensus(task=task, label=categories[best].key, category=categories[best], votes=VOTES,
                      confidence=shares[categories[best].key], method="majority", posterior=shares)
        )  # fmt: skip
        if split_of(image.group.draw, Shares.parse("80/10/10")) == "test":
            references.append(
                Reference(dataset=made["dataset"], image=image, category=categories[true], expert="ada")
            )
    Vote.objects.bulk_create(votes)
    Consensus.objects.bulk_create(settled)
    Reference.objects.bulk_create(references)


def main(argv: list[str] | None = None) -> int:
    """Exit code 2 where the arguments are unusable."""
    arguments = sys.argv[1:] if argv is None else argv
    numbers = [arguments[0], *arguments[2:]] if arguments else []
    if len(arguments) not in (2, 3) or not all(number.isdigit() for number in numbers):
        print("usage: python -m benchmarks.export_dataset IMAGES FOLDER [SIDE]", file=sys.stderr)
        return 2
    folder = Path(arguments[1]).absolute()
    os.environ.update(
        DJANGO_SETTINGS_MODULE="annotation_site.settings",
        ASSAY_DATA=str(folder),
        STORAGE_URL=str(folder / "store"),
        SQLITE_SYNCHRONOUS="OFF",
    )
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'db.sqlite3'}")
    build(int(arguments[0]), folder, *(int(side) for side in arguments[2:]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
