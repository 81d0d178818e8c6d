"""Labellings are exactly what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.arms import ArmError
from training.arms.ballots import majority, one_vote, read_ballots
from training.arms.noise import crowd_mistakes, crowd_noise, symmetric_noise
from training.arms.prepare import default_arms, prepare
from training.arms.subsets import class_wise_control, random_part
from training.release import Release, open_release


@pytest.fixture
def release(release_folder: Path) -> Release:
    """A fresh copy in memory, to change."""
    return open_release(release_folder)


def replace(release: Release, **tables: pd.DataFrame) -> None:
    """Put other tables into a release."""
    for name, table in tables.items():
        object.__setattr__(release, name, table)


def timed(release: Release, seed: int = 0) -> None:
    """Give every vote a time, in an order of its own on each picture."""
    order = np.random.default_rng(seed).permutation(len(release.votes))
    release.votes["created"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(order, unit="s")


def more_votes(release: Release, images: list[str], votes: int, audit: bool) -> None:
    """`votes` further right votes on some pictures."""
    truth = release.manifest.set_index("image")["reference"]
    rows = [
        {"image": image, "worker": f"late{number}", "label": truth[image], "audit": audit}
        for image in images
        for number in range(votes)
    ]
    release.votes.loc[release.votes["image"].isin(images), "audit"] = audit
    frame = pd.concat([release.votes, pd.DataFrame(rows)], ignore_index=True)
    replace(release, votes=frame)


# --- from votes to labels -------------------------------------------------------------------------------


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
    assert read_ballots(votes, ["i", "j"], ["a", "b"]).counts.tolist() == [[0, 1], [1, 0]]


def test_first_votes_go_by_time_and_by_nothing_else() -> None:
    votes = pd.DataFrame(
        [
            ("i", "w1", "b", 30),
            ("i", "w2", "a", 10),
            ("j", "w1", "a", 5),
            ("i", "w3", "b", 20),
            ("j", "w2", "b", 6),
        ],
        columns=["image", "worker", "label", "created"],
    )
    votes["created"] = pd.to_datetime(votes["created"], unit="s", utc=True)
    ballots = read_ballots(votes, ["i", "j"], ["a", "b"])
    assert ballots.timed
    assert ballots.first(1, 0).tolist() == ballots.first(1, 9).tolist() == [[1, 0], [1, 0]]
    assert ballots.first(2, 0).tolist() == [[1, 1], [1, 1]]
    assert ballots.first(3, 0).tolist() == ballots.counts.tolist() == [[1, 2], [1, 1]]


def test_first_votes_without_times_are_drawn_by_seed() -> None:
    votes = pd.DataFrame(
        [(f"{n:03}", f"w{w}", "ab"[w > 0]) for n in range(300) for w in range(3)],
        columns=["image", "worker", "label"],
    )
    ballots = read_ballots(votes, [f"{n:03}" for n in range(300)], ["a", "b"])
    assert not ballots.timed
    assert ballots.first(1, 0)[:, 0].mean() == pytest.approx(1 / 3, abs=0.08)
    assert (ballots.first(1, 0) == ballots.first(1, 0)).all()
    assert (ballots.first(1, 0) != ballots.first(1, 1)).any()


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_some_votes_are_votes_that_were_given(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    votes = pd.DataFrame(
        {
            "image": rng.integers(0, 8, 40).astype(str),
            "worker": np.arange(40).astype(str),
            "label": rng.choice(["a", "b", "c", "__none__"], 40),
        }
    )
    ballots = read_ballots(votes, [str(n) for n in range(8)], ["a", "b", "c"])
    some = ballots.some(k, seed)
    assert (some <= ballots.counts).all()
    assert (some.sum(axis=1) == np.minimum(ballots.given, k)).all()
    rows = np.array([1, 4, 5])
    assert (ballots.take(rows).counts == ballots.counts[rows]).all()
    assert (ballots.take(rows).some(99, seed) == ballots.counts[rows]).all()


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


# --- noise and subsets ----------------------------------------------------------------------------------


def test_noise_never_draws_the_true_class_and_nests() -> None:
    base = np.arange(6000) % 3
    low, high = (symmetric_noise(base, rate, 3, 1) for rate in (0.1, 0.4))
    assert (high != base).mean() == pytest.approx(0.4, abs=0.02)
    assert (symmetric_noise(base, 1.0, 3, 1) != base).all()
    changed = low != base
    assert (low[changed] == high[changed]).all()


def test_the_crowds_noise_errs_as_the_crowd_does() -> None:
    base = np.repeat([0, 1, 2], 4000)
    counts = np.zeros((12000, 3), dtype=np.int64)
    counts[np.arange(12000), base] = 3
    counts[:3000, 1] += 3  # the first class is taken for the second, three times of four; else for the third
    counts[3000:4000, 2] += 3
    mistakes = crowd_mistakes(counts, base, 3)
    assert np.diag(mistakes).tolist() == [0, 0, 0]
    assert mistakes.sum(axis=1) == pytest.approx(1.0)
    assert mistakes[0] == pytest.approx([0, 0.75, 0.25], abs=0.01)
    assert mistakes[1] == pytest.approx([0.5, 0, 0.5])  # nothing is known: evenly
    noisy = crowd_noise(base, 0.4, mistakes, 1)
    wrong = noisy[(base == 0) & (noisy != base)]
    assert (noisy != base).mean() == pytest.approx(0.4, abs=0.02)
    assert (wrong == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert (crowd_noise(base, 1.0, mistakes, 1) != base).all()
    # Both kinds hit the same pictures.
    assert ((symmetric_noise(base, 0.4, 3, 1) != base) == (noisy != base)).all()


@given(st.integers(0, 10_000))
def test_the_control_drops_as_many_of_each_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, dropped = rng.integers(0, 4, 60), rng.random(60) < 0.3
    kept = class_wise_control(labels, dropped, seed)
    assert (
        np.bincount(labels[~kept], minlength=4).tolist() == np.bincount(labels[dropped], minlength=4).tolist()
    )


def test_the_control_and_the_part_are_drawn_anew_by_seed() -> None:
    labels, dropped = np.zeros(200, dtype=np.int64), np.arange(200) < 50
    kept = [class_wise_control(labels, dropped, seed) for seed in range(200)]
    assert (np.mean(kept, axis=0) > 0.6).all()  # every picture is dropped as often as any other
    assert len(random_part(90, 30, 0)) == len(set(random_part(90, 30, 0).tolist())) == 30
    assert (random_part(90, 30, 0) != random_part(90, 30, 1)).any()


# --- the arms of a release ------------------------------------------------------------------------------


def test_arms_of_a_release(release: Release) -> None:
    arms = ("one_vote", "majority", "dawid_skene", "consensus", "soft_posterior", "soft_votes", "reference")
    labellings = prepare(release, (*arms, "noise_sym_20", "noise_crowd_20"))
    train = release.split("train").set_index("image").loc[list(labellings.images)]
    consensus = labellings.targets("consensus", 0).labels
    assert [release.classes[i] for i in consensus] == train["category"].tolist()
    assert (labellings.targets("reference", 0).labels == labellings.reference).all()
    for arm in ("soft_posterior", "soft_votes"):
        soft = labellings.targets(arm, 0).soft
        assert soft is not None
        assert soft.sum(axis=1) == pytest.approx(1.0)
    # The release's posteriors are shares of votes.
    assert soft == pytest.approx(labellings.targets("soft_posterior", 0).soft, abs=1e-6)
    assert labellings.targets("dawid_skene", 0).labels.min() >= 0
    assert labellings.base_name == "reference"
    assert (labellings.targets("noise_crowd_20", 1).labels != labellings.base).any()


def test_majority_of_the_first_votes(release: Release) -> None:
    timed(release)
    labellings = prepare(release, ("majority", "majority_k1", "majority_k3"))
    votes = release.votes.sort_values("created").drop_duplicates("image").set_index("image")["label"]
    first = [release.classes[c] for c in labellings.targets("majority_k1", 7).labels]
    assert first == votes.loc[list(labellings.images)].tolist()
    # Every picture has three votes.
    assert (labellings.targets("majority_k3", 2).labels == labellings.targets("majority", 2).labels).all()
    assert not any("carry no time" in line for line in labellings.warnings)
    untimed = prepare(open_release(release.path), ("majority_k1",))
    assert any("carry no time" in line for line in untimed.warnings)


def test_more_votes_than_every_picture_has_are_judged_on_the_audit_share_alone(release: Release) -> None:
    train = release.split("train")
    audited = list(train.groupby("category")["image"].head(5))
    more_votes(release, audited, 2, audit=True)
    labellings = prepare(release, ("majority", "consensus", "majority_k2", "majority_k5"))
    assert labellings.arms == (
        "majority",
        "consensus",
        "majority_k2",
        "audit_majority_k3",
        "audit_majority_k5",
    )
    targets = labellings.targets("audit_majority_k5", 0)
    assert targets.rows is not None
    assert sorted(labellings.images[row] for row in targets.rows) == sorted(audited)
    assert labellings.targets("majority_k2", 0).rows is None
    assert any("majority_k5" in line and "audit" in line for line in labellings.warnings)


def test_more_votes_on_hard_pictures_are_no_audit(release: Release) -> None:
    hard = list(release.split("train").groupby("category")["image"].head(5))
    more_votes(release, hard, 2, audit=False)
    with pytest.raises(ArmError, match=r"majority_k5: every train picture has 3 .* no random audit share"):
        prepare(release, ("majority", "majority_k5"))


def test_an_audit_share_without_a_class_or_with_too_few_votes_is_refused(release: Release) -> None:
    train = release.split("train")
    more_votes(release, list(train[train["category"] != "disc"]["image"][:8]), 2, audit=True)
    with pytest.raises(ArmError, match="no picture of disc"):
        prepare(release, ("majority", "majority_k5"))
    with pytest.raises(ArmError, match=r"majority_k9: .*only 0 of 8 pictures"):
        prepare(release, ("majority", "majority_k9"))


def test_confident_drops_what_is_below_the_threshold_and_says_so(release: Release) -> None:
    train = (release.manifest["split"] == "train").to_numpy()
    release.manifest["confidence"] = np.where(np.arange(len(release.manifest)) % 4 == 0, 0.6, 0.95)
    labellings = prepare(release, ("consensus", "confident"), confidence=0.9)
    rows = labellings.targets("confident", 0).rows
    assert rows is not None
    low = int((release.manifest["confidence"][train] < 0.9).sum())
    assert len(rows) == len(labellings.images) - low
    assert any(f"{low} of" in line and "0.9" in line for line in labellings.warnings)
    assert len(prepare(release, ("confident",), confidence=0.5).targets("confident", 0).rows) == train.sum()


def test_confident_that_empties_a_class_is_refused_or_left_out(release: Release) -> None:
    release.manifest["confidence"] = np.where(release.manifest["category"] == "disc", 0.5, 0.95)
    with pytest.raises(ArmError, match=r"no train picture of disc has a confidence of 0.9 .*--confidence"):
        prepare(release, ("consensus", "confident"))
    arms, warnings = default_arms(release, ("consensus", "confident"))
    assert arms == ["consensus"]
    assert any("confident left out" in line for line in warnings)


def test_cleaned_and_its_control(release: Release) -> None:
    labellings = prepare(release, ("consensus", "cleaned", "cleaned_control"))
    flagged = np.arange(len(labellings.images)) % 5 == 0
    cleaned = labellings.with_flagged(flagged, lenient=False)
    rows, control = (cleaned.targets(arm, 0).rows for arm in ("cleaned", "cleaned_control"))
    assert rows is not None
    assert control is not None
    assert rows.tolist() == np.flatnonzero(~flagged).tolist()
    assert len(control) == len(rows)
    assert control.tolist() != rows.tolist()
    labels = cleaned.targets("consensus", 0).labels
    assert np.bincount(labels[rows]).tolist() == np.bincount(labels[control]).tolist()
    emptied = labels == 1
    with pytest.raises(ArmError, match=f"cleaned leaves no train picture of {release.classes[1]}"):
        labellings.with_flagged(emptied, lenient=False)
    assert labellings.with_flagged(emptied, lenient=True).arms == ("consensus",)


def test_equal_budgets(release: Release) -> None:
    labellings = prepare(release, ("budget_1", "budget_3"))
    one, three = labellings.targets("budget_1", 0), labellings.targets("budget_3", 0)
    assert one.rows is None
    assert three.rows is not None
    assert len(three.rows) == len(labellings.images) // 3
    known = labellings.reference >= 0
    assert (three.labels[known] != labellings.reference[known]).mean() < (
        one.labels[known] != labellings.reference[known]
    ).mean()
    replace(release, votes=release.votes[release.votes["worker"] != "w2"])
    with pytest.raises(ArmError, match=r"budget_3: it needs three usable votes .* some have 2"):
        prepare(release, ("budget_1", "budget_3"))


def test_a_drop_that_leaves_a_class_out_is_refused_before_training(release: Release) -> None:
    train = release.split("train")
    rare = list(train[train["category"] == "disc"]["image"][1:])
    replace(release, manifest=release.manifest[~release.manifest["image"].isin(rare)])
    labellings = prepare(release, ("majority", "budget_3"))
    with pytest.raises(ArmError, match="budget_3 has no train picture of disc under seed"):
        labellings.check(5)
    prepare(release, ("consensus", "reference")).check(5)


def test_all_arms_that_a_release_can_give(release: Release) -> None:
    arms, warnings = default_arms(release, ("all",))
    assert {"majority_k1", "majority_k2", "majority_k3", "cleaned", "noise_crowd_40", "budget_3"} <= set(arms)
    assert "majority_kN" not in arms
    assert not warnings
    prepare(release, arms)


def test_a_release_without_votes_gives_what_needs_none(release: Release) -> None:
    replace(release, votes=release.votes.iloc[:0])
    arms, warnings = default_arms(release, ("all",))
    assert {"consensus", "reference", "noise_sym_10", "soft_posterior", "cleaned"} <= set(arms)
    assert not {"one_vote", "majority", "soft_votes", "budget_1", "noise_crowd_10", "dawid_skene"} & set(arms)
    assert any("noise_crowd_10, noise_crowd_20, noise_crowd_40 left out" in line for line in warnings)
    assert any(line.endswith("left out: no train picture has a usable vote") for line in warnings)
    for arm in ("majority", "soft_votes", "dawid_skene", "majority_k1", "noise_crowd_20", "budget_3"):
        with pytest.raises(ArmError, match=arm):
            prepare(release, ("consensus", arm))


def test_pictures_without_a_usable_vote_leave_every_arm(release: Release) -> None:
    first = release.split("train")["image"].iloc[0]
    release.votes.loc[release.votes["image"] == first, "label"] = "__none__"
    labellings = prepare(release, ("majority", "consensus"))
    assert first not in labellings.images
    assert len(labellings.targets("consensus", 0).labels) == len(labellings.images)
    assert any("1 of" in line and "majority" in line for line in labellings.warnings)
    assert first in prepare(release, ("consensus",)).images


def test_an_arm_without_any_label_is_refused(release: Release) -> None:
    release.manifest["reference"] = None
    with pytest.raises(ArmError, match="reference"):
        prepare(release, ("reference",))
    with pytest.raises(ArmError, match=r"unknown arm 'majority_k0'"):
        prepare(release, ("majority_k0",))
