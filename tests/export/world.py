"""A small dataset as the stages before export leave it: pictures, groups, votes, consensus, references."""

from __future__ import annotations

import hashlib
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from PIL import Image as Pillow

from annotation_site.models import Round, Task, Vote, Worker
from ingest.models import Candidate, Category, Dataset, DuplicateGroup, Image, Source
from ingest.storage import open_store
from quality.models import Consensus, Reference

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DRAWS = {"test": 0.05, "val": 0.15, "train": 0.5}


def picture(seed: int, form: str = "JPEG", orientation: int = 1, size: tuple[int, int] = (20, 14)) -> bytes:
    """A picture that differs by `seed`, with a camera's EXIF in it."""
    rng = random.Random(seed)
    image = Pillow.frombytes("RGB", size, bytes(rng.randrange(256) for _ in range(3 * size[0] * size[1])))
    exif = Pillow.Exif()
    exif[0x010F] = "Camera maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    image.save(out, form, exif=exif)
    return out.getvalue()


class World:
    """A dataset that grows; every method leaves it as the stages would."""

    def __init__(
        self, name: str = "birds", categories: tuple[str, ...] = ("finch", "owl"), workers: int = 5
    ) -> None:
        self.dataset = Dataset.objects.create(name=name, title="Birds", licence="CC0-1.0", split_key="k" * 32)
        for place, key in enumerate(categories):
            Category.objects.create(
                dataset=self.dataset, key=key, name=key.title(), gloss=f"A {key}.", position=place
            )
        self.categories = {c.key: c for c in self.dataset.categories.all()}
        self.workers = [Worker.objects.create(code=f"w{n:010d}") for n in range(workers)]
        self.source = Source.objects.create(dataset=self.dataset, kind="page", location="http://127.0.0.1/")
        self.round = Round.objects.create(dataset=self.dataset, question="classify", title="First")
        self.store = open_store(settings.STORAGE_URL)
        self.seed = 0

    def add_image(
        self, data: bytes | None = None, group: DuplicateGroup | None = None, split: str = "train"
    ) -> Image:
        """One more picture: of its own group, which is drawn for `split`, or of a group there is."""
        self.seed += 1
        data = data or picture(self.seed)
        sha256 = self.store.put(data)
        with Pillow.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            form = (opened.format or "JPEG").lower()
        image = Image.objects.create(
            dataset=self.dataset,
            sha256=sha256,
            phash=int(sha256[:15], 16),
            hash_version=1,
            format=form,
            width=width,
            height=height,
            bytes=len(data),
        )
        if group is None:
            group = DuplicateGroup.objects.create(
                dataset=self.dataset, representative=image, draw=DRAWS[split] + int(sha256[:4], 16) / 2**22
            )
        else:
            group.size += 1
            group.save()
        image.group = group
        image.save()
        url = f"http://127.0.0.1/{self.seed}.jpg"
        Candidate.objects.create(
            source=self.source,
            url=url,
            url_sha256=hashlib.sha256(url.encode()).hexdigest()[:32],
            page_url="http://127.0.0.1/page",
            licence="CC BY 4.0",
            author="A. Person",
            state=Candidate.State.STORED,
            image=image,
        )
        return image

    def vote(
        self, image: Image, labels: list[str], *, round: Round | None = None, audit: bool = False
    ) -> Task:
        """Votes by the first workers, and the consensus that they make: the majority."""
        round = round or self.round
        task = Task.objects.create(
            round=round, image=image, rank=image.pk, wanted=3, votes=len(labels), audit=audit
        )
        for place, label in enumerate(labels):
            category = self.categories.get(label)
            answer = Vote.Answer.CATEGORY if category else Vote.Answer.NONE
            vote = Vote.objects.create(
                task=task, worker=self.workers[place], answer=answer, category=category, seconds=1.5 + place
            )
            Vote.objects.filter(pk=vote.pk).update(created=START + timedelta(seconds=vote.pk))
        shares = {label: labels.count(label) / len(labels) for label in set(labels)}
        best = min(shares, key=lambda label: (-shares[label], label))
        Consensus.objects.create(
            task=task,
            label=best,
            category=self.categories.get(best),
            confidence=shares[best],
            votes=len(labels),
            method="majority",
            posterior=shares,
        )
        return task

    def refer(self, image: Image, label: str, expert: str = "ada") -> None:
        """One expert's answer."""
        Reference.objects.create(
            dataset=self.dataset, image=image, category=self.categories.get(label), expert=expert
        )

    def fill(self, each: dict[str, int] | None = None) -> World:
        """Labelled pictures of every category in every split; test pictures have references."""
        for split, number in (each or {"train": 4, "val": 2, "test": 3}).items():
            for key in self.categories:
                for place in range(number):
                    image = self.add_image(split=split)
                    other = next(c for c in self.categories if c != key)
                    self.vote(image, [key, key, other] if place % 2 else [key, key, key])
                    if split == "test":
                        self.refer(image, key)
        return self


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
