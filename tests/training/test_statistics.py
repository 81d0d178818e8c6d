"""Intervals hold the truth as often as they say; the curve finds a slope that is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import Bootstrap, holm, smallest_difference
from training.curve import fit_curve
from training.measures import expected_calibration_error, hits


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Images with their own chance, seeds with their own shift: 200 experiments, truth 0.7."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        chance = 0.7 + rng.uniform(-0.25, 0.25, 150)[None] + rng.normal(0, 0.02, 5)[:, None]
        estimate = Bootstrap(5, 150, replicates=400, key=trial).mean(rng.random((5, 150)) < chance)
        covered += estimate.lo <= 0.7 <= estimate.hi
    assert 0.90 <= covered / 200 <= 0.995


def test_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    rng = np.random.default_rng(1)
    easy = rng.random(300)
    one = (easy[None] < 0.8) & np.ones((5, 1), dtype=bool)
    other = (easy[None] < 0.7) & np.ones((5, 1), dtype=bool)
    bootstrap = Bootstrap(5, 300)
    difference, p = bootstrap.difference(one, other)
    assert difference.lo > 0
    assert p < 0.01
    assert difference.hi - difference.lo < bootstrap.mean(one).hi - bootstrap.mean(one).lo
    assert 0 < smallest_difference(difference.draws) < 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_p(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_curve_finds_the_slope() -> None:
    rng = np.random.default_rng(2)
    bootstrap, errors = Bootstrap(5, 2000), {f"arm{i}": i / 10 for i in range(5)}
    top1 = {arm: bootstrap.mean(rng.random((5, 2000)) < 0.9 - 0.5 * e) for arm, e in errors.items()}
    fit = fit_curve(errors, top1)
    assert fit is not None
    assert fit["slope"]["lo"] <= 0.5 <= fit["slope"]["hi"]
    assert fit["slope"]["hi"] - fit["slope"]["lo"] < 0.3
    assert fit_curve({"arm0": 0.1, "arm1": 0.1}, top1) is None


def test_measures_on_hand_made_predictions() -> None:
    p = np.array([[0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.5, 0.2, 0.3]])
    truth = np.array([0, 2, 2])
    assert hits(p, truth).tolist() == [True, False, False]
    assert hits(p, truth, 2).tolist() == [True, False, True]
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(certain, np.array([0, 1])) == pytest.approx(0.5)
