"""Flags: who is found, by when, and that honest workers are left alone however often one looks."""

import numpy as np
import pandas as pd
import pytest

from quality.aggregation import aggregate
from quality.flags import Flag
from quality.policy import Action, propose

SLUGS = ["random", "constant", "copying", "too_fast", "even_pace"]


def campaign(
    seed: int, labels: int = 6, workers: int = 40, votes: int = 60, per_task: int = 5
) -> pd.DataFrame:
    """Honest workers, from experts to sloppy; a third of the images is hard for everyone, and misleads."""
    rng = np.random.default_rng(seed)
    worker = np.concatenate([rng.permutation(workers) for _ in range(votes)])
    task = np.repeat(np.arange(len(worker) // per_task), per_task)
    worker = worker[: len(task)]
    truth = rng.integers(0, labels, task.max() + 1)
    decoy = (truth + 1 + rng.integers(0, labels - 1, len(truth))) % labels
    hard = np.where(rng.random(len(truth)) < 1 / 3, rng.uniform(0.3, 1, len(truth)), 0.05)
    skill = rng.uniform(0.55, 0.98, workers)
    right = rng.random(len(task)) < 1 / labels + (skill[worker] - 1 / labels) * (1 - hard[task])
    elsewhere = np.where(rng.random(len(task)) < 0.5, decoy[task], rng.integers(0, labels, len(task)))
    frame = pd.DataFrame({"task": task, "worker": worker, "label": np.where(right, truth[task], elsewhere)})
    return (
        frame.sample(frac=1, random_state=seed, ignore_index=True)
        .astype(str)
        .assign(truth=lambda f: truth[f["task"].astype(int)].astype(str))
    )


def flags_of(frame: pd.DataFrame, **more) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for flag in aggregate(frame, "majority", **more).flags:
        assert isinstance(flag, Flag)
        assert flag.slug in SLUGS
        assert any(c.isdigit() for c in flag.evidence)
        found.setdefault(flag.worker, set()).add(flag.slug)
    return found


@pytest.mark.parametrize("labels", [2, 6, 100])
def test_a_fifth_of_spammers_is_found_by_their_40th_vote_8_of_them_gold(labels):
    rng = np.random.default_rng(labels)
    hits, planted = 0, 0
    for seed in range(3):
        frame = campaign(seed, labels, votes=40)
        for w in range(8):
            mine = (frame["worker"] == str(w)).to_numpy()
            blind = rng.integers(0, labels, mine.sum()) if w % 2 else np.full(mine.sum(), w % labels)
            frame.loc[mine, "label"] = blind.astype(str)
        gold = frame[frame["worker"].isin([str(w) for w in range(8)])].groupby("worker").head(8)
        found = flags_of(frame, gold=gold.assign(label=gold["truth"])[["task", "label"]].drop_duplicates())
        expected = {str(w): {"random" if w % 2 else "constant"} for w in range(8)}
        planted += len(expected)
        hits += sum(found.get(w, set()) == kind for w, kind in expected.items())
        assert len(set(found) - set(expected)) <= 1
    # Two labels carry little: a uniform answer is half right.
    assert hits >= (0.5 if labels == 2 else 0.9) * planted


@pytest.mark.parametrize("labels", [2, 6])
def test_honest_workers_are_hardly_ever_flagged_looking_again_and_again(labels):
    ever, people = 0, 0
    for seed in range(4):
        frame = campaign(100 + seed, labels, votes=120)
        nth = frame.groupby("worker").cumcount() + 1
        flagged: set[str] = set()
        for votes in (10, 15, 20, 30, 45, 70, 120):
            flagged |= set(flags_of(frame[nth <= votes]))
        ever, people = ever + len(flagged), people + 40
    assert ever <= 0.02 * people


def test_a_copying_pair_is_named_once_it_shares_50_tasks():
    frame = campaign(5, votes=120, per_task=6)
    mine = frame[frame["worker"] == "7"].head(50)
    copied = pd.concat([frame, mine.assign(worker="copy")])
    assert flags_of(frame) == {}
    assert flags_of(copied) == {"7": {"copying"}, "copy": {"copying"}}
    (told,) = [f.evidence for f in aggregate(copied, "majority").flags if f.worker == "copy"]
    assert told.startswith("gave 50 of 50 answers like 7")
    assert flags_of(pd.concat([frame, mine.head(49).assign(worker="copy")])) == {}


def test_speed_alone_is_no_evidence():
    frame = campaign(3, votes=60)
    rng = np.random.default_rng(3)
    frame["seconds"] = 5 * np.exp(rng.normal(0, 0.5, len(frame)))
    fast = frame["worker"].isin(["1", "2"])
    frame.loc[fast, "seconds"] /= 8
    assert flags_of(frame) == {}
    blind = frame["worker"] == "2"
    frame.loc[blind, "label"] = rng.integers(0, 6, blind.sum()).astype(str)
    assert flags_of(frame) == {"2": {"random", "too_fast"}}


@pytest.mark.parametrize("column", ["seconds", "created"])
def test_an_even_pace_is_no_persons(column):
    frame = campaign(4, votes=60)
    rng = np.random.default_rng(4)
    seconds = 4 * np.exp(rng.normal(0, 0.5, len(frame)))
    bot = (frame["worker"] == "9").to_numpy()
    seconds[bot] = 3 * (1 + rng.normal(0, 0.03, bot.sum()))
    frame["seconds"] = seconds
    if column == "created":
        moment = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(
            frame.groupby("worker")["seconds"].cumsum(), unit="s"
        )
        frame = frame.drop(columns="seconds").assign(created=moment)
    assert flags_of(frame) == {"9": {"even_pace"}}
    if column == "seconds":  # a whole crowd of even paces was not timed one by one
        assert flags_of(frame.assign(seconds=1.5)) == {}


def test_order_and_names_of_labels_and_workers_do_not_matter():
    frame = campaign(6, votes=40)
    mine = frame["worker"] == "3"
    frame.loc[mine, "label"] = "4"
    found = flags_of(frame)
    assert found == {"3": {"constant"}}
    other = frame.sample(frac=1, random_state=1).assign(
        label=lambda f: "x" + f["label"].map(lambda t: str(9 - int(t)))
    )
    assert flags_of(other) == found


def test_nothing_to_compare_flags_nobody():
    alone = pd.DataFrame({"task": range(50), "worker": "a", "label": "cat"})
    assert flags_of(alone) == {}
    assert flags_of(alone.assign(label=["cat", "dog"] * 25)) == {}
    assert flags_of(alone.head(0)) == {}


def test_a_policy_proposes_and_steps_up():
    flags = [Flag("b", "too_fast", "takes 1 s"), Flag("a", "random", "30%"), Flag("a", "even_pace", "3%")]
    first = propose(flags)
    assert [(p.worker, p.action) for p in first] == [("a", Action.SUSPEND), ("b", Action.WARN)]
    assert first[0].reasons == ("random: 30%", "even_pace: 3%")
    again = propose(flags, {"a": ["suspend"], "b": ["warn"]})
    assert [p.action for p in again] == [Action.VOID, Action.RETRAIN]
    assert propose(flags, {"a": ["suspend", "void"]})[0].action == Action.VOID
    assert propose([Flag("c", "unheard_of", "?")])[0].action == Action.WARN
