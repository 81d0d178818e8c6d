"""Intervals hold the truth as often as they say; contrasts, curve and costs find what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.statistics.bootstrap import (
    Bootstrap,
    Estimate,
    estimate,
    holm,
    resampled_means,
    smallest_difference,
)
from training.statistics.contrasts import contrast, warnings_of
from training.statistics.curve import fit_curve, in_words, label_error_costs
from training.statistics.measures import calibration_gaps, expected_calibration_error, hits, reliability

SEEDS, IMAGES = 5, 300


@pytest.fixture(scope="module")
def bootstrap() -> Bootstrap:
    """One set of draws for many experiments: they know nothing of the data."""
    return Bootstrap(SEEDS, IMAGES, replicates=600)


def exact(value: float) -> Estimate:
    """A label error without chance."""
    return Estimate(value, value, value, np.full(4000, value))


# --- against theory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_images", "of_seeds"),
    [(0.45, 0.0), (0.25, 0.02), (0.0, 0.05), (0.0, 0.0)],
    ids=["images", "all three", "seeds", "single predictions"],
)
def test_intervals_cover_the_truth_as_often_as_they_say(
    bootstrap: Bootstrap, of_images: float, of_seeds: float
) -> None:
    """600 experiments each; the truth is 0.5. Binomial error of the share that is covered: 0.9 points."""
    rng = np.random.default_rng(3)
    covered, trials = 0, 600
    for _ in range(trials):
        easy = np.where(rng.random(IMAGES) < 0.5, of_images, -of_images)
        chance = np.clip(0.5 + easy + rng.normal(0, of_seeds, SEEDS)[:, None], 0, 1)
        found = bootstrap.mean(rng.random((SEEDS, IMAGES)) < chance)
        covered += found.lo <= 0.5 <= found.hi
    assert 0.92 <= covered / trials <= 0.98


def test_a_run_sees_its_smallest_difference_in_four_cases_of_five(bootstrap: Bootstrap) -> None:
    """Paired arms that differ by as much as a run says it could just see."""
    rng = np.random.default_rng(4)

    def experiment(gap: float) -> Estimate:
        easy, shift = rng.beta(3, 2, IMAGES), rng.normal(0, 0.01, (2, SEEDS, 1))
        one = rng.random((SEEDS, IMAGES)) < np.clip(easy + shift[0], 0, 1) * (1 - gap) + gap
        other = rng.random((SEEDS, IMAGES)) < np.clip(easy + shift[1], 0, 1) * (1 - gap)
        return bootstrap.difference(one, other)[0]

    least = float(np.mean([smallest_difference(experiment(0.0)) for _ in range(50)]))
    seen = np.mean([experiment(least).lo > 0 for _ in range(400)])
    assert 0.7 <= seen <= 0.9
    assert np.mean([experiment(0.0).lo > 0 for _ in range(400)]) <= 0.05


def test_the_seeds_part_is_students(bootstrap: Bootstrap) -> None:
    """Images all alike: the interval is the t interval of five means."""
    means = np.array([0.70, 0.72, 0.69, 0.74, 0.71])
    found = bootstrap.mean(np.tile(means[:, None], (1, IMAGES)))
    half = 2.776 * means.std(ddof=1) / np.sqrt(5)
    assert (found.hi - found.lo) / 2 == pytest.approx(half, rel=0.15)


def test_the_images_part_is_the_binomials() -> None:
    """One seed: only the images count."""
    table = (np.arange(400) < 280)[None].astype(float)
    found = Bootstrap(1, 400).mean(table)
    assert (found.hi - found.lo) / 2 == pytest.approx(1.96 * np.sqrt(0.7 * 0.3 / 400), rel=0.1)


def test_nothing_wrong_is_no_proof_of_perfection(bootstrap: Bootstrap) -> None:
    found = bootstrap.accuracy(np.ones((SEEDS, IMAGES)))
    assert (found.value, found.hi) == (1.0, 1.0)
    assert 0.98 < found.lo < 0.995  # Wilson's for 300 of 300


def test_columns_share_their_resamples() -> None:
    values = np.random.default_rng(0).random((500, 2))
    draws = resampled_means(np.column_stack([values, values[:, 0] + 0.25]))
    assert draws[:, 2] - draws[:, 0] == pytest.approx(0.25)
    assert draws[:, 1].std() == pytest.approx(values[:, 1].std() / np.sqrt(500), rel=0.1)


# --- contrasts ------------------------------------------------------------------------------------------


def test_paired_difference_is_narrower_than_an_unpaired_one(bootstrap: Bootstrap) -> None:
    easy = np.random.default_rng(1).random(IMAGES)
    one, other = (np.tile(easy < share, (SEEDS, 1)) for share in (0.8, 0.7))
    difference, p = bootstrap.difference(one, other)
    assert difference.lo > 0
    assert p < 0.01
    assert difference.hi - difference.lo < bootstrap.mean(one).hi - bootstrap.mean(one).lo
    assert 0 < smallest_difference(difference) < 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_p(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def right(share: float, seed: int = 0) -> np.ndarray:
    """An arm that is right on a share of the test images, the same ones under each seed."""
    return np.tile(np.random.default_rng(seed).permutation(IMAGES) < share * IMAGES, (SEEDS, 1)).astype(float)


def test_one_contrast_is_primary_and_the_others_carry_holms_p(bootstrap: Bootstrap) -> None:
    arms = {
        "majority": right(0.7),
        "consensus": right(0.78),
        "cleaned": right(0.8),
        "cleaned_control": right(0.6),
    }
    found = contrast(arms, bootstrap)
    assert found.primary is not None
    assert (found.primary.one, found.primary.p_holm, found.primary.told_apart) == ("consensus", None, True)
    assert {(c.one, c.other) for c in found.found} == {
        ("consensus", "majority"),
        ("cleaned", "majority"),
        ("cleaned_control", "majority"),
        ("cleaned", "cleaned_control"),
    }
    secondary = [c for c in found.found if c.p_holm is not None]
    assert [c.p_holm for c in secondary] == holm([c.p for c in secondary])
    assert not warnings_of(found)


def test_arms_that_cannot_be_told_apart_are_named(bootstrap: Bootstrap) -> None:
    noise = {"majority": right(0.7, 1), "consensus": right(0.7, 2), "one_vote": right(0.7, 3)}
    lines = warnings_of(contrast(noise, bootstrap))
    assert any("cannot tell consensus from majority" in line for line in lines)
    assert any("any two of the arms" in line for line in lines)
    some = warnings_of(contrast(noise | {"noise_sym_40": right(0.3)}, bootstrap))
    assert any("one_vote from majority" in line for line in some)
    assert not any("noise_sym_40" in line for line in some)


def test_arms_on_the_audit_share_are_compared_among_themselves(bootstrap: Bootstrap) -> None:
    arms = {"majority": right(0.7), "audit_majority_k2": right(0.4), "audit_majority_k5": right(0.5)}
    assert [(c.one, c.other) for c in contrast(arms, bootstrap).found] == [
        ("audit_majority_k5", "audit_majority_k2")
    ]


# --- the curve and its slope ----------------------------------------------------------------------------


def test_curve_finds_the_slope() -> None:
    rng = np.random.default_rng(2)
    draws, errors = Bootstrap(5, 2000), {f"arm{i}": exact(i / 10) for i in range(5)}
    top1 = {arm: draws.mean(rng.random((5, 2000)) < 0.9 - 0.5 * e.value) for arm, e in errors.items()}
    fit = fit_curve(errors, top1)
    assert fit is not None
    assert fit["slope"]["lo"] <= 0.5 <= fit["slope"]["hi"]
    assert fit["slope"]["hi"] - fit["slope"]["lo"] < 0.3
    assert fit_curve({"arm0": exact(0.1), "arm1": exact(0.1)}, top1) is None


def test_arms_that_differ_in_more_than_label_error_are_shown_and_not_fitted(bootstrap: Bootstrap) -> None:
    errors = {"one_vote": 0.2, "majority": 0.1, "reference": 0.0, "budget_3": 0.1, "soft_votes": 0.1}
    top1 = {arm: bootstrap.mean(right(0.8 - value)) for arm, value in errors.items()}
    top1["budget_3"], top1["soft_votes"] = bootstrap.mean(right(0.1)), bootstrap.mean(right(0.99))
    fit = fit_curve({arm: exact(value) for arm, value in errors.items()}, top1)
    assert fit is not None
    assert {point["arm"] for point in fit["points"] if not point["fitted"]} == {"budget_3", "soft_votes"}
    assert fit["slope"]["value"] == pytest.approx(1.0, abs=0.05)


def test_errors_known_from_a_sample_widen_the_slope(bootstrap: Bootstrap) -> None:
    errors = {"one_vote": 0.2, "majority": 0.1, "reference": 0.0}
    top1 = {arm: bootstrap.mean(right(0.8 - value)) for arm, value in errors.items()}
    rng = np.random.default_rng(0)
    sampled = {arm: estimate(value, rng.normal(value, 0.03, 600)) for arm, value in errors.items()}
    narrow, wide = (fit_curve(sampled, top1, exact=told) for told in (True, False))
    assert narrow is not None
    assert wide is not None
    assert wide["slope"]["hi"] - wide["slope"]["lo"] > narrow["slope"]["hi"] - narrow["slope"]["lo"]


def test_every_kind_of_error_has_its_own_cost(bootstrap: Bootstrap) -> None:
    errors = {
        **{"one_vote": 0.2, "majority": 0.1, "reference": 0.0},
        **{"noise_sym_20": 0.2, "noise_sym_40": 0.4, "noise_crowd_20": 0.2, "noise_crowd_40": 0.4},
    }
    cost = {"one": 0.8, "majority": 0.8, "reference": 0, "noise_sym": 0.2, "noise_crowd": 0.6}
    top1 = {
        arm: bootstrap.mean(right(0.8 - next(c for n, c in cost.items() if arm.startswith(n)) * value))
        for arm, value in errors.items()
    }
    costs = label_error_costs({arm: exact(value) for arm, value in errors.items()}, top1, "reference")
    slopes = {found.kind: found.slope.value for found in costs}
    assert slopes["votes"] == pytest.approx(0.8, abs=0.03)
    assert slopes["noise_crowd"] == pytest.approx(0.6, abs=0.03)
    assert slopes["noise_sym"] == pytest.approx(0.2, abs=0.03)
    words = in_words(costs)
    assert "that the votes leave costs 0.8" in words
    assert "95% interval" in words


def test_a_cost_that_cannot_be_told_is_said_so(bootstrap: Bootstrap) -> None:
    assert "cannot be told" in in_words([])
    near = {arm: exact(value) for arm, value in (("majority", 0.10), ("consensus", 0.11))}
    top1 = {arm: bootstrap.mean(right(0.7, seed)) for seed, arm in enumerate(near)}
    assert label_error_costs(near, top1, "consensus") == []
    flat = {arm: exact(value) for arm, value in (("one_vote", 0.2), ("majority", 0.1), ("reference", 0.0))}
    noise = {arm: bootstrap.mean(right(0.7, seed)) for seed, arm in enumerate(flat)}
    assert "The data cannot tell whether" in in_words(label_error_costs(flat, noise, "reference"))


def test_calibration_error_is_guos_and_its_interval_holds_the_truth(bootstrap: Bootstrap) -> None:
    """Confident by 0.1 too much; 200 experiments."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(200):
        chance = np.where(rng.random(IMAGES) < 0.5, 0.62, 0.81)
        stated = np.column_stack([chance + 0.1, 0.9 - chance])
        truth = (rng.random(IMAGES) > chance).astype(int)
        found = bootstrap.calibration_error(np.stack([calibration_gaps(stated, truth)] * SEEDS))
        assert found.value == pytest.approx(expected_calibration_error(stated, truth))
        count, confidence, accuracy = reliability(stated, truth)
        filled = count > 0
        guo = (np.abs(confidence[filled] - accuracy[filled]) * count[filled]).sum() / count.sum()
        assert found.value == pytest.approx(guo)
        held += found.lo <= 0.1 <= found.hi
    assert held / 200 >= 0.9


def test_measures_on_hand_made_predictions() -> None:
    p = np.array([[0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.5, 0.2, 0.3]])
    truth = np.array([0, 2, 2])
    assert hits(p, truth).tolist() == [True, False, False]
    assert hits(p, truth, 2).tolist() == [True, False, True]
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(certain, np.array([0, 1])) == pytest.approx(0.5)
