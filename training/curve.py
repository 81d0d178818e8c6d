"""The curve: test accuracy against label error, fitted over the arms, with its interval.

Least squares over the arms' means: a straight line, or a parabola from five different errors on. The interval
refits the curve on every bootstrap replicate of the accuracies, and so holds the chance of images and seeds;
it does not hold that one kind of error may cost more than another at the same rate (people's errors are not
spread evenly, injected ones are), which the distance of the arms from the curve shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.bootstrap import Estimate, estimate

LEAST_RANGE = 0.03  # label errors closer together than this carry no slope
STEPS = 41
Floats = np.ndarray


def fit_curve(errors: Mapping[str, float], accuracies: Mapping[str, Estimate]) -> dict[str, Any] | None:
    """The curve over the arms in `errors` (label error, 0 to 1), or None with fewer than 3 different errors.

    `fitted`: accuracy at evenly spaced errors with interval. `slope`: points of test accuracy lost for each
    point of label error, by the straight line. `at_zero`: accuracy the curve expects of labels without error.
    `residual`: root mean square distance of the arms from the curve.
    """
    arms = [arm for arm in errors if arm in accuracies]
    x = np.array([errors[arm] for arm in arms])
    distinct = len(np.unique(np.round(x, 3)))
    if distinct < 3 or np.ptp(x) < LEAST_RANGE:
        return None
    degree = 2 if distinct >= 5 else 1
    y = np.array([accuracies[arm].value for arm in arms])
    draws = np.stack([accuracies[arm].draws for arm in arms])
    grid = np.linspace(0.0, float(x.max()), STEPS)
    centre, boot = _solve(x, y[:, None], degree), _solve(x, draws, degree)
    line, line_boot = _solve(x, y[:, None], 1), _solve(x, draws, 1)
    on_grid, spread = np.vander(grid, degree + 1) @ centre, np.vander(grid, degree + 1) @ boot
    fitted = [estimate(float(value[0]), row) for value, row in zip(on_grid, spread, strict=True)]
    residual = y - (np.vander(x, degree + 1) @ centre)[:, 0]
    return {
        "x": "label_error",
        "y": "top1",
        "degree": degree,
        "coefficients": [round(float(c), 6) for c in centre[:, 0]],
        "points": [
            {"arm": arm, "label_error": round(errors[arm], 6), "top1": accuracies[arm].as_dict()}
            for arm in arms
        ],
        "fitted": [
            {"label_error": round(float(at), 6), "top1": point.as_dict()}
            for at, point in zip(grid, fitted, strict=True)
        ],
        "slope": estimate(-float(line[0, 0]), -line_boot[0]).as_dict(),
        "at_zero": fitted[0].as_dict(),
        "residual": round(float(np.sqrt(np.mean(residual**2))), 6),
    }


def _solve(x: Floats, y: Floats, degree: int) -> Floats:
    """Least-squares coefficients, highest power first, of each column of `y` (float[points, columns])."""
    return np.linalg.pinv(np.vander(x, degree + 1)) @ y
