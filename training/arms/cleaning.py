"""Which train labels confident learning doubts, by nets of this run that were not taught them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from annotation_site.figures import number_of
from quality.issues import find_issues
from training.arms import ArmError, Labellings
from training.experiment import Bench, Wrap, build
from training.loop import Snapshots, fit, predict
from training.out_of_fold import HeadError, fold_of, out_of_fold
from training.settings import Settings
from training.store import RunFolder, digest_of, save_arrays

MOST_CELLS = 50_000_000
"""Largest table of pictures x classes; quality.issues takes it a row a cell."""


@dataclass(frozen=True)
class Doubts:
    """`probabilities`: float64[n, classes], out of fold; `fold`: int64[n]; `labels`: int64[n], the consensus
    that was taught; `issues`: what `quality.issues` makes of them, a row a picture."""

    probabilities: np.ndarray
    fold: np.ndarray
    labels: np.ndarray
    issues: pd.DataFrame

    @property
    def flagged(self) -> np.ndarray:
        """bool[n]: the label looks wrong."""
        return self.issues["flagged"].to_numpy(dtype=bool)


def find_doubts(
    bench: Bench, labellings: Labellings, settings: Settings, folder: RunFolder, progress: Wrap
) -> Doubts:
    """Judge every train picture by a model taught the consensus of the other folds; flag what looks wrong.

    Copies of a picture share a fold. Kept in the run's folder, so that a killed run need not do it again.

    Raises:
        ArmError: too few pictures for the folds.
    """
    labels = labellings.targets("consensus", 0).labels
    groups = _groups(labellings)
    if len(set(groups)) < settings.folds:
        held = number_of(len(set(groups)), "train picture or group", "train pictures or groups")
        raise ArmError(f"cleaned: too few for {settings.folds} folds: {held}")
    fold = fold_of(groups, settings.folds)
    chance = _stored(folder, labellings, len(labellings.release.classes))
    if chance is None:
        make = _by_heads if bench.kept_features else _by_nets
        digest = digest_of(labellings.images)
        chance = make(bench, labels, groups, fold, settings, folder.snapshots / digest, progress)
        save_arrays(folder.out_of_fold, images=np.array(digest), probabilities=chance)
        for file in folder.snapshots.glob(f"{digest}-fold-*"):
            file.unlink()
    return Doubts(chance, fold, labels, _issues(labellings, labels, chance))


def _groups(labellings: Labellings) -> list[str]:
    """The duplicate group of each picture; its own name where the release knows none."""
    train = labellings.release.split("train").iloc[labellings.rows]
    if "duplicate_group" not in train:
        return list(labellings.images)
    return list(train["duplicate_group"].where(train["duplicate_group"].notna(), train["image"]).astype(str))


def _stored(folder: RunFolder, labellings: Labellings, classes: int) -> np.ndarray | None:
    if not folder.out_of_fold.is_file():
        return None
    with np.load(folder.out_of_fold) as stored:
        same = str(stored["images"]) == digest_of(labellings.images)
        chance: np.ndarray = stored["probabilities"]
    return chance if same and chance.shape == (len(labellings.images), classes) else None


def _by_heads(
    bench: Bench,
    labels: np.ndarray,
    groups: list[str],
    fold: np.ndarray,
    settings: Settings,
    place: Path,
    progress: Wrap,
) -> np.ndarray:
    """Logistic regression on the frozen features; its penalty is chosen by what it had not seen."""
    features = bench.inputs.batches(bench.train, None).cpu().numpy()
    targets = np.eye(bench.classes)[labels]
    try:
        judged = out_of_fold(
            features, targets, groups, folds=settings.folds, device=bench.device, progress=progress
        )
    except HeadError as error:
        raise ArmError(f"cleaned: {error}") from None
    return judged.probabilities


def _by_nets(
    bench: Bench,
    labels: np.ndarray,
    groups: list[str],
    fold: np.ndarray,
    settings: Settings,
    place: Path,
    progress: Wrap,
) -> np.ndarray:
    """The run's own model, trained from the first seed's start without each fold in turn.

    `place`: what the names of files begin with that keep finished folds, and where one stands.
    """
    chance = np.zeros((len(labels), bench.classes))
    taught = torch.from_numpy(labels).to(bench.device)
    for number in progress(range(settings.folds), settings.folds, "folds"):
        finished = place.with_name(f"{place.name}-fold-{number}.npz")
        if finished.is_file():
            with np.load(finished) as stored:
                chance[fold == number] = stored["probabilities"]
            continue
        inside = torch.from_numpy(fold == number).to(bench.device)
        net = build(bench, seed=0)
        rows, snapshots = bench.train[~inside], Snapshots(finished.with_suffix(".pt"))
        fit(net, bench.inputs, rows, taught[~inside], settings, 0, snapshots=snapshots)
        chance[fold == number] = predict(net, bench.inputs, bench.train[inside]).numpy()
        finished.parent.mkdir(exist_ok=True)
        save_arrays(finished, probabilities=chance[fold == number])
        snapshots.drop()
    return chance


def _issues(labellings: Labellings, labels: np.ndarray, chance: np.ndarray) -> pd.DataFrame:
    """The columns of `quality.issues`, a row a picture, in the order of the pictures."""
    if chance.size > MOST_CELLS:
        raise ArmError(
            f"cleaned: {chance.shape[0]} pictures x {chance.shape[1]} classes are too many to hold"
        )
    names = np.array(labellings.release.classes, dtype=object)
    images = np.array(labellings.images, dtype=object)
    consensus = pd.DataFrame({"task": images, "label": names[labels]})
    table = pd.DataFrame(
        {
            "task": np.repeat(images, len(names)),
            "label": np.tile(names, len(images)),
            "probability": chance.ravel(),
        }
    )
    try:
        issues = find_issues(consensus, table).issues
    except ValueError as error:
        raise ArmError(f"cleaned: {error}") from None
    return issues.set_index("task").reindex(images)
