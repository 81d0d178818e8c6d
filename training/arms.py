"""The arms: labellings of the same train pictures, made from the release's own votes.

| arm | label of a train picture |
|---|---|
| `one_vote` | one of its usable votes at random, drawn anew for each seed |
| `majority` | most usable votes; ties at random by seed |
| `dawid_skene` | Dawid-Skene over all votes of the release |
| `consensus` | the release's category |
| `soft_posterior` | the release's posterior over the classes, as a soft target |
| `reference` | the experts' label |
| `noise_sym_10/20/40` | the base label, replaced with that chance by another class, each equally likely |

A vote is usable where its label is a class of the release: `__none__` and `__unsure__` are no labels. All
arms of a run train on the same pictures, those that every arm has a label for; what that leaves out is
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.release import Release

NOISE = {"noise_sym_10": 0.10, "noise_sym_20": 0.20, "noise_sym_40": 0.40}
ARMS = ("one_vote", "majority", "dawid_skene", "consensus", "soft_posterior", "reference", *NOISE)
REFERENCE_SHARE = (
    0.9  # below this share of train pictures with a reference, the arm joins only when asked for
)

Ints = np.ndarray
Floats = np.ndarray


class ArmError(ValueError):
    """An arm that this release cannot give; the message is one line for the user."""


@dataclass(frozen=True)
class Targets:
    """Labels of n pictures. `labels`: int64[n] class indices; `soft`: float32[n, classes] or None."""

    labels: Ints
    soft: Floats | None = None


@dataclass(frozen=True)
class Labellings:
    """The arms of one run over one common set of train pictures.

    `images`: their ids, sorted. `rows`: int64[n], their rows in the release's train split. `reference`:
    int64[n], class index or -1 where no expert judged. `base`: int64[n], what noise is added to.
    """

    release: Release
    arms: tuple[str, ...]
    images: tuple[str, ...]
    rows: Ints
    reference: Ints
    base: Ints
    base_name: str
    warnings: list[str]
    _counts: Ints
    _fixed: dict[str, Targets] = field(default_factory=dict)

    def targets(self, arm: str, seed: int) -> Targets:
        """What `arm` teaches under `seed`; the same arguments give the same labels."""
        if arm == "one_vote":
            return Targets(one_vote(self._counts, seed))
        if arm == "majority":
            return Targets(majority(self._counts, seed))
        if arm in NOISE:
            return Targets(symmetric_noise(self.base, NOISE[arm], len(self.release.classes), seed))
        return self._fixed[arm]

    def errors(self, arm: str, seeds: Sequence[int]) -> Floats | None:
        """float64[m]: how often the m pictures with a reference were wrongly labelled over the seeds."""
        known = self.reference >= 0
        if not known.any():
            return None
        wrong = [self.targets(arm, seed).labels[known] != self.reference[known] for seed in seeds]
        return np.mean(wrong, axis=0)


def positions(values: pd.Series, names: Sequence[str]) -> Ints:
    """int64[n]: where each value stands in `names`, -1 where it does not."""
    return pd.Index(list(names)).get_indexer(pd.Index(values))


def vote_counts(votes: pd.DataFrame, images: Sequence[str], classes: Sequence[str]) -> Ints:
    """int64[images, classes]: usable votes; of a worker's votes on one picture the last row."""
    rows, columns = positions(votes["image"], images), positions(votes["label"], classes)
    last = ~votes.duplicated(["image", "worker"], keep="last").to_numpy(dtype=bool)
    usable = (rows >= 0) & (columns >= 0) & last
    counts = np.zeros((len(images), len(classes)), dtype=np.int64)
    np.add.at(counts, (rows[usable], columns[usable]), 1)
    return counts


def one_vote(counts: Ints, seed: int) -> Ints:
    """One of each row's votes, every vote equally likely. Each row needs a vote."""
    total = counts.sum(axis=1)
    draw = np.random.default_rng([seed, 1]).integers(0, total)
    return (counts.cumsum(axis=1) <= draw[:, None]).sum(axis=1)


def majority(counts: Ints, seed: int) -> Ints:
    """The class with most votes of each row; ties are broken at random, each winner equally likely."""
    chance = np.random.default_rng([seed, 2]).random(counts.shape)
    return (counts + chance * 0.5).argmax(axis=1)


def symmetric_noise(base: Ints, rate: float, classes: int, seed: int) -> Ints:
    """Replace each label with chance `rate` by one of the other classes, never by itself.

    The draws are shared between rates, so that the wrong labels at 10% are among those at 20% and 40%: the
    difference between two noise arms of one seed then holds less chance.
    """
    rng = np.random.default_rng([seed, 3])
    hit = rng.random(len(base)) < rate
    shift = rng.integers(1, classes, len(base))
    return np.where(hit, (base + shift) % classes, base)


def default_arms(release: Release, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of a preset's arms those that this release can give, and a warning for each that it cannot."""
    arms, warnings = [], []
    train = release.split("train")
    counts = vote_counts(release.votes, list(train["image"]), release.classes)
    voted = float((counts.sum(axis=1) > 0).mean())
    judged = float(train["reference"].isin(release.classes).mean())
    soft = set(release.posteriors["image"]).issuperset(train["image"])
    for arm in wanted:
        reason = None
        if arm in ("one_vote", "majority", "dawid_skene") and voted < REFERENCE_SHARE:
            reason = f"only {voted:.0%} of the train pictures have a usable vote"
        elif arm == "reference" and judged < REFERENCE_SHARE:
            reason = f"only {judged:.0%} of the train pictures have a reference"
        elif arm == "soft_posterior" and not soft:
            reason = "the release has no posteriors for some train pictures"
        if reason is None:
            arms.append(arm)
        else:
            warnings.append(f"{arm} left out: {reason}; name it in --arms to have it on those alone")
    return arms, warnings


def prepare(release: Release, arms: Sequence[str], readable: Ints | None = None) -> Labellings:
    """Label the train pictures for every arm, on the pictures that all of them can use.

    `readable`: bool[train pictures], False where the file does not decode; all True by default.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise ArmError(f"unknown arm {unknown[0]!r}; known are {', '.join(ARMS)}")
    train = release.split("train")
    images = list(train["image"])
    reference = positions(train["reference"], release.classes)
    consensus = positions(train["category"], release.classes)
    counts = vote_counts(release.votes, images, release.classes)
    fixed: dict[str, Targets] = {}
    for arm, make in _MAKERS.items():
        if arm in arms:
            fixed[arm] = make(release, images)
    fixed["consensus"] = Targets(consensus)
    fixed["reference"] = Targets(reference)

    keep = np.ones(len(images), dtype=bool) if readable is None else readable.copy()
    warnings = []
    for arm in arms:
        if arm in NOISE:
            continue
        usable = counts.sum(axis=1) > 0 if arm in ("one_vote", "majority") else fixed[arm].labels >= 0
        if not usable.any():
            raise ArmError(f"{arm}: no train picture has a label for it in this release")
        lacking = int((~usable).sum())
        if lacking:
            warnings.append(
                f"{arm} has no usable label for {lacking} of {len(images)} train pictures: "
                "left out of all arms"
            )
        keep &= usable
    rows = np.flatnonzero(keep)
    missing = [release.classes[c] for c in range(len(release.classes)) if not (consensus[rows] == c).any()]
    if missing:
        raise ArmError(f"no train picture of {', '.join(missing[:5])} is left that all arms can use")
    whole = bool((reference[rows] >= 0).all())
    return Labellings(
        release=release,
        arms=tuple(arms),
        images=tuple(images[row] for row in rows),
        rows=rows,
        reference=reference[rows],
        base=(reference if whole else consensus)[rows],
        base_name="reference" if whole else "consensus",
        warnings=warnings,
        _counts=counts[rows],
        _fixed={arm: _take(targets, rows) for arm, targets in fixed.items()},
    )


def _take(targets: Targets, rows: Ints) -> Targets:
    return Targets(targets.labels[rows], None if targets.soft is None else targets.soft[rows])


def _dawid_skene(release: Release, images: list[str]) -> Targets:
    """Dawid & Skene (1979) over every vote of the release; more votes tell more of each worker."""
    from quality.aggregation import aggregate  # the estimators load slowly; other arms do without

    frame = release.votes[["image", "worker", "label"]].rename(columns={"image": "task"})
    settled = aggregate(frame, method="dawid_skene").consensus.set_index("task")["label"]
    return Targets(positions(settled.reindex(images), release.classes))


def _soft_posterior(release: Release, images: list[str]) -> Targets:
    """The posterior over the release's classes, rescaled to sum 1; -1 where a picture has none."""
    rows = positions(release.posteriors["image"], images)
    columns = positions(release.posteriors["category"], release.classes)
    inside = (rows >= 0) & (columns >= 0)
    soft = np.zeros((len(images), len(release.classes)), dtype=np.float64)
    soft[rows[inside], columns[inside]] = release.posteriors["probability"].to_numpy(dtype=float)[inside]
    total = soft.sum(axis=1)
    labels = np.where(total > 0, soft.argmax(axis=1), -1)
    return Targets(labels, (soft / np.maximum(total, 1e-12)[:, None]).astype(np.float32))


_MAKERS: dict[str, Callable[[Release, list[str]], Targets]] = {
    "dawid_skene": _dawid_skene,
    "soft_posterior": _soft_posterior,
}
