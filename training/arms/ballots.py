"""The usable votes of a release's train pictures, and the labels that are read straight from them.

A vote is usable where its label is a class of the release: `__none__` and `__unsure__` are no labels. Of a
worker's votes on one picture the last row counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

Ints = np.ndarray
Floats = np.ndarray


@dataclass(frozen=True)
class Ballots:
    """v usable votes on n pictures.

    `picture`, `label`: int64[v], positions among the pictures and the classes, by picture and then by time.
    `counts`: int64[n, classes]. `timed`: whether every vote says when it was given. `audited`: bool[n],
    pictures drawn at random to get votes whatever the first ones said.
    """

    picture: Ints
    label: Ints
    counts: Ints
    timed: bool
    audited: Ints

    @property
    def given(self) -> Ints:
        """int64[n]: usable votes of each picture."""
        return self.counts.sum(axis=1)

    def take(self, rows: Ints) -> Ballots:
        """Those of some pictures. `rows`: int64[m], increasing."""
        place = np.full(len(self.counts), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.picture] >= 0
        picture = place[self.picture[kept]]
        return Ballots(picture, self.label[kept], self.counts[rows], self.timed, self.audited[rows])

    def first(self, k: int, seed: int) -> Ints:
        """int64[n, classes]: the first `k` votes of each picture; in a random order if not `timed`."""
        return self._ranked_below(k, np.arange(len(self.picture))) if self.timed else self.some(k, seed)

    def some(self, k: int, seed: int) -> Ints:
        """int64[n, classes]: `k` votes of each picture, all equally likely."""
        return self._ranked_below(k, np.random.default_rng([seed, 4]).random(len(self.picture)))

    def _ranked_below(self, k: int, key: np.ndarray) -> Ints:
        order = np.lexsort((key, self.picture))
        picture, label = self.picture[order], self.label[order]
        start = np.cumsum(self.given) - self.given
        early = np.arange(len(picture)) - start[picture] < k
        counts = np.zeros_like(self.counts)
        np.add.at(counts, (picture[early], label[early]), 1)
        return counts


def positions(values: pd.Series, names: Sequence[str]) -> Ints:
    """int64[n]: where each value stands in `names`, -1 where it does not."""
    return pd.Index(list(names)).get_indexer(pd.Index(values))


def read_ballots(votes: pd.DataFrame, images: Sequence[str], classes: Sequence[str]) -> Ballots:
    """The usable votes on `images`; `created` and `audit` count where the table has them."""
    picture, label = positions(votes["image"], images), positions(votes["label"], classes)
    last = ~votes.duplicated(["image", "worker"], keep="last").to_numpy(dtype=bool)
    usable = (picture >= 0) & (label >= 0) & last
    audited = np.zeros(len(images), dtype=bool)
    if "audit" in votes:
        drawn = votes["audit"].astype(object).isin([True]).to_numpy(dtype=bool)
        audited[picture[(picture >= 0) & drawn]] = True
    picture, label = picture[usable], label[usable]
    created = votes["created"] if "created" in votes else pd.Series(pd.NaT, index=votes.index)
    when = pd.to_datetime(created, utc=True, errors="coerce")[usable]
    order = np.lexsort((np.arange(len(picture)), when.rank(method="dense").to_numpy(), picture))
    counts = np.zeros((len(images), len(classes)), dtype=np.int64)
    np.add.at(counts, (picture, label), 1)
    return Ballots(picture[order], label[order], counts, bool(when.notna().all()), audited)


def one_vote(counts: Ints, seed: int) -> Ints:
    """One of each row's votes, every vote equally likely. Each row needs a vote."""
    total = counts.sum(axis=1)
    draw = np.random.default_rng([seed, 1]).integers(0, total)
    return (counts.cumsum(axis=1) <= draw[:, None]).sum(axis=1)


def majority(counts: Ints, seed: int) -> Ints:
    """The class with most votes of each row; ties are broken at random, each winner equally likely."""
    chance = np.random.default_rng([seed, 2]).random(counts.shape)
    return (counts + chance * 0.5).argmax(axis=1)


def shares(counts: Ints) -> Floats:
    """float32[n, classes]: each row's votes as shares. Each row needs a vote."""
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
