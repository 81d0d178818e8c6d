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


def draw_of(image: Image, split: str) -> float:
    """What puts the picture's group into this split."""
    return DRAWS[split] + int(image.sha256[:4], 16) / 2**22


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
        if group is not None:
            group.size += 1
            group.save()
        return self._add_images([data], [split], group)[0]

    def _add_images(
        self, contents: list[bytes | None], splits: list[str], group: DuplicateGroup | None = None
    ) -> list[Image]:
        first = self.seed + 1
        self.seed += len(contents)
        images = [self._stored(data or picture(first + n)) for n, data in enumerate(contents)]
        Image.objects.bulk_create(images)
        groups = [
            group or DuplicateGroup(dataset=self.dataset, representative=image, draw=draw_of(image, split))
            for image, split in zip(images, splits, strict=True)
        ]
        if group is None:
            DuplicateGroup.objects.bulk_create(groups)
        for image, own in zip(images, groups, strict=True):
            image.group = own
        Image.objects.bulk_update(images, ["group"])
        urls = [f"http://127.0.0.1/{first + n}.jpg" for n in range(len(images))]
        Candidate.objects.bulk_create(
            Candidate(
                source=self.source,
                url=url,
                url_sha256=hashlib.sha256(url.encode()).hexdigest()[:32],
                page_url="http://127.0.0.1/page",
                licence="CC BY 4.0",
                author="A. Person",
                state=Candidate.State.STORED,
                image=image,
            )
            for url, image in zip(urls, images, strict=True)
        )
        return images

    def _stored(self, data: bytes) -> Image:
        sha256 = self.store.put(data)
        with Pillow.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            form = (opened.format or "JPEG").lower()
        return Image(
            dataset=self.dataset,
            sha256=sha256,
            phash=int(sha256[:15], 16),
            hash_version=1,
            format=form,
            width=width,
            height=height,
            bytes=len(data),
        )

    def vote(
        self, image: Image, labels: list[str], *, round: Round | None = None, audit: bool = False
    ) -> Task:
        """Votes by the first workers, and the consensus that they make: the majority."""
        return self._vote([image], [labels], round or self.round, audit)[0]

    def _vote(self, images: list[Image], said: list[list[str]], round: Round, audit: bool) -> list[Task]:
        tasks = [
            Task(round=round, image=image, rank=image.pk, wanted=3, votes=len(labels), audit=audit)
            for image, labels in zip(images, said, strict=True)
        ]
        Task.objects.bulk_create(tasks)
        votes = [
            Vote(
                task=task,
                worker=self.workers[place],
                answer=Vote.Answer.CATEGORY if label in self.categories else Vote.Answer.NONE,
                category=self.categories.get(label),
                seconds=1.5 + place,
            )
            for task, labels in zip(tasks, said, strict=True)
            for place, label in enumerate(labels)
        ]
        Vote.objects.bulk_create(votes)
        for vote in votes:
            vote.created = START + timedelta(seconds=vote.pk)
        Vote.objects.bulk_update(votes, ["created"])
        Consensus.objects.bulk_create(
            self._majority(task, labels) for task, labels in zip(tasks, said, strict=True)
        )
        return tasks

    def _majority(self, task: Task, labels: list[str]) -> Consensus:
        shares = {label: labels.count(label) / len(labels) for label in set(labels)}
        best = min(shares, key=lambda label: (-shares[label], label))
        return Consensus(
            task=task,
            label=best,
            category=self.categories.get(best),
            confidence=shares[best],
            votes=len(labels),
            method="majority",
            posterior=shares,
        )

    def refer(self, image: Image, label: str, expert: str = "ada") -> None:
        """One expert's answer."""
        Reference.objects.create(
            dataset=self.dataset, image=image, category=self.categories.get(label), expert=expert
        )

    def fill(self, each: dict[str, int] | None = None) -> World:
        """Labelled pictures of every category in every split; test pictures have references."""
        places = [
            (split, key, place)
            for split, number in (each or {"train": 4, "val": 2, "test": 3}).items()
            for key in self.categories
            for place in range(number)
        ]
        images = self._add_images([None] * len(places), [split for split, _, _ in places])
        others = {key: next(c for c in self.categories if c != key) for key in self.categories}
        said = [[key, key, others[key] if place % 2 else key] for _, key, place in places]
        self._vote(images, said, self.round, audit=False)
        for image, (split, key, _) in zip(images, places, strict=True):
            if split == "test":
                self.refer(image, key)
        return self


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
