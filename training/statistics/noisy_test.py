"""The noisy-test effect: how accurate the models would look on unverified labels of the same test pictures.

Labels of the test split that votes gave err where votes err, and a model that was taught such labels errs
with them: so the accuracy is off, and arms may change places (Northcutt, Athalye & Mueller 2021, "Pervasive
label errors in test sets destabilize machine learning benchmarks"). Shown for comparison only; every other
figure of a run rests on references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from annotation_site.figures import number_of, points
from training.arms.ballots import one_vote, positions, read_ballots
from training.release import Release
from training.statistics.bootstrap import Bootstrap, Estimate
from training.statistics.contrasts import PRIMARY

FEWEST = 20
NO_LABELS = "The release holds too few posteriors and votes of its test pictures to show it"


def noisy_test(
    release: Release, images: Sequence[str], truth: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Accuracy on references, on the consensus and on one vote, of test pictures that have all three.

    Args:
        images, truth: the test pictures and their references, int64[n].
        predicted: arm -> int64[seeds, n].

    Returns:
        `images`: how many pictures; `label_error`: of the two unverified labellings; `arms`: for each arm
        `reference`, `consensus`, `one_vote` with intervals; `words`.
    """
    seeds = len(next(iter(predicted.values())))
    consensus = _posterior_labels(release, images)
    ballots = read_ballots(release.votes, images, release.classes)
    usable = (consensus >= 0) & (ballots.given > 0)
    count = int(usable.sum())
    if count < FEWEST:
        return {"images": count, "label_error": None, "arms": {}, "contrast": None, "words": f"{NO_LABELS}."}
    counts, true = ballots.counts[usable], truth[usable]
    votes = np.stack([one_vote(counts, seed) for seed in range(seeds)])
    sets = {
        "reference": np.tile(true, (seeds, 1)),
        "consensus": np.tile(consensus[usable], (seeds, 1)),
        "one_vote": votes,
    }
    bootstrap = Bootstrap(seeds, count, key=2)
    tables = {
        arm: {name: said[:, usable] == labels for name, labels in sets.items()}
        for arm, said in predicted.items()
    }
    contrast = None
    if set(PRIMARY) <= set(tables):
        one, other = (tables[arm] for arm in PRIMARY)
        contrast = {name: bootstrap.difference(one[name], other[name])[0].as_dict() for name in sets}
    shown = PRIMARY[0] if PRIMARY[0] in tables else next(iter(tables))
    gap, _ = bootstrap.difference(tables[shown]["consensus"], tables[shown]["reference"])
    errors = {
        name: bootstrap.accuracy(sets[name] != sets["reference"]).as_dict()
        for name in ("consensus", "one_vote")
    }
    return {
        "images": count,
        "label_error": errors,
        "arms": {
            arm: {name: bootstrap.accuracy(table).as_dict() for name, table in row.items()}
            for arm, row in tables.items()
        },
        "contrast": contrast,
        "words": _words(count, errors, shown, gap),
    }


def _words(count: int, errors: Mapping[str, Mapping[str, float]], shown: str, gap: Estimate) -> str:
    """The effect on the model of one arm (`shown`), in plain words."""
    return (
        f"Of {number_of(count, 'test picture')} {100 * errors['consensus']['value']:.1f}% have a wrong "
        f"consensus, and one vote is wrong on {100 * errors['one_vote']['value']:.1f}%. Judged by that "
        f"consensus, the model taught on {shown} would look {100 * abs(gap.value):.1f} points "
        f"{'better' if gap.value > 0 else 'worse'} than by references "
        f"(95% interval of the change {points(gap.lo)} to {points(gap.hi)})."
    )


def _posterior_labels(release: Release, images: Sequence[str]) -> np.ndarray:
    """int64[n]: the likeliest class of each picture's posterior, -1 where it has none."""
    table = release.posteriors
    rows, columns = positions(table["image"], images), positions(table["category"], release.classes)
    inside = (rows >= 0) & (columns >= 0)
    chance = np.zeros((len(images), len(release.classes)))
    chance[rows[inside], columns[inside]] = table["probability"].to_numpy(dtype=float)[inside]
    return np.where(chance.sum(axis=1) > 0, chance.argmax(axis=1), -1)
