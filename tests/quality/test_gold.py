"""Gold from settled images, and answers that everyone suddenly knows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.gold import ALL_GOLD, FEWEST_ANSWERS, LEAST_CONFIDENCE, THIRDS, choose_settled, leaks


def settled(images: int, seed: int = 0, labels: str = "abc", sure: float = 0.99) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "image": [f"i{n:04}" for n in range(images)],
            "label": rng.choice(list(labels), images),
            "confidence": np.where(rng.random(images) < 0.9, sure, 0.9),
            "votes": rng.integers(2, 10, images),
        }
    )


def test_chosen_gold_is_balanced_by_class_and_difficulty():
    rows = settled(600).assign(label=lambda f: np.where(np.arange(len(f)) % 6 < 4, "a", f["label"]))
    chosen = choose_settled(rows, 36)
    assert chosen["label"].value_counts().tolist() == [12, 12, 12]  # though "a" is most of what there is
    assert chosen["difficulty"].value_counts().reindex(THIRDS).tolist() == [12, 12, 12]
    assert chosen.groupby("difficulty")["votes"].mean().reindex(THIRDS).is_monotonic_increasing
    assert chosen["image"].is_monotonic_increasing
    assert list(chosen) == ["image", "label", "confidence", "votes", "difficulty"]


def test_a_class_with_too_few_gives_its_places_to_the_others():
    rows = pd.concat([settled(100, labels="ab"), settled(2, 1, labels="c").assign(image=["x", "y"])])
    assert choose_settled(rows.assign(confidence=1.0), 30)["label"].value_counts().to_dict() == {
        "a": 14,
        "b": 14,
        "c": 2,
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(-1, 70), st.integers(0, 9))
def test_choosing_is_deterministic_sure_and_never_too_many(images, wanted, seed):
    rows = settled(images, seed)
    chosen = choose_settled(rows, wanted, seed)
    again = choose_settled(rows.sample(frac=1, random_state=1, ignore_index=True), wanted, seed)
    pd.testing.assert_frame_equal(chosen, again)
    sure = int((rows["confidence"] >= LEAST_CONFIDENCE).sum())
    assert len(chosen) == max(min(wanted, sure), 0)
    assert chosen["image"].is_unique
    assert (chosen["confidence"] >= LEAST_CONFIDENCE).all()


def test_another_seed_takes_other_images():
    rows = settled(600)
    first, second = (set(choose_settled(rows, 30, seed)["image"]) for seed in (1, 2))
    assert len(first & second) < 10


def campaign(seed: int, *, workers=30, items=12, learn=0.0, together=False, told=0.7, leaked=(), **more):
    """Votes in order of time: 60 a worker, one in five on gold; skills and items differ.

    `learn`: what a beginner's share right is lower by. `leaked`: items whose answer 9 of 10 know from 0.9 on.
    """
    rng = np.random.default_rng(seed)
    skill, harder = rng.uniform(0.6, 0.9, workers), rng.uniform(-0.1, 0.15, items)
    begins = np.zeros(workers) if together else rng.random(workers)
    rows = []
    for worker in range(workers):
        at = set(rng.permutation(60)[:items].tolist())
        order = iter(rng.permutation(items).tolist())
        for nth, when in enumerate((begins[worker] + np.sort(rng.random(60))).tolist()):
            chance = skill[worker] - learn * np.exp(-nth / 12)
            seconds = np.exp(rng.normal(1.5 + learn * np.exp(-nth / 12), 0.4))
            if nth not in at:
                right = float(rng.random() < chance) if rng.random() < told else np.nan
                rows.append((when, f"plain {rng.integers(900)}", worker, right, False, seconds))
                continue
            item = next(order)
            known = item in leaked and when > 0.9 and rng.random() < 0.9
            if known:
                seconds *= more.get("quicker", 1.0)
            right = float(rng.random() < (0.99 if known else np.clip(chance - harder[item], 0.05, 0.97)))
            rows.append((when, f"gold {item}", worker, right, True, seconds))
    frame = pd.DataFrame(rows, columns=["when", "task", "worker", "right", "gold", "seconds"])
    return frame.sort_values("when", ignore_index=True).drop(columns="when")


@pytest.mark.parametrize(
    "crowd",
    [{}, {"learn": 0.35}, {"learn": 0.35, "together": True}, {"learn": 0.35, "together": True, "told": 0}],
    ids=["steady", "learning", "learning together", "nothing else known"],
)
def test_honest_crowds_are_not_alarmed_about_even_when_they_learn_fast(crowd):
    alarms = sum(bool(leaks(campaign(seed, **crowd))) for seed in range(12))
    assert alarms <= 1  # 0.1 are to be expected


def test_a_leaked_item_is_found_and_no_other_named():
    found = [leaks(campaign(seed, workers=240, leaked=(0, 1)).drop(columns="seconds")) for seed in range(3)]
    named = [{leak.task for leak in told} for told in found]
    assert sum(len(names & {"gold 0", "gold 1"}) for names in named) >= 4
    assert not set().union(*named) - {"gold 0", "gold 1", ALL_GOLD}
    one = next(leak for told in found for leak in told if leak.task == "gold 0")
    assert one.kind == "answers"
    assert one.after > one.before
    assert one.p <= 0.01
    assert f"since answer {one.since + 1} of {one.answers}" in one.evidence


def test_all_gold_leaking_at_once_is_found():
    found = [leaks(campaign(seed, workers=60, leaked=range(12))) for seed in range(4)]
    assert sum(ALL_GOLD in {leak.task for leak in told} for told in found) == 4


def test_a_leak_shows_in_the_time_taken_too():
    told = leaks(campaign(3, workers=120, leaked=(4,), quicker=0.3))
    assert ("gold 4", "speed") in {(leak.task, leak.kind) for leak in told}


def test_too_few_answers_and_no_gold_say_nothing():
    frame = campaign(1, workers=FEWEST_ANSWERS - 1)
    assert {leak.task for leak in leaks(frame)} <= {ALL_GOLD}
    assert leaks(frame[~frame["gold"]]) == []
    assert leaks(frame.head(0)) == []
    assert leaks(frame.assign(right=np.nan)) == []


def test_many_items_do_not_make_alarms():
    """Holm: with 200 items, the smallest of 200 p-values is no news."""
    rng = np.random.default_rng(8)
    worker = np.tile(np.arange(40), 200)
    task = np.repeat([f"gold {n}" for n in range(200)], 40)
    frame = pd.DataFrame({"task": task, "worker": worker, "right": rng.random(8000) < 0.8, "gold": True})
    assert leaks(frame.assign(right=frame["right"].astype(float))) == []
