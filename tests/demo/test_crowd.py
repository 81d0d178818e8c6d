"""The answer model: as good as promised, alike in its mistakes, the same in any order."""

import random
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from demo.crowd import (
    CATEGORIES,
    CROWD_SIZES,
    KINDS,
    UNSURE,
    answer,
    confusion_row,
    difficulty,
    make_crowd,
)
from demo.plan import NONE, pick, read_labels

CHOICES = [*CATEGORIES, NONE, UNSURE]
SEED = 7


@pytest.fixture(scope="module")
def truth():
    return pick(read_labels(), 700)


@pytest.fixture(scope="module")
def answers(truth):
    return {
        (worker.name, photo): answer(worker, photo, label, CHOICES, SEED)[0]
        for worker in make_crowd(SEED)
        for photo, label in truth.items()
    }


def accuracy(answers, truth, names):
    said = [answers[name, photo] == label for name in names for photo, label in truth.items()]
    return sum(said) / len(said)


def test_the_crowd_has_its_thirty_workers():
    crowd = make_crowd(SEED)
    assert Counter(worker.kind for worker in crowd) == CROWD_SIZES
    assert len(crowd) == len({worker.name for worker in crowd}) == 30
    assert crowd == make_crowd(SEED)


def test_a_single_vote_is_right_as_often_as_in_a_real_crowd(answers, truth):
    everybody = [worker.name for worker in make_crowd(SEED)]
    assert 0.70 <= accuracy(answers, truth, everybody) <= 0.78


def test_experts_beat_the_average_and_clickers_know_nothing(answers, truth):
    by_kind = defaultdict(list)
    for worker in make_crowd(SEED):
        by_kind[worker.kind].append(worker.name)
    right = {kind: accuracy(answers, truth, names) for kind, names in by_kind.items()}
    assert right["expert"] > right["average"] + 0.02 > right["sloppy"] + 0.06
    assert right["clicker"] < 0.15
    assert right["constant"] < 0.15


def test_mistakes_coincide_more_than_independent_ones_would(answers, truth):
    """Of two workers who both err, how often do they err alike? Compared with partners from another photo."""
    names = [worker.name for worker in make_crowd(SEED) if worker.kind == "average"]
    rng = random.Random(1)
    by_label = defaultdict(list)
    for photo, label in truth.items():
        by_label[label].append(photo)
    alike = apart = both = shuffled = 0
    for one, two in combinations(names, 2):
        for photos in by_label.values():
            others = rng.sample(photos, len(photos))
            for photo, other in zip(photos, others, strict=True):
                label = truth[photo]
                a, b, c = answers[one, photo], answers[two, photo], answers[two, other]
                if label not in (a, b) and UNSURE not in (a, b):
                    both += 1
                    alike += a == b
                if label not in (a, c) and UNSURE not in (a, c):
                    shuffled += 1
                    apart += a == c
    assert alike / both > apart / shuffled + 0.1
    assert both > 1.3 * shuffled  # the same photos are hard for both


def test_the_order_of_work_changes_nothing(truth):
    crowd = make_crowd(SEED)
    pairs = [(worker, photo) for worker in crowd[:5] for photo in list(truth)[:20]]
    forwards = {(w.name, p): answer(w, p, truth[p], CHOICES, SEED) for w, p in pairs}
    backwards = {(w.name, p): answer(w, p, truth[p], CHOICES, SEED) for w, p in reversed(pairs)}
    assert forwards == backwards
    other = {(w.name, p): answer(w, p, truth[p], CHOICES, SEED + 1) for w, p in pairs}
    assert other != forwards


def test_answers_are_choices_and_take_time(truth):
    few = ["dress", "skirt"]
    for worker in make_crowd(SEED):
        for photo in list(truth)[:10]:
            label, seconds = answer(worker, photo, truth[photo], few, SEED)
            assert label in few
            assert seconds > 0
    with pytest.raises(ValueError, match="choice"):
        answer(make_crowd(SEED)[0], "p", "dress", [], SEED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", [*CATEGORIES, NONE])
def test_a_confusion_row_is_a_distribution_over_the_wrong_answers(kind, label):
    row = confusion_row(kind, label)
    assert sum(row.values()) == pytest.approx(1)
    assert label not in row
    assert min(row.values()) >= 0


def test_difficulty_is_a_fraction_and_noise_is_harder():
    plain = [difficulty(f"p{i}", "dress", SEED) for i in range(500)]
    noise = [difficulty(f"p{i}", NONE, SEED) for i in range(500)]
    assert 0 <= min(plain) <= max(noise) <= 1
    assert sum(noise) > sum(plain)
