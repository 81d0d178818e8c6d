"""The curve: test accuracy against label error, fitted over the arms, and what label error costs.

Least squares over the arms' means: a straight line, or a parabola from five different errors on. The interval
refits the curve on every bootstrap replicate of the accuracies, and, where the errors are known from a sample
of the pictures only, of those too. Arms with soft labels or fewer pictures differ in more than their label
error: they are shown and not fitted. People's errors may cost more or less than injected ones at the same
rate, so each kind has a line of its own through its arms and the labels that its noise was put on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.arms import FEWER, NOISE_CROWD, NOISE_SYM, SOFT
from training.statistics.bootstrap import Estimate, estimate

LEAST_RANGE = 0.03  # label errors closer together than this carry no slope
STEPS = 41
KINDS = {
    "votes": "errors of the votes",
    "noise_crowd": "injected errors like the crowd's",
    "noise_sym": "injected errors of any kind",
}
Floats = np.ndarray


@dataclass(frozen=True)
class Cost:
    """Points of test accuracy for each point of label error. `kind`: whose errors, or `all`."""

    kind: str
    slope: Estimate
    arms: tuple[str, ...]


def comparable(arm: str) -> bool:
    """Whether the arm differs from others in its label error alone."""
    return arm not in SOFT and arm not in FEWER


def fit_curve(
    errors: Mapping[str, Estimate], accuracies: Mapping[str, Estimate], exact: bool = True
) -> dict[str, Any] | None:
    """The curve over the arms in `errors` (label error, 0 to 1), or None with fewer than 3 different errors.

    `fitted`: accuracy at evenly spaced errors with interval. `slope`: points of test accuracy lost for each
    point of label error, by the straight line. `at_zero`: accuracy the curve expects of labels without error.
    `residual`: root mean square distance of the arms from the curve.

    Args:
        exact: the errors are those of the very labels that were taught; else their draws count too.
    """
    shown = [arm for arm in errors if arm in accuracies]
    arms = [arm for arm in shown if comparable(arm)]
    x, y, x_draws, y_draws = _points(arms, errors, accuracies, exact)
    distinct = len(np.unique(np.round(x, 3)))
    if distinct < 3 or np.ptp(x) < LEAST_RANGE:
        return None
    degree = 2 if distinct >= 5 else 1
    grid = np.linspace(0.0, max(errors[arm].value for arm in shown), STEPS)
    centre, boot = _solve(x, y[:, None], degree), _solve(x_draws, y_draws, degree)
    line, line_boot = _solve(x, y[:, None], 1), _solve(x_draws, y_draws, 1)
    on_grid, spread = np.vander(grid, degree + 1) @ centre, np.vander(grid, degree + 1) @ boot
    fitted = [estimate(float(value[0]), row) for value, row in zip(on_grid, spread, strict=True)]
    residual = y - (np.vander(x, degree + 1) @ centre)[:, 0]
    return {
        "x": "label_error",
        "y": "top1",
        "degree": degree,
        "coefficients": [round(float(c), 6) for c in centre[:, 0]],
        "points": [
            {
                "arm": arm,
                "label_error": round(errors[arm].value, 6),
                "top1": accuracies[arm].as_dict(),
                "fitted": arm in arms,
            }
            for arm in shown
        ],
        "fitted": [
            {"label_error": round(float(at), 6), "top1": point.as_dict()}
            for at, point in zip(grid, fitted, strict=True)
        ],
        "slope": estimate(-float(line[0, 0]), -line_boot[0]).as_dict(),
        "at_zero": fitted[0].as_dict(),
        "residual": round(float(np.sqrt(np.mean(residual**2))), 6),
    }


def label_error_costs(
    errors: Mapping[str, Estimate],
    accuracies: Mapping[str, Estimate],
    base: str,
    exact: bool = True,
) -> list[Cost]:
    """A straight line for each kind of error, and through all; kinds whose errors lie too close have none.

    `base`: the arm that noise was put on.
    """
    arms = [arm for arm in errors if arm in accuracies and comparable(arm)]
    noises = {"noise_crowd": NOISE_CROWD, "noise_sym": NOISE_SYM}
    of_kind: dict[str, list[str]] = {"votes": [arm for arm in arms if not arm.startswith("noise_")]}
    for kind, named in noises.items():
        of_kind[kind] = [arm for arm in arms if arm in named or arm == base]
    of_kind["all"] = arms
    costs = []
    for kind, chosen in of_kind.items():
        x, y, x_draws, y_draws = _points(chosen, errors, accuracies, exact)
        if len(x) < 2 or np.ptp(x) < LEAST_RANGE:
            continue
        value = -float(_solve(x, y[:, None], 1)[0, 0])
        costs.append(Cost(kind, estimate(value, -_solve(x_draws, y_draws, 1)[0]), tuple(chosen)))
    return costs


def in_words(costs: Sequence[Cost]) -> str:
    """What label error costs, in plain words."""
    if not costs:
        return (
            "What label error costs cannot be told: that needs arms whose label error is known and differs "
            f"by {100 * LEAST_RANGE:.0f} points or more."
        )
    told = {cost.kind: cost.slope for cost in costs}
    first = told.get("votes", told["all"])
    whose = "label error" if "votes" not in told else "label error that the votes leave"
    words = (
        f"Each point of {whose} costs {first.value:.2f} points of test accuracy "
        f"(95% interval {first.lo:.2f} to {first.hi:.2f})."
    )
    if first.lo <= 0 <= first.hi:
        words = (
            f"The data cannot tell whether {whose} costs test accuracy: {first.value:.2f} points for each "
            f"point (95% interval {first.lo:.2f} to {first.hi:.2f})."
        )
    rest = [
        f"{KINDS[kind]}: {slope.value:.2f} ({slope.lo:.2f} to {slope.hi:.2f})"
        for kind, slope in told.items()
        if kind not in ("votes", "all")
    ]
    return f"{words} For comparison, {'; '.join(rest)}." if rest else words


def _points(
    arms: Sequence[str], errors: Mapping[str, Estimate], accuracies: Mapping[str, Estimate], exact: bool
) -> tuple[Floats, Floats, Floats, Floats]:
    """x and y of the arms (float[points]), and their draws (float[points, replicates]; x alone if exact)."""
    x, y = (np.array([table[arm].value for arm in arms]) for table in (errors, accuracies))
    if not arms:
        return x, y, x, y[:, None]
    y_draws = np.stack([accuracies[arm].draws for arm in arms])
    if exact:
        return x, y, x, y_draws
    x_draws = np.stack([errors[arm].draws for arm in arms])
    n = min(x_draws.shape[1], y_draws.shape[1])
    return x, y, x_draws[:, :n], y_draws[:, :n]


def _solve(x: Floats, y: Floats, degree: int) -> Floats:
    """Least-squares coefficients, highest power first, of each column of `y` (float[points, columns]).

    `x`: float[points], or float[points, columns] for other places in each column.
    """
    if x.ndim == 1:
        return np.linalg.pinv(np.vander(x, degree + 1)) @ y
    places = x.T[:, :, None] ** np.arange(degree, -1, -1)
    return (np.linalg.pinv(places) @ y.T[:, :, None])[:, :, 0].T
