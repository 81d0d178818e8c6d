"""`--preset imagenet`: how many agreeing votes each category needs, from a first sample. Pure.

ImageNet asked at least 10 people about a first sample of each category's pictures, learned from it how far a
number of votes can be trusted there, and asked about the others only until that was enough (Deng, Dong,
Socher, Li, Li, Fei-Fei 2009, "ImageNet: a large-scale hierarchical image database", CVPR, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln

IMAGENET = "imagenet"
SAMPLE_VOTES = 10
SAMPLE_TASKS = 20
"""Tasks of each category in the first sample; ImageNet's paper names no number."""
POOLED_WEIGHT = 5.0
"""Cases of agreement that stand behind "this category is like the others"."""


@dataclass(frozen=True)
class VotesNeeded:
    """Votes by which a label must lead: by category, and `usual` for categories that the sample lacks."""

    by_category: dict[str, int]
    usual: int
    sample: int

    def of(self, categories: np.ndarray) -> np.ndarray:
        """int64[n] for categories object[n]."""
        return np.array([self.by_category.get(name, self.usual) for name in categories], np.int64)


def votes_needed(
    votes: pd.DataFrame,
    wanted: float,
    category_of: dict[str, str] | None = None,
    sample_votes: int = SAMPLE_VOTES,
    *,
    special: Mapping[str, float] | None = None,
) -> VotesNeeded:
    """The smallest number of votes whose agreement is right often enough, category by category.

    Right is what most of a task's votes say. Of k votes drawn from a sampled task, all alike, it is counted
    how often they name that label; categories with few cases lean on all categories together.

    Args:
        votes: `task,label`; only tasks with `sample_votes` votes and more are the sample. wanted: the share.
        category_of: task -> category (verify rounds); without, the label named is the category.
        special: category -> the share wanted of it instead.
    """
    counts = votes.groupby(["task", "label"], sort=True).size().reset_index(name="n")
    counts["votes"] = counts.groupby("task")["n"].transform("sum")
    counts = counts[counts["votes"] >= sample_votes]
    if not len(counts):
        return VotesNeeded({}, sample_votes, 0)
    first = counts.sort_values(["task", "n", "label"], ascending=[True, False, True]).drop_duplicates("task")
    counts["right"] = counts.index.isin(first.index)
    category = counts["task"].map(category_of) if category_of else counts["label"]
    names, code = np.unique(category.to_numpy(str), return_inverse=True)
    n, of = counts["n"].to_numpy(float), counts["votes"].to_numpy(float)
    found = np.full(len(names), sample_votes, np.int64)
    wish = np.array([(special or {}).get(str(name), wanted) for name in names])
    usual = sample_votes
    for k in range(sample_votes, 0, -1):
        alike = np.where(n >= k, np.exp(_ways(n, k) - _ways(of, k)), 0.0)
        hit = np.where(counts["right"], alike, 0.0)
        pooled = (hit.sum() + 1.0) / (alike.sum() + 2.0)
        right, every = np.bincount(code, hit), np.bincount(code, alike)
        trust = (right + POOLED_WEIGHT * pooled) / (every + POOLED_WEIGHT)
        found = np.where(trust >= wish, k, found)
        usual = k if pooled >= wanted else usual
    by_category = dict(zip(names.tolist(), found.tolist(), strict=True))
    return VotesNeeded(by_category, usual, int(counts["task"].nunique()))


def _ways(n: np.ndarray, k: int) -> np.ndarray:
    """Logarithm of n over k."""
    n = np.maximum(n, k)
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
