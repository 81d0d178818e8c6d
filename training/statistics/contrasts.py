"""Which arms differ: one contrast named before any run, Holm's correction for all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation_site.figures import points
from training.arms import AUDIT
from training.statistics.bootstrap import Bootstrap, Estimate, holm, smallest_difference

PRIMARY = ("consensus", "majority")
OTHERS = (
    ("reference", "consensus"),
    ("soft_posterior", "consensus"),
    ("cleaned", "cleaned_control"),
    ("budget_3", "budget_1"),
)
"""Contrasts beside each arm's with the majority."""
MOST_NAMED = 4


@dataclass(frozen=True)
class Contrast:
    """`one` minus `other` in test accuracy. `p_holm`: None for the primary contrast."""

    one: str
    other: str
    difference: Estimate
    p: float
    p_holm: float | None

    @property
    def told_apart(self) -> bool:
        """Whether the data tell the two apart at 5%: the primary by its interval, others by Holm's p."""
        if self.p_holm is None:
            return self.difference.lo > 0 or self.difference.hi < 0
        return self.p_holm <= 0.05

    def as_dict(self) -> dict[str, Any]:
        """The form in metrics.json."""
        held = None if self.p_holm is None else round(self.p_holm, 6)
        return {**self.difference.as_dict(), "p": round(self.p, 6), "p_holm": held}


@dataclass(frozen=True)
class Contrasts:
    """All contrasts of a run. `smallest_difference`: the true one that it would have seen in 80% of cases."""

    found: tuple[Contrast, ...]
    smallest_difference: float | None

    @property
    def primary(self) -> Contrast | None:
        """Consensus minus majority, where both were trained."""
        return next((c for c in self.found if c.p_holm is None), None)

    def between(self, one: str, other: str) -> Contrast | None:
        """The contrast of two arms, where it is one of those that are looked at."""
        return next((c for c in self.found if (c.one, c.other) == (one, other)), None)


def contrast(right: Mapping[str, np.ndarray], bootstrap: Bootstrap) -> Contrasts:
    """Compare arms, paired by seed and test image.

    `right`: arm -> float[seeds, images], 1 where the reference was predicted.
    """
    pairs = _pairs(list(right))
    measured = [bootstrap.difference(right[one], right[other]) for one, other in pairs]
    secondary = [at for at, pair in enumerate(pairs) if pair != PRIMARY]
    adjusted = dict(zip(secondary, holm([measured[at][1] for at in secondary]), strict=True))
    found = tuple(
        Contrast(one, other, difference, p, adjusted.get(at))
        for at, ((one, other), (difference, p)) in enumerate(zip(pairs, measured, strict=True))
    )
    if not found:
        return Contrasts(found, None)
    named = next((c for c in found if c.p_holm is None), found[0])
    return Contrasts(found, round(smallest_difference(named.difference), 6))


def _pairs(arms: list[str]) -> list[tuple[str, str]]:
    """The contrasts among these arms; without the majority, each with the first arm."""
    audit = [arm for arm in arms if arm.startswith(AUDIT)]
    main = [arm for arm in arms if arm not in audit]
    base = PRIMARY[1] if PRIMARY[1] in main else main[0]
    pairs = [(arm, base) for arm in main if arm != base]
    pairs += [pair for pair in OTHERS if set(pair) <= set(main) and pair not in pairs]
    return pairs + [(arm, audit[0]) for arm in audit[1:]]


def warnings_of(contrasts: Contrasts) -> list[str]:
    """What the data cannot tell apart."""
    lines, primary = [], contrasts.primary
    if primary is not None and not primary.told_apart:
        interval = f"{points(primary.difference.lo)} to {points(primary.difference.hi)} points"
        seen = 100 * (contrasts.smallest_difference or 0)
        lines.append(
            f"the data cannot tell consensus from majority: the interval of their difference ({interval}) "
            f"holds 0; a run like this one sees {seen:.1f} points in four cases of five"
        )
    others = [c for c in contrasts.found if c.p_holm is not None]
    alike = [f"{c.one} from {c.other}" for c in others if not c.told_apart]
    if len(contrasts.found) > 1 and not any(c.told_apart for c in contrasts.found):
        lines.append("the data cannot tell any two of the arms apart: more test images or seeds are needed")
    elif len(alike) > MOST_NAMED:
        apart = [f"{c.one} from {c.other}" for c in others if c.told_apart]
        told = (
            f"told apart are {', '.join(apart)}" if apart else "consensus and majority alone are told apart"
        )
        lines.append(f"the data cannot tell apart {len(alike)} of {len(others)} contrasts (Holm, 5%); {told}")
    elif alike:
        lines.append(f"the data cannot tell apart (Holm, 5%): {', '.join(alike)}")
    return lines
