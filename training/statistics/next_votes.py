"""What the next votes would buy: wrong labels fewer, and from that test accuracy.

Each picture is an urn (Polya; a Dirichlet-multinomial): its next vote is one of those that it has or, with a
weight that is fitted, one that pictures of its reference's class usually get. The weight is chosen by
foretelling each vote from the others of its picture. Votes drawn so are added, and the majority with them is
held against the references. The same urns with one vote fewer a picture foretell today's labels: how well is
stated.

Tried on public crowds, of whose votes k were shown, 5 times at random; share of pictures on which the
majority is right, in %:

| crowd (pictures)   | with k votes | one more: foretold, measured | two more: foretold, measured |
|---|---|---|---|
| cifar10s (1,000)   | k = 2: 84.7  | 89.9, 90.1 | 90.7, 91.2 |
|                    | k = 3: 90.1  | 90.9, 91.2 | 92.5, 92.5 |
| cifar10h (500)     | k = 3: 97.7  | 97.8, 97.9 | 98.4, 98.3 |
| dog (807)          | k = 2: 69.4  | 74.8, 75.3 | 75.3, 75.8 |
|                    | k = 5: 78.4  | 78.3, 78.8 | 79.6, 80.6 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation_site.figures import number_of, points
from training.arms import Labellings
from training.statistics.bootstrap import Estimate, estimate, resampled_means

MORE = (1, 2)
DRAWS = 40
ORDERS = 10
WEIGHTS = np.geomspace(0.05, 50.0, 31)
MOST_PICTURES, MOST_CELLS = 20_000, 4_000_000
"""Pictures, and pictures times classes, that are played; of more, a random part stands for all."""
FEWEST = 50

Ints = np.ndarray
Floats = np.ndarray


@dataclass(frozen=True)
class Urns:
    """What the urns of n pictures hold beside their votes. `usual`: float64[classes, classes], shares of
    votes on pictures of each true class. `weight`: votes that these count as."""

    usual: Floats
    weight: float

    @classmethod
    def fit(cls, counts: Ints, truth: Ints) -> Urns | None:
        """From int64[n, classes], votes of each picture; None where no picture has two."""
        usual = np.ones((counts.shape[1], counts.shape[1])) / counts.shape[1]
        np.add.at(usual, truth, counts)
        usual /= usual.sum(axis=1, keepdims=True)
        several = counts.sum(axis=1) >= 2
        if not several.any():
            return None
        picture, label = np.nonzero(counts[several])
        times = counts[several][picture, label]
        others = counts[several].sum(axis=1)[picture] - 1
        expected = usual[truth[several][picture], label]
        scores = [
            float((times * np.log((times - 1 + weight * expected) / (others + weight))).sum())
            for weight in WEIGHTS
        ]
        return cls(usual, float(WEIGHTS[int(np.argmax(scores))]))

    def next_votes(self, counts: Ints, truth: Ints, rng: np.random.Generator) -> Ints:
        """int64[n]: the class that each picture's next vote says."""
        reached = (counts + self.weight * self.usual[truth]).cumsum(axis=1)
        return (reached <= rng.random(len(reached))[:, None] * reached[:, -1:]).sum(axis=1)


def chance_right(counts: Ints, truth: Ints) -> Floats:
    """float64[n]: how likely the majority is the truth, ties being broken at random."""
    top = counts == counts.max(axis=1, keepdims=True)
    return top[np.arange(len(truth)), truth] / top.sum(axis=1)


def foretell(urns: Urns, counts: Ints, truth: Ints, more: int, seed: int = 0) -> Floats:
    """float64[n, more]: how likely each majority is right with 1, 2, ... further votes."""
    rng, rows = np.random.default_rng([seed, 9]), np.arange(len(counts))
    right = np.zeros((len(counts), more))
    for _ in range(DRAWS):
        now = counts.copy()
        for step in range(more):
            now[rows, urns.next_votes(now, truth, rng)] += 1
            right[:, step] += chance_right(now, truth) / DRAWS
    return right


def next_votes(labellings: Labellings, cost: Estimate | None) -> dict[str, Any]:
    """The section of metrics.json: labels by number of votes, what more votes bring, and words.

    Args:
        cost: points of test accuracy for each point of label error, or None where it is unknown.
    """
    rows = np.flatnonzero((labellings.reference >= 0) & (labellings.ballots.given > 0))
    if len(rows) < FEWEST:
        held = number_of(len(rows), "train picture")
        return _untold(f"votes and a reference to judge them by have only {held}")
    most = max(FEWEST, min(MOST_PICTURES, MOST_CELLS // labellings.ballots.counts.shape[1]))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    ballots, truth = labellings.ballots.take(rows), labellings.reference[rows]
    urns = Urns.fit(ballots.counts, truth)
    if urns is None:
        return _untold("every train picture has one vote: nothing shows how far people agree")
    fewest = int(ballots.given.min())
    # The first votes, not any: where asking stops on agreement, a vote drawn from all that came is too often
    # one of the agreeing.
    orders = range(1 if ballots.timed else ORDERS)
    by_votes = [
        np.mean([chance_right(ballots.first(k, seed), truth) for seed in orders], axis=0)
        for k in range(1, fewest + 1)
    ]
    today = chance_right(ballots.counts, truth)
    ahead = foretell(urns, ballots.counts, truth, max(MORE))
    table = np.column_stack([*by_votes, today, ahead])
    means, draws = table.mean(axis=0), resampled_means(table, key=3)
    base = len(by_votes)
    now = estimate(float(means[base]), draws[:, base])
    steps = [_step(means, draws, base, more, cost) for more in MORE]
    return {
        "pictures": len(rows),
        "votes_per_picture": round(float(ballots.given.mean()), 3),
        "majority": now.as_dict(),
        "label_accuracy": [
            {"votes": k + 1, **estimate(float(means[k]), draws[:, k]).as_dict()} for k in range(base)
        ],
        "next": [step for step, _, _ in steps],
        "check": _check(labellings, rows, fewest),
        "words": _words(ballots.given.mean(), now, steps),
    }


def _step(
    means: Floats, draws: Floats, base: int, more: int, cost: Estimate | None
) -> tuple[dict[str, Any], Estimate, Estimate | None]:
    """`more` votes on every picture: labels then, their gain, and the model's by the cost of label error."""
    gain = estimate(float(means[base + more] - means[base]), draws[:, base + more] - draws[:, base])
    top1 = None
    if cost is not None:
        n = min(len(gain.draws), len(cost.draws))
        top1 = estimate(gain.value * cost.value, gain.draws[:n] * cost.draws[:n])
    row = {
        "more": more,
        "label_accuracy": estimate(float(means[base + more]), draws[:, base + more]).as_dict(),
        "label_gain": gain.as_dict(),
        "top1_gain": None if top1 is None else top1.as_dict(),
    }
    return row, gain, top1


def _check(labellings: Labellings, rows: Ints, fewest: int) -> dict[str, Any] | None:
    """How well the urns with one vote fewer on every picture foretell the labels with `fewest` votes."""
    if fewest < 3:
        return None
    ballots, truth = labellings.ballots.take(rows), labellings.reference[rows]
    told, real = np.zeros(len(rows)), np.zeros(len(rows))
    for seed in range(3):
        before = ballots.first(fewest - 1, seed)
        urns = Urns.fit(before, truth)
        assert urns is not None
        told += foretell(urns, before, truth, 1, seed)[:, 0] / 3
        real += chance_right(ballots.first(fewest, seed), truth) / 3
    draws = resampled_means(np.column_stack([told, real, told - real]), key=4)
    return {
        "votes": fewest,
        "foretold": estimate(float(told.mean()), draws[:, 0]).as_dict(),
        "measured": estimate(float(real.mean()), draws[:, 1]).as_dict(),
        "off": estimate(float((told - real).mean()), draws[:, 2]).as_dict(),
    }


def _untold(reason: str) -> dict[str, Any]:
    return {
        "pictures": 0,
        "votes_per_picture": None,
        "majority": None,
        "label_accuracy": [],
        "next": [],
        "check": None,
        "words": f"What the next votes would buy cannot be told: {reason}.",
    }


def _words(given: float, now: Estimate, steps: list[tuple[dict[str, Any], Estimate, Estimate | None]]) -> str:
    """The section in plain words."""
    share = f"{100 * now.value:.1f}% of the labels"
    parts = [f"With {given:.1f} usable votes a picture the majority is right on {share}."]
    for (_, gain, top1), name in zip(steps, ("One more vote", "Two more"), strict=True):
        line = (
            f"{name} on every picture would change that by {points(gain.value)} points "
            f"({points(gain.lo)} to {points(gain.hi)})"
        )
        if top1 is None:
            line += "; what the model gains cannot be told, because the cost of label error is unknown"
        elif top1.lo <= 0 <= top1.hi:
            line += (
                f"; whether the model gains cannot be told ({points(top1.lo)} to {points(top1.hi)} "
                "points of test accuracy)"
            )
        else:
            line += (
                f", and test accuracy by about {points(top1.value)} ({points(top1.lo)} to {points(top1.hi)})"
            )
        parts.append(f"{line}.")
    parts.append(
        "Intervals hold the chance of pictures and seeds, not that new voters may be of another kind."
    )
    return " ".join(parts)
