"""What more votes would bring is foretold rightly of crowds whose votes are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from training.arms import Labellings
from training.arms.ballots import Ballots
from training.arms.prepare import prepare
from training.release import open_release
from training.statistics.bootstrap import Estimate
from training.statistics.next_votes import Urns, chance_right, foretell, next_votes

PICTURES, CLASSES = 3000, 4


def crowd(votes: int, seed: int = 0) -> tuple[Ballots, np.ndarray]:
    """Pictures of their own difficulty; wrong votes fall on one neighbour class mostly."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, PICTURES)
    skill = rng.beta(4, 1.6, PICTURES)
    spread = np.full((PICTURES, CLASSES), 0.15) + 0.0
    spread[np.arange(PICTURES), (truth + 1) % CLASSES] = 0.7
    spread[np.arange(PICTURES), truth] = 0
    chance = spread / spread.sum(axis=1, keepdims=True) * (1 - skill)[:, None]
    chance[np.arange(PICTURES), truth] = skill
    draw = rng.random((PICTURES, votes, 1))
    label = (draw > chance.cumsum(axis=1)[:, None, :]).sum(axis=2).clip(0, CLASSES - 1)
    counts = np.stack([(label == c).sum(axis=1) for c in range(CLASSES)], axis=1)
    picture = np.repeat(np.arange(PICTURES), votes)
    return Ballots(picture, label.ravel(), counts, False, np.zeros(PICTURES, dtype=bool)), truth


def test_chance_right_shares_ties() -> None:
    counts = np.array([[2, 1, 0], [1, 1, 0], [1, 1, 1], [0, 3, 1]])
    assert chance_right(counts, np.array([0, 0, 2, 2])) == pytest.approx([1, 1 / 2, 1 / 3, 0])


@pytest.mark.parametrize("shown", [2, 3, 4])
def test_held_back_votes_are_foretold(shown: int) -> None:
    ballots, truth = crowd(shown + 2)
    before = ballots.some(shown, 0)
    urns = Urns.fit(before, truth)
    assert urns is not None
    told = foretell(urns, before, truth, 2).mean(axis=0)
    real = [chance_right(ballots.some(shown + more, 0), truth).mean() for more in (1, 2)]
    assert told == pytest.approx(real, abs=0.012)


def test_one_vote_a_picture_teaches_nothing_of_the_next() -> None:
    ballots, truth = crowd(1)
    assert Urns.fit(ballots.counts, truth) is None


def labellings(release_folder: Path, ballots: Ballots, truth: np.ndarray) -> Labellings:
    """A release's labellings, of other pictures and votes."""
    return dataclasses.replace(
        prepare(open_release(release_folder), ("majority",)), ballots=ballots, reference=truth
    )


def test_the_section_says_figures_with_intervals_and_words(release_folder: Path) -> None:
    cost = Estimate(0.5, 0.4, 0.6, np.random.default_rng(0).normal(0.5, 0.05, 4000))
    found = next_votes(labellings(release_folder, *crowd(3)), cost)
    assert [row["votes"] for row in found["label_accuracy"]] == [1, 2, 3]
    first, second = found["next"]
    assert (first["more"], second["more"]) == (1, 2)
    assert second["label_gain"]["lo"] > 0
    assert second["top1_gain"]["value"] == pytest.approx(0.5 * second["label_gain"]["value"], abs=1e-5)
    assert second["top1_gain"]["lo"] < second["top1_gain"]["value"] < second["top1_gain"]["hi"]
    assert found["check"]["off"]["value"] == pytest.approx(0, abs=0.012)
    assert "Two more on every picture would change that by +" in found["words"]


def test_it_says_when_it_cannot_be_told(release_folder: Path) -> None:
    ballots, truth = crowd(3)
    whole = labellings(release_folder, ballots, truth)
    assert "cost of label error is unknown" in next_votes(whole, None)["words"]
    unsure = Estimate(0.1, -0.2, 0.4, np.random.default_rng(0).normal(0.1, 0.15, 4000))
    assert "whether the model gains cannot be told" in next_votes(whole, unsure)["words"]
    unjudged = labellings(release_folder, ballots, np.full(PICTURES, -1))
    assert "judge them by have only 0 train pictures" in next_votes(unjudged, None)["words"]
    single = labellings(release_folder, *crowd(1))
    assert "cannot be told: every train picture has one vote" in next_votes(single, None)["words"]
