"""The share of right labels, from answers that are known and from what the confidences promise."""

import math

import numpy as np
import pytest

from quality.accuracy import calibration, poststratified, promised, verdict
from quality.agreement import Estimate, accuracy_interval

NAN = math.nan


def test_plain_sample_is_the_plain_share():
    right = np.r_[np.ones(90), np.zeros(10), np.full(900, NAN)]
    found = poststratified(["a"] * 1000, right)
    assert (found.value, found.n) == (pytest.approx(0.9), 100)
    assert (found.lo, found.hi) == pytest.approx(accuracy_interval(90, 100), abs=0.01)


def test_categories_weigh_as_in_the_dataset():
    # Half of the dataset is b, but nine answers in ten are on a.
    category = ["a"] * 500 + ["b"] * 500
    right = np.full(1000, NAN)
    right[:90], right[500:510] = 1.0, 0.0
    found = poststratified(category, right)
    assert found.value == pytest.approx(0.5)
    assert found.hi - found.lo > 0.2, "ten answers speak for half of it"


def test_rare_categories_are_taken_together_and_unknown_ones_stand_for_the_whole():
    category = ["a"] * 50 + ["b"] * 25 + ["c"] * 25
    right = np.full(100, NAN)
    right[:10] = 1.0
    right[50:54] = [1, 0, 1, 0]  # four answers are too few for b alone; c has none: they share one stratum
    assert poststratified(category, right).value == pytest.approx(0.5 + 0.5 * 0.5)
    right[50:54] = NAN
    assert poststratified(category, right).value == 1.0
    nothing = poststratified(category, np.full(100, NAN))
    assert (nothing.n, math.isnan(nothing.value)) == (0, True)
    assert poststratified([], np.zeros(0)).n == 0


def test_the_interval_holds_the_truth():
    """Categories of unlike accuracy, answers drawn at random: 95% intervals cover in about 95 of 100."""
    rng = np.random.default_rng(3)
    category = rng.choice(4, 5000, p=[0.55, 0.3, 0.1, 0.05])
    truth = rng.random(5000) < np.array([0.98, 0.9, 0.7, 0.5])[category]
    held = 0
    for _ in range(300):
        right = np.full(5000, NAN)
        asked = rng.choice(5000, 150, replace=False)
        right[asked] = truth[asked]
        found = poststratified(category.astype(str), right)
        held += found.lo <= truth.mean() <= found.hi
    assert held >= 276


def test_what_confidences_promise():
    found = promised(np.array([0.9, 0.8, 1.0]))
    assert (found.value, found.n) == (pytest.approx(0.9), 3)
    assert 0.5 < found.lo < 0.9 < found.hi < 1.0
    assert promised(np.zeros(0)).n == 0


def test_reliability_bins():
    confidence = np.array([0.3, 0.9, 0.95, 0.951, 1.0, 1.0, 0.6])
    right = np.array([0.0, 1, 0, 1, 1, 1, NAN])
    found = calibration(confidence, right)
    assert [(b.lo, b.hi, b.n, b.right) for b in found.bins] == [
        (0.0, 0.5, 1, 0.0),
        (0.8, 0.9, 1, 1.0),
        (0.9, 0.95, 1, 0.0),
        (0.95, 0.99, 1, 1.0),
        (0.99, 1.0, 2, 1.0),
    ]
    assert found.error == pytest.approx((0.3 + 0.1 + 0.95 + 0.049 + 0) / 6)
    assert calibration(confidence, np.full(7, NAN)).bins == []


@pytest.mark.parametrize(("stated", "says"), [(0.99, "too_sure"), (0.95, "agree"), (0.8, "too_modest")])
def test_the_verdict(stated, says):
    promise = Estimate(stated, stated, stated, 1000)
    assert verdict(Estimate(0.94, 0.92, 0.96, 400), promise) == says
    assert verdict(Estimate(NAN, NAN, NAN, 0), promise) == "unproven"
