"""Labellings are exactly what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.arms import ArmError, majority, one_vote, prepare, symmetric_noise, vote_counts
from training.release import open_release


def test_counts_leave_out_what_is_no_label_and_repeated_votes() -> None:
    votes = pd.DataFrame(
        [
            ("i", "w1", "b"),
            ("i", "w2", "__none__"),
            ("i", "w3", "__unsure__"),
            ("j", "w1", "b"),
            ("j", "w1", "a"),
            ("elsewhere", "w1", "a"),
        ],
        columns=["image", "worker", "label"],
    )
    assert vote_counts(votes, ["i", "j"], ["a", "b"]).tolist() == [[0, 1], [1, 0]]


def test_one_vote_draws_in_proportion_and_anew_for_each_seed() -> None:
    counts = np.array([[3, 1, 0]] * 400)
    draws = np.concatenate([one_vote(counts, seed) for seed in range(10)])
    assert set(draws.tolist()) == {0, 1}
    assert (draws == 0).mean() == pytest.approx(0.75, abs=0.03)
    assert (one_vote(counts, 0) != one_vote(counts, 1)).any()
    assert (one_vote(counts, 0) == one_vote(counts, 0)).all()


def test_majority_takes_the_most_votes_and_breaks_ties_evenly() -> None:
    assert majority(np.array([[1, 3, 2], [0, 0, 1]]), 5).tolist() == [1, 2]
    ties = np.concatenate([majority(np.array([[2, 0, 2]] * 300), seed) for seed in range(10)])
    assert set(ties.tolist()) == {0, 2}
    assert (ties == 0).mean() == pytest.approx(0.5, abs=0.04)


def test_noise_never_draws_the_true_class_and_nests() -> None:
    base = np.arange(6000) % 3
    low, high = (symmetric_noise(base, rate, 3, 1) for rate in (0.1, 0.4))
    assert (high != base).mean() == pytest.approx(0.4, abs=0.02)
    assert (symmetric_noise(base, 1.0, 3, 1) != base).all()
    changed = low != base
    assert (low[changed] == high[changed]).all()


def test_arms_of_a_release(release_folder: Path) -> None:
    release = open_release(release_folder)
    arms = ("one_vote", "majority", "dawid_skene", "consensus", "soft_posterior", "reference", "noise_sym_20")
    labellings = prepare(release, arms)
    train = release.split("train").set_index("image").loc[list(labellings.images)]
    consensus = labellings.targets("consensus", 0).labels
    assert [release.classes[i] for i in consensus] == train["category"].tolist()
    assert labellings.errors("reference", [0]).sum() == 0
    assert labellings.errors("consensus", [0]).mean() == (train["category"] != train["reference"]).mean()
    soft = labellings.targets("soft_posterior", 0).soft
    assert soft is not None
    assert soft.sum(axis=1) == pytest.approx(1.0)
    assert labellings.targets("dawid_skene", 0).labels.min() >= 0


def test_pictures_without_a_usable_vote_leave_every_arm(release_folder: Path) -> None:
    release = open_release(release_folder)
    first = release.split("train")["image"].iloc[0]
    release.votes.loc[release.votes["image"] == first, "label"] = "__none__"
    labellings = prepare(release, ("majority", "consensus"))
    assert first not in labellings.images
    assert len(labellings.targets("consensus", 0).labels) == len(labellings.images)
    assert any("1 of" in line and "majority" in line for line in labellings.warnings)
    assert first in prepare(release, ("consensus",)).images


def test_an_arm_without_any_label_is_refused(release_folder: Path) -> None:
    release = open_release(release_folder)
    release.manifest["reference"] = None
    with pytest.raises(ArmError, match="reference"):
        prepare(release, ("reference",))
