"""How far the classes' shares differ between splits.

Splits are drawn per duplicate group by a keyed hash, before any label is known: every class has the same
share in each split in expectation, never exactly. This says how far off chance (and references that are
missing, or filters on train and val) left them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import chdtrc

from annotation_site.figures import number_of


def deviation(
    categories: Mapping[str, Mapping[str, int]], splits: Sequence[str] = ("train", "val", "test")
) -> dict[str, Any] | None:
    """`{largest, category, split, chi2, degrees, p}`; None where fewer than two splits or classes hold any.

    `largest`: the greatest difference between a class's share of one split and its share of the whole
    release, and where it is. `chi2`, `degrees`, `p`: Pearson's test of the table class x split; `p` is the
    chance of a table at least so uneven if splits were dealt out blindly. Rounded to 1e-6.

    Args:
        categories: class -> split -> pictures, as release.json counts them.
    """
    names = sorted(categories)
    table = np.array([[categories[name].get(split, 0) for split in splits] for name in names], dtype=float)
    table = table.reshape(len(names), len(splits))
    rows, columns = table.sum(axis=1) > 0, table.sum(axis=0) > 0
    if rows.sum() < 2 or columns.sum() < 2:
        return None
    names = [name for name, held in zip(names, rows, strict=True) if held]
    places = [split for split, held in zip(splits, columns, strict=True) if held]
    table = table[rows][:, columns]
    total = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    apart = table / table.sum(axis=0) - (table.sum(axis=1) / total)[:, None]
    row, column = np.unravel_index(np.argmax(np.round(np.abs(apart), 9)), apart.shape)
    degrees = (len(names) - 1) * (len(places) - 1)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return {
        "largest": round(float(apart[row, column]), 6),
        "category": names[int(row)],
        "split": places[int(column)],
        "chi2": round(statistic, 6),
        "degrees": degrees,
        "p": round(float(chdtrc(degrees, statistic)), 6),
    }


def sentence(found: Mapping[str, Any] | None) -> str:
    """In words; empty where nothing can be compared."""
    if found is None:
        return ""
    if not found["largest"]:
        return "Every class has the same share of every split."
    direction = "more" if found["largest"] > 0 else "less"
    chance = "< 0.001" if found["p"] < 0.001 else f"= {found['p']:.3f}"
    return (
        f"Classes are spread over the splits by chance: `{found['category']}` differs most, its share of "
        f"{found['split']} is {100 * abs(found['largest']):.1f} percentage points {direction} than of the "
        f"whole release (chi-square {found['chi2']:.1f} with {number_of(found['degrees'], 'degree')} of "
        f"freedom, p {chance})."
    )
