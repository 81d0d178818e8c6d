"""How many of the labels that each arm teaches are wrong, and what that figure rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation_site.figures import number_of
from quality.agreement import wilson
from training.arms import NOISE_SYM, Labellings
from training.statistics.bootstrap import REPLICATES, Estimate, estimate, resampled_means

NEARLY_ALL = 0.9
ESTIMATED = "an estimate, because no train picture has a reference"


@dataclass(frozen=True)
class LabelErrors:
    """`by_arm`: share of wrong labels, of the arms for which it is known. `basis`: what it rests on, in
    words; "" where nothing is known. `exact`: every label that was taught has been judged, so that nothing
    about the run's own errors is left to chance (the interval is about labels made the same way).
    `pictures`: those judged."""

    by_arm: dict[str, Estimate]
    basis: str
    exact: bool
    pictures: int


def label_errors(labellings: Labellings, seeds: int) -> LabelErrors:
    """Held against references: of all train pictures, else of the random audit share, else of those that
    have one; where none has, what the release says of its consensus."""
    known, basis = _judged(labellings)
    if not known.any():
        return _estimated(labellings, seeds)
    by_arm = _measured(labellings, known, seeds)
    return LabelErrors(by_arm, basis, bool(known.all()), int(known.sum()))


def _judged(labellings: Labellings) -> tuple[np.ndarray, str]:
    """bool[n]: the pictures whose reference decides, and in words why these."""
    known, audited = labellings.reference >= 0, labellings.ballots.audited
    n = int(known.sum())
    if known.all():
        return known, f"references of {'all ' * (n != 1)}{number_of(n, 'train picture')}"
    asked = int(audited.sum())
    if asked and (known & audited).sum() >= NEARLY_ALL * asked:
        known = known & audited
        judged = number_of(int(known.sum()), "picture")
        return known, f"references of {judged} of the random audit share ({asked})"
    share = f"{n:,} of {number_of(len(known), 'train picture')}"
    return known, f"references of {share}, perhaps not a random sample" if n else ""


def _measured(labellings: Labellings, known: np.ndarray, seeds: int) -> dict[str, Estimate]:
    """Wrong labels among taught ones, over the seeds; intervals over pictures, the same draws in each arm."""
    right = labellings.reference[known]
    columns = []
    for arm in labellings.arms:
        wrong, taught = np.zeros(len(right)), np.zeros(len(right))
        for seed in range(seeds):
            targets = labellings.targets(arm, seed)
            inside = np.ones(len(known), dtype=bool)
            if targets.rows is not None:
                inside[:] = False
                inside[targets.rows] = True
            taught += inside[known]
            wrong += inside[known] & (targets.labels[known] != right)
        columns += [wrong, taught]
    table = np.stack(columns, axis=1)
    means, draws = table.mean(axis=0), resampled_means(table, key=1)
    found = {}
    for place, arm in enumerate(labellings.arms):
        wrong_column, taught_column = 2 * place, 2 * place + 1
        if means[taught_column] == 0:
            continue
        with np.errstate(invalid="ignore"):
            replicates = draws[:, wrong_column] / draws[:, taught_column]
        value = float(means[wrong_column] / means[taught_column])
        found[arm] = estimate(value, replicates)
        if value == 0 and arm != "reference":
            hi = wilson(0.0, means[taught_column] * len(right) / seeds)[1]
            found[arm] = Estimate(0.0, 0.0, hi, replicates)
    return found


def _estimated(labellings: Labellings, seeds: int) -> LabelErrors:
    """Of the consensus as the release says, and of symmetric noise put upon it; of no other arm.

    A flipped label is wrong, unless the consensus was wrong and the flip met the truth by chance.
    """
    told = labellings.release.label_accuracy
    if not _usable(told):
        return LabelErrors({}, "", False, 0)
    assert told is not None
    rng = np.random.default_rng([8])
    n, value = int(told["n"]), float(told["value"])
    spread = rng.beta(n * (1 - value) + 0.5, n * value + 0.5, REPLICATES)
    consensus = Estimate(1 - value, 1 - float(told["hi"]), 1 - float(told["lo"]), spread)
    found = {"consensus": consensus} if "consensus" in labellings.arms else {}
    others = len(labellings.release.classes) - 1
    for arm in labellings.arms:
        if arm in NOISE_SYM:
            flips = [
                (labellings.targets(arm, seed).labels != labellings.base).mean() for seed in range(seeds)
            ]
            flipped = float(np.mean(flips))
            slope = 1 - flipped - flipped / others
            value, lo, hi = (flipped + slope * e for e in (consensus.value, consensus.lo, consensus.hi))
            found[arm] = Estimate(value, lo, hi, flipped + slope * spread)
    return LabelErrors(found, f"{ESTIMATED}: {told['basis']}", False, n)


def _usable(told: dict[str, Any] | None) -> bool:
    keys: Sequence[str] = ("value", "lo", "hi", "n", "basis")
    return told is not None and all(told.get(key) is not None for key in keys) and int(told["n"]) > 0
