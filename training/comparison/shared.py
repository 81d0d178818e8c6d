"""The test pictures on which runs can be compared: those that all of them answered, under one reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.comparison.runs import Run
from training.trained import TrainedError


@dataclass(frozen=True)
class Shared:
    """`images`, `labels`: sorted by image. `only`: run -> how many of its test pictures another run lacks.
    `differing`: pictures of all runs whose references differ, which are left out. `groups`: int64[n],
    the same number for pictures that are copies of each other."""

    images: tuple[str, ...]
    labels: np.ndarray
    only: dict[str, int]
    differing: int
    groups: np.ndarray

    def columns(self, run: Run) -> np.ndarray:
        """int64[n]: where the pictures stand in the tables of a run."""
        place = {image: at for at, image in enumerate(run.labels)}
        return np.array([place[image] for image in self.images], dtype=np.int64)

    @property
    def units(self) -> int:
        """How many pictures that are no copies of each other."""
        return len(np.unique(self.groups))


def shared_pictures(runs: Sequence[Run]) -> Shared:
    """The pictures that count for a comparison.

    Raises:
        TrainedError: there are none.
    """
    common = set.intersection(*(set(run.labels) for run in runs))
    if not common:
        sizes = ", ".join(f"{run.name}: {len(run.labels)}" for run in runs)
        raise TrainedError(f"the runs share no test picture ({sizes}); they cannot be compared")
    images = tuple(sorted(i for i in common if len({run.labels[i] for run in runs}) == 1))
    if not images:
        raise TrainedError("the runs' references differ on every test picture that they share")
    copies = [group for run in runs for group in run.metrics.get("test_copies") or []]
    return Shared(
        images=images,
        labels=np.array([runs[0].labels[image] for image in images], dtype=object),
        only={run.name: len(run.labels) - len(common) for run in runs},
        differing=len(common) - len(images),
        groups=_groups(images, copies),
    )


def _groups(images: Sequence[str], copies: Sequence[Sequence[str]]) -> np.ndarray:
    """int64[n]: each picture's group, those of any run joined."""
    place = {image: at for at, image in enumerate(images)}
    groups = np.arange(len(images))
    for members in copies:
        at = [place[image] for image in members if image in place]
        if at:
            groups[np.isin(groups, groups[at])] = groups[at].min()
    return groups


def by_group(table: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """float64[seeds, groups], whose mean is that of float[seeds, images]: copies are drawn together."""
    names, inverse = np.unique(groups, return_inverse=True)
    if len(names) == table.shape[1]:
        return table.astype(np.float64)
    summed = np.zeros((len(table), len(names)))
    np.add.at(summed.T, inverse, table.T.astype(np.float64))
    return summed * len(names) / table.shape[1]
