"""Worker skills, spam flags, agreement and intervals."""

import math

import numpy as np
import pandas as pd
import pytest

from quality.aggregation import aggregate
from quality.agreement import accuracy_interval, krippendorff_alpha, observed_agreement
from quality.skills import skill_intervals


def crowd_with_spammers(seed: int, spammers: bool = True) -> pd.DataFrame:
    """30 workers on 1,000 tasks of 8 labels, 4 votes each; a fifth of the tasks is hard for everyone."""
    rng = np.random.default_rng(seed)
    truth, hard = rng.integers(0, 8, 1000), rng.random(1000) < 0.2
    skill = rng.uniform(0.6, 0.95, 30)
    rows = []
    for task in range(1000):
        for worker in rng.permutation(30)[:4]:
            right = rng.random() < skill[worker] * (0.5 if hard[task] else 1.0)
            label = truth[task] if right else (truth[task] + rng.integers(1, 8)) % 8
            if spammers and worker < 2:
                label = rng.integers(0, 8)
            if spammers and worker == 2:
                label = 5
            rows.append((task, worker, label))
    return pd.DataFrame(rows, columns=["task", "worker", "label"]).astype(str)


def test_spammers_are_flagged_with_evidence():
    result = aggregate(crowd_with_spammers(1), "dawid_skene")
    flags = result.workers.set_index("worker")["flags"]
    assert flags[["0", "1", "2"]].tolist() == ["random", "random", "constant"]
    assert (flags.drop(["0", "1", "2"]) == "").all()
    assert all("%" in flag.evidence for flag in result.flags)


@pytest.mark.parametrize("seed", range(4))
def test_honest_workers_are_not_flagged(seed):
    assert aggregate(crowd_with_spammers(seed, spammers=False)).flags == []


def test_skill_interval_covers_and_narrows():
    right, n = np.array([8.0, 80.0, 0.0]), np.array([10.0, 100.0, 0.0])
    skill, lo, hi = skill_intervals(right, n)
    assert ((lo < skill) & (skill < hi)).all()
    assert hi[0] - lo[0] > hi[1] - lo[1]
    assert skill[2] == pytest.approx(89 / 112)


def test_alpha_of_krippendorffs_own_example():
    # Krippendorff (2011), section C: four observers, twelve units, nominal: 0.743.
    observers = {
        "A": "1 2 3 3 2 1 4 1 2 - - -",
        "B": "1 2 3 3 2 2 4 1 2 5 - 3",
        "C": "- 3 3 3 2 3 4 2 2 5 1 -",
        "D": "1 2 3 3 2 4 4 1 2 5 1 -",
    }
    rows = [
        (unit, name, label)
        for name, labels in observers.items()
        for unit, label in enumerate(labels.split())
        if label != "-"
    ]
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    assert krippendorff_alpha(frame) == pytest.approx(0.743, abs=5e-4)


def test_agreement_at_its_ends():
    same = pd.DataFrame(
        [(t, w, "ab"[t % 2]) for t in range(4) for w in range(3)], columns=["task", "worker", "label"]
    )
    assert krippendorff_alpha(same) == 1.0
    assert observed_agreement(same) == 1.0
    assert math.isnan(krippendorff_alpha(same.assign(label="a")))
    lonely = same.drop_duplicates("task")
    assert math.isnan(krippendorff_alpha(lonely))
    assert math.isnan(observed_agreement(lonely))
    split = pd.DataFrame([(0, 0, "a"), (0, 1, "a"), (0, 2, "b")], columns=["task", "worker", "label"])
    assert observed_agreement(split) == pytest.approx(1 / 3)


def test_wilson_interval():
    assert accuracy_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert accuracy_interval(0, 0) == (0.0, 1.0)
    assert accuracy_interval(10, 10)[1] == 1.0
    with pytest.raises(ValueError):
        accuracy_interval(3, 2)
