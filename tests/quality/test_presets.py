"""The number of agreeing votes that each category needs, as ImageNet found it from a first sample."""

import numpy as np
import pandas as pd
import pytest

from quality.presets import SAMPLE_VOTES, votes_needed


def sample(category: str, right: float, tasks: int = 60, seed: int = 0, votes: int = SAMPLE_VOTES):
    """Votes on pictures of one category: the share `right` say it, the others the same wrong thing."""
    rng = np.random.default_rng(seed)
    rows = []
    for task in range(tasks):
        said = np.where(rng.random(votes) < right, category, "other")
        rows += [(f"{category}-{task}", label) for label in said]
    return pd.DataFrame(rows, columns=["task", "label"])


def test_hard_categories_need_more_agreeing_votes_than_easy_ones():
    frame = pd.concat([sample("easy", 0.99), sample("hard", 0.75)])
    category_of = {task: task.partition("-")[0] for task in frame["task"]}
    needed = votes_needed(frame, 0.97, category_of)
    assert needed.sample == 120
    assert needed.by_category["easy"] < needed.by_category["hard"]
    assert needed.by_category["easy"] <= needed.usual <= needed.by_category["hard"]


def test_by_hand():
    """One category, pictures with 8 of 10 right votes: one vote is right in 80%, two alike in 28 of 29."""
    rows = [(f"t{task}", "a" if vote < 8 else "b") for task in range(200) for vote in range(10)]
    frame = pd.DataFrame(rows, columns=["task", "label"])
    category_of = {f"t{task}": "a" for task in range(200)}
    assert votes_needed(frame, 0.79, category_of).by_category == {"a": 1}
    assert votes_needed(frame, 0.9, category_of).by_category == {"a": 2}
    assert votes_needed(frame, 0.96, category_of).by_category == {"a": 2}  # 28 / 29 = 0.9655
    assert votes_needed(frame, 0.97, category_of).by_category == {"a": 3}


def test_each_category_may_have_a_wish_of_its_own():
    rows = [(f"{c}{task}", c if vote < 8 else "z") for c in "ab" for task in range(200) for vote in range(10)]
    frame = pd.DataFrame(rows, columns=["task", "label"])
    category_of = {task: task[0] for task in frame["task"]}
    needed = votes_needed(frame, 0.9, category_of, special={"b": 0.97})
    assert needed.by_category == {"a": 2, "b": 3}


def test_more_certainty_never_needs_fewer_votes():
    frame = sample("cat", 0.85)
    found = [votes_needed(frame, wanted).usual for wanted in (0.7, 0.8, 0.9, 0.95, 0.99, 0.999)]
    assert found == sorted(found)


def test_without_a_sample_all_the_votes_are_needed():
    for frame in (sample("cat", 0.9, votes=SAMPLE_VOTES - 1), sample("cat", 0.9, tasks=0)):
        needed = votes_needed(frame, 0.9)
        assert (needed.usual, needed.sample, needed.by_category) == (SAMPLE_VOTES, 0, {})
    assert votes_needed(sample("cat", 0.9, tasks=0), 0.9).of(np.array(["cat", None], object)).tolist() == [
        10,
        10,
    ]


def test_rows_in_another_order_change_nothing():
    frame = pd.concat([sample("easy", 0.99, 20), sample("hard", 0.7, 20)])
    again = frame.sample(frac=1.0, random_state=4)
    assert votes_needed(frame, 0.95) == votes_needed(again, 0.95)


@pytest.mark.parametrize("few", [1, 3])
def test_a_category_with_few_pictures_leans_on_the_others(few):
    frame = pd.concat([sample("easy", 0.99, 100), sample("rare", 0.5, few, seed=5)])
    category_of = {task: task.partition("-")[0] for task in frame["task"]}
    needed = votes_needed(frame, 0.9, category_of)
    assert needed.by_category["rare"] <= 4  # alone it would say 10
