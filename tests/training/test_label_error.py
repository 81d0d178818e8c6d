"""Label errors: what each arm teaches wrongly, and what that is known from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.arms import Labellings
from training.arms.prepare import prepare
from training.release import open_release
from training.statistics.label_error import label_errors

ARMS = ("one_vote", "majority", "consensus", "reference", "noise_sym_40", "budget_3")


@pytest.fixture
def labellings(release_folder: Path) -> Labellings:
    return prepare(open_release(release_folder), ARMS)


def test_errors_are_shares_of_what_is_taught(labellings: Labellings) -> None:
    found = label_errors(labellings, 3)
    assert found.exact
    assert found.basis == f"references of all {len(labellings.images)} train pictures"
    wrong = labellings.targets("consensus", 0).labels != labellings.reference
    assert found.by_arm["consensus"].value == pytest.approx(wrong.mean())
    reference = found.by_arm["reference"]
    assert (reference.value, reference.lo, reference.hi) == (0, 0, 0)
    shares = []
    for seed in range(3):
        targets = labellings.targets("budget_3", seed)
        shares.append((targets.labels != labellings.reference)[targets.rows].mean())
    assert found.by_arm["budget_3"].value == pytest.approx(np.mean(shares))
    assert found.by_arm["one_vote"].lo < found.by_arm["one_vote"].value < found.by_arm["one_vote"].hi


def test_the_audit_share_comes_before_references_of_disputes(labellings: Labellings) -> None:
    n = len(labellings.images)
    audited = np.arange(n) < 20
    known = audited | (np.arange(n) > n - 10)  # some others have one too, because people disagreed on them
    reference = np.where(known, labellings.reference, -1)
    ballots = dataclasses.replace(labellings.ballots, audited=audited)
    found = label_errors(dataclasses.replace(labellings, reference=reference, ballots=ballots), 2)
    assert found.basis == "references of 20 pictures of the random audit share (20)"
    assert (found.exact, found.pictures) == (False, 20)
    wrong = labellings.targets("consensus", 0).labels[:20] != labellings.reference[:20]
    assert found.by_arm["consensus"].value == pytest.approx(wrong.mean())
    without = label_errors(dataclasses.replace(labellings, reference=reference), 2)
    assert (
        without.basis
        == f"references of {int(known.sum())} of {n} train pictures, perhaps not a random sample"
    )


def test_without_references_the_release_speaks_for_the_consensus(release_folder: Path) -> None:
    release = open_release(release_folder)
    release.manifest["reference"] = None
    told = {"value": 0.9, "lo": 0.88, "hi": 0.92, "n": 900, "basis": "the test split, a random sample"}
    arms = ("majority", "consensus", "noise_sym_10", "noise_sym_40", "noise_crowd_10")
    labellings = prepare(dataclasses.replace(release, label_accuracy=told), arms)
    found = label_errors(labellings, 5)
    assert "an estimate, because no train picture has a reference: the test split" in found.basis
    assert set(found.by_arm) == {"consensus", "noise_sym_10", "noise_sym_40"}
    consensus = found.by_arm["consensus"]
    assert (consensus.value, consensus.lo, consensus.hi) == pytest.approx((0.1, 0.08, 0.12))
    assert np.quantile(consensus.draws, [0.025, 0.975]) == pytest.approx([0.08, 0.12], abs=0.005)
    flips = [(labellings.targets("noise_sym_40", s).labels != labellings.base).mean() for s in range(5)]
    rate = float(np.mean(flips))
    # Flipped labels are wrong, but for one in two of those that were wrong before (three classes).
    assert found.by_arm["noise_sym_40"].value == pytest.approx(rate + 0.1 * (1 - rate - rate / 2))


def test_the_estimate_agrees_with_references_that_are_hidden(release_folder: Path) -> None:
    """The formula for noise upon a consensus with errors, against the truth."""
    release = open_release(release_folder)
    train = release.manifest["split"] == "train"
    hidden = release.manifest.loc[train].reset_index(drop=True)["reference"]
    release.manifest.loc[train, "reference"] = None
    honest = prepare(release, ("consensus", "noise_sym_40"))
    truth = hidden.map(release.class_index()).to_numpy()
    error = (honest.targets("consensus", 0).labels != truth).mean()
    told = {"value": 1 - error, "lo": 0.5, "hi": 0.99, "n": 50, "basis": "x"}
    labellings = dataclasses.replace(honest, release=dataclasses.replace(release, label_accuracy=told))
    seeds = 60
    real = np.mean([(honest.targets("noise_sym_40", s).labels != truth).mean() for s in range(seeds)])
    assert label_errors(labellings, seeds).by_arm["noise_sym_40"].value == pytest.approx(real, abs=0.02)


def test_nothing_known_is_nothing_said(release_folder: Path) -> None:
    release = open_release(release_folder)
    release.manifest["reference"] = pd.Series([None] * len(release.manifest), dtype=object)
    found = label_errors(prepare(release, ("majority", "consensus")), 2)
    assert (found.by_arm, found.basis) == ({}, "")
