"""How alike workers' mistakes are, as two halves of the votes show it: no truth, no gold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quality.aggregation import aggregate
from quality.aggregation.dependence import usual_likeness

LABELS = 10


def crowd(
    tasks: int = 600, votes: int = 6, fooled: float = 0.0, seed: int = 0
) -> tuple[pd.DataFrame, pd.Series]:
    """Votes of 40 workers who are right three times in four; a share of the pictures fools half of them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(LABELS, size=tasks)
    lure = (truth + rng.integers(1, LABELS, size=tasks)) % LABELS
    worker = np.array([rng.choice(40, votes, replace=False) for _ in range(tasks)])
    label = np.where(
        rng.random((tasks, votes)) < 0.75, truth[:, None], rng.integers(LABELS, size=(tasks, votes))
    )
    lured = (rng.random(tasks) < fooled)[:, None] & (rng.random((tasks, votes)) < 0.55)
    label = np.where(lured, lure[:, None], label)
    task = np.repeat(np.arange(tasks), votes)
    frame = pd.DataFrame({"task": task, "worker": worker.ravel(), "label": label.ravel()}).astype(str)
    return frame, pd.Series(truth.astype(str), index=np.arange(tasks).astype(str))


def stated_and_true(frame: pd.DataFrame, truth: pd.Series) -> tuple[float, float]:
    consensus = aggregate(frame).consensus.set_index("task").reindex(truth.index)
    return float(consensus["confidence"].mean()), float((consensus["label"] == truth).mean())


def likeness(frame: pd.DataFrame) -> float:
    return float(aggregate(frame).summary["likeness"])


def stopped_early(frame: pd.DataFrame, audited: int) -> pd.DataFrame:
    """Two votes on every task, but for the first `audited` ones, which keep all."""
    task = frame["task"].astype(int)
    return frame[(task < audited) | (frame.groupby("task").cumcount() < 2)]


def test_independent_voters_are_taken_for_such() -> None:
    frame, truth = crowd()
    assert likeness(frame) < usual_likeness(LABELS) - 0.1
    stated, right = stated_and_true(frame, truth)
    assert 0 <= right - stated < 0.12  # 0.16 with the usual likeness


@pytest.mark.parametrize("seed", [1, 2])
def test_pictures_that_fool_many_make_voters_alike(seed: int) -> None:
    assert likeness(crowd(fooled=0.25, seed=seed)[0]) > likeness(crowd(seed=seed)[0]) + 0.03


def test_a_stopping_rule_s_hard_tasks_are_no_sample() -> None:
    frame = stopped_early(crowd()[0], audited=120)
    assert likeness(frame) == pytest.approx(usual_likeness(LABELS))


@pytest.mark.parametrize("words", [(True, False), ("True", "False"), ("true", "false"), (1, 0)])
def test_an_audit_is_a_sample_however_it_is_written(words: tuple[object, object]) -> None:
    frame = stopped_early(crowd()[0], audited=120)
    frame = frame.assign(audit=[words[task >= 120] for task in frame["task"].astype(int)])
    assert likeness(frame) < usual_likeness(LABELS) - 0.05


def test_too_small_an_audit_says_nothing() -> None:
    frame = stopped_early(crowd()[0], audited=20)
    frame = frame.assign(audit=frame["task"].astype(int) < 20)
    assert likeness(frame) == pytest.approx(usual_likeness(LABELS))
