"""Releases of random histories by the real export: pictures come, groups meet, pictures are taken down."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from export import layout
from export.services.publish import Published, ReleaseFailed, publish_release
from export.services.takedown import take_down
from ingest.models import DuplicateGroup, Image
from quality.models import Reference
from tests.export.world import World

STEPS = ("add", "add", "copy", "meet", "meet", "doubt", "publish", "publish", "take down")


class History:
    """A dataset that lives on, and every release of it: (version, image -> split), oldest first."""

    def __init__(self, world: World, folder: Path, chance: random.Random) -> None:
        self.world, self.folder, self.chance = world, folder, chance
        self.releases: list[tuple[tuple[int, ...], dict[str, str]]] = []
        self.gone: set[str] = set()

    def step(self, name: str) -> None:
        """One of `STEPS`."""
        getattr(self, f"_{name.replace(' ', '_')}")()

    def _add(self) -> None:
        split, key = self.chance.choice(layout.SPLITS), self.chance.choice(["finch", "owl"])
        image = self.world.add_image(split=split)
        self.world.vote(image, [key] * 3)
        if split == "test":
            self.world.refer(image, key)

    def _copy(self) -> None:
        group = self._groups(1)[0]
        image = self.world.add_image(group=group)
        if self.chance.random() < 0.5:
            group.representative = image
            group.save()

    def _meet(self) -> None:
        """The smaller draw wins, and the representative is any of the pictures."""
        stays, goes = sorted(self._groups(2), key=lambda group: group.draw)
        Image.objects.filter(group=goes).update(group=stays)
        goes.delete()
        stays.representative = self.chance.choice(list(stays.images.order_by("sha256")))
        stays.size = stays.images.count()
        stays.save()

    def _doubt(self) -> None:
        """Another expert says something else of a picture that was to be tested on."""
        image = self.chance.choice(list(Reference.objects.order_by("pk"))).image
        label = self.chance.choice(["finch", "owl", layout.NONE])
        self.world.refer(image, label, f"expert {Reference.objects.count()}")

    def _publish(self) -> None:
        grows = not self.releases or self.chance.random() < 0.4
        if self._released(lambda v: publish_release(self.world.dataset, v, self.folder), major=grows):
            self._check_groups(self.releases[-1][1])

    def _take_down(self) -> None:
        if self.releases:
            image = self.chance.choice(sorted(self.releases[-1][1]))
            if self._released(lambda v: take_down(self.world.dataset, v, [image], "asked for", self.folder)):
                self.gone.add(image)

    def _released(self, make: Callable[[str], Published], *, major: bool = False) -> bool:
        last = self.releases[-1][0] if self.releases else (0, 0, 0)
        version = (last[0] + 1, 0, 0) if major else (last[0], last[1] + 1, 0)
        try:
            made = make(".".join(map(str, version)))
        except ReleaseFailed as error:
            if "no pictures of" not in str(error):  # a class may run out of pictures
                raise
            return False
        rows = pd.read_parquet(made.folder / layout.MANIFEST)
        self.releases.append((version, dict(zip(rows["image"], rows["split"], strict=True))))
        return True

    def _groups(self, number: int) -> list[DuplicateGroup]:
        return self.chance.sample(list(DuplicateGroup.objects.order_by("draw")), number)

    def _check_groups(self, release: dict[str, str]) -> None:
        held: dict[int, list[str]] = {}
        for sha256, group in Image.objects.values_list("sha256", "group_id"):
            held.setdefault(group, []).append(sha256)
        for images in held.values():
            splits = {release[image] for image in images if image in release}
            assert len(splits) <= 1, "a group straddles"
            assert splits <= {"test"} or not self.gone & set(images), (
                "a copy took a taken down picture's place"
            )

    def check(self) -> None:
        """What holds from release to release."""
        stood: dict[str, str] = {}
        for _, release in self.releases:
            for image, split in release.items():
                assert stood.setdefault(image, split) == split, "a picture moved"
        for (old, before), (new, after) in itertools.pairwise(self.releases):
            assert _tested(before) - _tested(after) <= self.gone, "a test picture left"
            assert old[0] != new[0] or _tested(after) <= _tested(before), "test grew within a major version"
        assert not self.releases or not self.gone & self.releases[-1][1].keys(), "a picture came back"


def _tested(release: dict[str, str]) -> set[str]:
    return {image for image, split in release.items() if split == "test"}


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_splits_hold(world: World, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    history = History(world, tmp_path / "out", chance)
    for name in ["publish", *chance.choices(STEPS, k=12), "publish"]:
        history.step(name)
    history.check()
    assert len(history.releases) > 2
