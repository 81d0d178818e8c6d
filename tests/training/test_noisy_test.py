"""Accuracy as unverified test labels would show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.release import Release, open_release
from training.statistics.noisy_test import noisy_test


@pytest.fixture
def release(release_folder: Path) -> Release:
    return open_release(release_folder)


def references(release: Release) -> tuple[list[str], np.ndarray]:
    test = release.split("test")
    return list(test["image"]), test["reference"].map(release.class_index()).to_numpy()


def test_a_perfect_model_looks_as_good_as_the_labels_are(release: Release) -> None:
    images, truth = references(release)
    said = np.tile(truth, (3, 1))
    found = noisy_test(release, images, truth, {"majority": said, "consensus": said})
    assert found["images"] == len(images)
    row = found["arms"]["consensus"]
    assert row["reference"]["value"] == 1
    for name in ("consensus", "one_vote"):
        assert row[name]["value"] == pytest.approx(1 - found["label_error"][name]["value"], abs=1e-6)
        assert found["label_error"][name]["value"] > 0
    assert "worse than by references" in found["words"]
    assert found["contrast"]["reference"] == {"value": 0, "lo": 0, "hi": 0}


def test_a_model_that_repeats_the_voters_errors_is_praised(release: Release) -> None:
    images, truth = references(release)
    table = release.posteriors.sort_values("probability").drop_duplicates("image", keep="last")
    said = table.set_index("image").loc[images, "category"].map(release.class_index()).to_numpy()
    ties = (
        release.posteriors.groupby("image")["probability"].transform("max")
        == release.posteriors["probability"]
    )
    sure = release.posteriors[ties].groupby("image").size().loc[images].to_numpy() == 1
    names = [image for image, one in zip(images, sure, strict=True) if one]
    found = noisy_test(release, names, truth[sure], {"consensus": said[None, sure]})
    row = found["arms"]["consensus"]
    assert row["consensus"]["value"] == 1
    assert row["reference"]["value"] < 1
    assert "better than by references" in found["words"]
    assert found["contrast"] is None


def test_a_test_split_without_votes_shows_nothing_and_says_so(release: Release) -> None:
    images, truth = references(release)
    release.votes.loc[release.votes["image"].isin(images), "label"] = "__none__"
    found = noisy_test(release, images, truth, {"consensus": truth[None]})
    assert (found["images"], found["arms"]) == (0, {})
    assert "too few" in found["words"]
