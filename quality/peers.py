"""What a worker's peers foresee of each vote: the yardstick of every test of workers.

A worker is not measured by whether he agrees with a label that may be wrong, but by whether his answers
depend on the picture as other people's do. A picture is an urn of answers (Pólya's urn: its shares of answers
are drawn from a Dirichlet distribution around the crowd's shares, with concentration kappa), so the next
honest worker answers l with probability

    (others who said l + kappa * crowd's share of l) / (others + kappa).

Where the picture is hard the others disagree, the forecast is flat, and a deviating answer costs nearly
nothing; where they share a mistake, it is expected. A known answer counts as `gold_word` further voters. Both
numbers are those that foresee the crowd's votes best (leave one out). A vote never vouches for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Ints = np.ndarray
Floats = np.ndarray

KAPPAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
GOLD_WORDS = (0.5, 1.0, 2.0, 4.0, 8.0)
MOST_FOR_TUNING = 100_000


class Ballots(NamedTuple):
    """Votes that are evidence, as codes: `task`, `worker`, `label` int64[n] of `n_workers` and `n_labels`;
    `gold`: int64[T], the known label or -1."""

    task: Ints
    worker: Ints
    label: Ints
    gold: Ints
    n_workers: int
    n_labels: int


class Forecast(NamedTuple):
    """`chance`: float64[n], how likely an honest worker is to give this very answer, foreseen by the others;
    `informed`: bool[n], whether there were others (or gold) at all; `base`: float64[K], the crowd's shares of
    answers; `kappa`, `gold_word`: see the top of this file."""

    chance: Floats
    informed: np.ndarray
    base: Floats
    kappa: float
    gold_word: float


def foresee(ballots: Ballots, worth: Floats | None = None) -> Forecast:
    """Foresee every vote from the others' votes on the same task and from gold.

    Args:
        worth: float64[W], how much each worker's word counts, 0 to 1 (all 1 if left out).
    """
    urns = _Urns.of(ballots, np.ones(ballots.n_workers) if worth is None else worth)
    sample = urns.sample(MOST_FOR_TUNING)
    words = GOLD_WORDS if (ballots.gold >= 0).any() else GOLD_WORDS[:1]
    merit = {
        (kappa, word): float((sample.own * np.log(sample.chance(kappa, word))).sum())
        for kappa in KAPPAS
        for word in words
    }
    kappa, word = max(merit, key=lambda pair: merit[pair])
    return Forecast(urns.chance(kappa, word), urns.informed, urns.base, kappa, word)


@dataclass(frozen=True)
class _Urns:
    """What the others put into each vote's urn: float64[n] each but `base`.

    `own`: the vote's own weight; `same`, `others`: weight of the other votes that say the same, and of all;
    `hit`, `known`: whether gold says the same, and whether there is gold; `doubt`: `base` of the vote's
    label.
    """

    own: Floats
    same: Floats
    others: Floats
    hit: np.ndarray
    known: np.ndarray
    doubt: Floats
    base: Floats

    @classmethod
    def of(cls, ballots: Ballots, worth: Floats) -> _Urns:
        task, label, k = ballots.task, ballots.label, max(ballots.n_labels, 1)
        own = worth[ballots.worker]
        _, cell = np.unique(task * k + label, return_inverse=True)
        base = np.bincount(label, weights=own, minlength=k) + 1.0
        base = base / base.sum()
        known = ballots.gold[task]
        return cls(
            own,
            np.maximum(np.bincount(cell, weights=own)[cell] - own if len(cell) else own, 0.0),
            np.maximum(np.bincount(task, weights=own, minlength=len(ballots.gold))[task] - own, 0.0),
            known == label,
            known >= 0,
            base[label],
            base,
        )

    @property
    def informed(self) -> np.ndarray:
        """bool[n]: whether there is anything in the urn but doubt."""
        return (self.others > 1e-6) | self.known

    def sample(self, most: int) -> _Urns:
        """At most `most` of the votes, evenly chosen."""
        if len(self.own) <= most:
            return self
        part = np.linspace(0, len(self.own) - 1, most).astype(np.int64)
        own, same, others = self.own[part], self.same[part], self.others[part]
        return _Urns(own, same, others, self.hit[part], self.known[part], self.doubt[part], self.base)

    def chance(self, kappa: float, word: float) -> Floats:
        """float64[n]: the share of each vote's label in its urn."""
        same = self.same + word * self.hit + kappa * self.doubt
        return same / (self.others + word * self.known + kappa)
