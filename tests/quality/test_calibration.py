"""Surety learned from gold: what it may change, and what not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quality.aggregation.accuracy import estimated_accuracy
from quality.aggregation.calibration import Calibration, calibrate
from quality.aggregation.majority import fit_majority
from quality.aggregation.votes import clean_votes

TABLES = arrays(float, (5, 4), elements=st.floats(1e-9, 1.0)).map(lambda t: t / t.sum(axis=1, keepdims=True))


def crowd(rng, n, power, slip, labels=5):
    """Stated probabilities, and truths drawn from what they would be with this power and slip."""
    stated = rng.dirichlet(np.full(labels, 0.3), n)
    chance = Calibration(power, slip).applied(stated)
    truth = np.array([rng.choice(labels, p=row / row.sum()) for row in chance])
    return stated, truth


@given(TABLES, st.floats(0.2, 2.0), st.floats(0.0, 0.4))
def test_it_changes_no_order_and_keeps_probabilities(table, power, slip):
    found = Calibration(power, slip).applied(table)
    assert found.sum(axis=1) == pytest.approx(np.ones(5))
    assert (
        np.take_along_axis(found, table.argmax(axis=1)[:, None], 1)[:, 0] >= found.max(axis=1) - 1e-12
    ).all()


@pytest.mark.parametrize(("power", "slip"), [(0.6, 0.0), (1.0, 0.2), (1.0, 0.0)])
def test_it_finds_how_wrong_the_surety_was(power, slip):
    rng = np.random.default_rng(4)
    stated, truth = crowd(rng, 1500, power, slip)
    found = calibrate(stated, truth)
    fresh, answers = crowd(rng, 4000, power, slip)
    said = found.applied(fresh)
    right = (said.argmax(axis=1) == answers).mean()
    assert said.max(axis=1).mean() == pytest.approx(right, abs=0.025)
    if (power, slip) != (1.0, 0.0):
        assert abs(fresh.max(axis=1).mean() - right) > 0.03, "else there was nothing to find"


def test_little_gold_moves_little():
    stated = np.array([[0.9, 0.1]] * 3)
    found = calibrate(stated, np.array([0, 0, 1]))
    assert found.applied(np.array([[0.9, 0.1]]))[0, 0] > 0.8
    assert calibrate(np.zeros((0, 3)), np.zeros(0, int)) == Calibration(1.0, 0.0)


def test_gold_that_was_foreseen_speaks_for_the_accuracy():
    """Where the votes alone mislead, what the method finds when told other gold is the evidence."""
    frame = pd.DataFrame(
        [(str(t), f"w{w}", "ab"[(t + (w < 2)) % 2]) for t in range(60) for w in range(3)],
        columns=["task", "worker", "label"],
    )
    gold = pd.DataFrame({"task": [str(t) for t in range(20)], "label": ["ab"[t % 2] for t in range(20)]})
    votes = clean_votes(frame, gold, None)
    said = fit_majority(votes).blind
    misled = estimated_accuracy(votes, said, said)
    told = estimated_accuracy(votes, said, said, foreseen=19)
    assert misled["value"] < 0.3
    assert told["value"] > 0.7
    assert told["lo"] > misled["hi"]
