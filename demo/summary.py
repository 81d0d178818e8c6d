"""The figures of the demo's closing table, from plain tables. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from demo.copies import KINDS
from demo.plan import Plan
from quality.aggregation import aggregate

RESAMPLES = 1000


@dataclass(frozen=True)
class Share:
    """A fraction with its 95 % interval, over `n` images."""

    value: float
    lo: float
    hi: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.value:5.1f} %  ({100 * self.lo:.1f} to {100 * self.hi:.1f})"


@dataclass(frozen=True)
class Copies:
    """Near-copies of one kind: planted, crawled, and grouped with the photo that they were made from."""

    kind: str
    planted: int
    crawled: int
    found: int


def bootstrap(right: np.ndarray, seed: int = 0) -> Share:
    """Mean of `right` (float[n], one value per image) with a 95 % interval by resampling images.

    Percentile bootstrap, 1,000 resamples (Efron and Tibshirani 1993, section 13.3). NaN where n is 0.
    """
    n = len(right)
    if n == 0:
        return Share(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = np.array([right[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)])
    lo, hi = np.quantile(means, [0.025, 0.975])
    return Share(float(right.mean()), float(lo), float(hi), n)


def copies_found(plan: Plan, groups: Mapping[str, str]) -> tuple[list[Copies], int]:
    """(one row per kind of copy, wrong merges).

    `groups`: SHA-256 of each stored image -> its group. A copy is found where its original is in its group. A
    wrong merge is a photo beyond the first in one group: groups with k different photos count k - 1.
    """
    original = {f.photo: f.sha256 for f in plan.files.values() if f.kind == "original"}
    rows = []
    for kind in KINDS:
        planted = [f for f in plan.files.values() if f.kind == kind]
        crawled = [f for f in planted if f.sha256 in groups and original[f.photo] in groups]
        found = sum(groups[f.sha256] == groups[original[f.photo]] for f in crawled)
        rows.append(Copies(kind, len(planted), len(crawled), found))
    photo_of = plan.photo_of()
    photos_in: dict[str, set[str]] = {}
    for image, group in groups.items():
        if image in photo_of:
            photos_in.setdefault(group, set()).add(photo_of[image])
    return rows, sum(len(photos) - 1 for photos in photos_in.values())


def counted_votes(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(votes on ordinary images, votes on gold images) that count, of an `export_votes` table.

    Both have `image,worker,label`. Gold stands apart because its answers were told to the estimators.
    """
    counted = frame[frame["status"] == "counted"]
    gold = counted["gold"].astype(str).str.lower().isin(["true", "1"])
    columns = ["image", "worker", "label"]
    return counted.loc[~gold, columns].reset_index(drop=True), counted.loc[gold, columns].reset_index(
        drop=True
    )


def label_accuracy(
    votes: pd.DataFrame, gold_votes: pd.DataFrame, truth: Mapping[str, str], methods: tuple[str, ...]
) -> dict[str, Share]:
    """Share of right labels per way of settling them, over the images that have a vote and a reference.

    `votes`: `image,worker,label` as `counted_votes` gives them. `gold_votes`: the same for gold images; the
    estimators may learn about workers from them, accuracy is not measured on them. `truth`: label by image.
    `one vote` is the expected accuracy of one vote drawn at random per image; `__unsure__` is a wrong answer.
    """
    images = sorted(set(votes["image"]) & set(truth))
    wanted = np.array([truth[image] for image in images], dtype=object)
    known = votes[votes["image"].isin(truth)]
    right = (known["label"] == known["image"].map(truth)).groupby(known["image"]).mean()
    shares = {"one vote": bootstrap(right.reindex(images).to_numpy(float))}
    everything = pd.concat([votes, gold_votes], ignore_index=True).rename(columns={"image": "task"})
    gold = pd.DataFrame(
        [(image, truth[image]) for image in sorted(set(gold_votes["image"]) & set(truth))],
        columns=["task", "label"],
    )
    for method in methods:
        result = aggregate(everything, method=method, gold=gold if len(gold) else None)
        labels = dict(zip(result.consensus["task"], result.consensus["label"], strict=True))
        said = np.array([labels.get(image, "") for image in images], dtype=object)
        shares[method] = bootstrap((said == wanted).astype(float))
    return shares


def arms_table(metrics: Mapping[str, Any]) -> list[tuple[str, float | None, Share]]:
    """(arm, label error or None, test accuracy) of a training run, in the run's order."""
    rows = []
    for arm, found in metrics["arms"].items():
        top1 = found["top1"]
        share = Share(top1["value"], top1["lo"], top1["hi"], metrics["test_images"])
        rows.append((arm, found.get("label_error"), share))
    return rows
