"""The stopping rule's own model: what may never happen, and what it must tell apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.aggregation import risk as model
from quality.aggregation.risk import Layout, assess, posterior_of
from quality.aggregation.votes import Votes, clean_votes
from quality.gain import Lead, gain, needed, outlook, stated

ROWS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 6), st.sampled_from("abcd")), min_size=2, max_size=60
)


def votes_of(rows: list, gold: dict[str, str] | None = None) -> Votes:
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"]).astype(str)
    known = pd.DataFrame(list((gold or {}).items()), columns=["task", "label"]) if gold else None
    return clean_votes(frame, known, labels="abcd")


def planted(spam: float = 0.0, tasks: int = 400, each: int = 5, seed: int = 3) -> tuple[Votes, np.ndarray]:
    """A crowd right 93% of the time, but half on every tenth task; some answer at random."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, tasks)
    blind = rng.random(60) < spam
    rows = []
    for task in range(tasks):
        for worker in rng.choice(60, each, replace=False):
            right = rng.random() < (0.5 if task % 10 == 0 else 0.93)
            label = truth[task] if right else (truth[task] + 1) % 4
            rows.append((f"{task:04}", worker, "abcd"[rng.integers(4) if blind[worker] else label]))
    return votes_of(rows), truth


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 7), st.sampled_from("abcd"), st.floats(0.05, 1.0))
def test_one_more_agreeing_vote_never_lowers_confidence_at_a_fixed_crowd(rows, task, label, weight):
    votes = votes_of([*rows, (task, 99, label)])
    risk = assess(votes)
    layout = Layout.of(votes)
    position = int(np.flatnonzero(votes.tasks == str(task))[0])
    cell = np.flatnonzero((votes.cells.task == position) & (votes.labels[votes.cells.label] == label))[0]
    more = risk.counts.copy()
    more[cell] += weight
    after = posterior_of(layout, risk.crowd, more)
    assert after.prob[cell] >= risk.posterior.prob[cell] - 1e-9


@settings(max_examples=40, deadline=None)
@given(ROWS, st.permutations("abcd"), st.randoms(use_true_random=False))
def test_other_names_and_another_order_of_rows_change_nothing(rows, names, random):
    rows = list({(task, worker): (task, worker, label) for task, worker, label in rows}.values())
    new_name = dict(zip("abcd", names, strict=True))
    other = [(task, worker, new_name[label]) for task, worker, label in rows]
    random.shuffle(other)
    before, after = (assess(votes_of(some)) for some in (rows, other))
    probs = []
    for risk, back in (
        (before, {x: x for x in "abcd"}),
        (after, {new: old for old, new in new_name.items()}),
    ):
        cells, votes = risk.layout.votes.cells, risk.layout.votes
        keys = [(votes.tasks[t], back[votes.labels[k]]) for t, k in zip(cells.task, cells.label, strict=True)]
        probs.append(dict(zip(keys, risk.posterior.prob, strict=True)))
    assert probs[0].keys() == probs[1].keys()
    assert np.allclose([probs[0][key] for key in probs[0]], [probs[1][key] for key in probs[0]], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from("abcd"))
def test_gold_is_never_contradicted(rows, answer):
    task = str(rows[0][0])
    votes = votes_of(rows, {task: answer})
    code = np.where(votes.gold >= 0, votes.gold, -1)
    ahead = outlook(votes, code, 0.95)
    position = int(np.flatnonzero(votes.tasks == task)[0])
    assert ahead.confidence[position] == 1.0
    assert ahead.gain[position] <= 1e-9
    wrong = np.full(len(votes.tasks), (votes.gold[position] + 1) % 4)
    assert outlook(votes, wrong, 0.95).confidence[position] == 0.0


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_probabilities_are_probabilities_and_gains_are_none_below_zero(rows):
    votes = votes_of(rows)
    label = np.full(len(votes.tasks), -1)
    label[votes.task] = votes.label
    ahead = outlook(votes, label, 0.95)
    risk = ahead.risk
    total = np.bincount(votes.cells.task, weights=risk.posterior.prob) + risk.posterior.rest
    assert np.allclose(total, 1.0)
    assert ((ahead.confidence >= 0) & (ahead.confidence <= 1)).all()
    assert (ahead.gain >= -1e-12).all()
    assert (ahead.gain <= 1.0).all()
    assert (ahead.needed >= 1).all()


def test_agreement_makes_sure_and_dissent_asks_for_more_votes():
    votes, _ = planted(each=3)
    table = np.zeros((400, 4))
    np.add.at(table, (votes.task, votes.label), 1)
    label = table.argmax(axis=1)
    ahead = outlook(votes, label, 0.999)
    agreed = table.max(axis=1) == 3
    assert ahead.confidence[agreed].min() > ahead.confidence[~agreed].max()
    assert ahead.needed[agreed].max() < ahead.needed[~agreed].mean()
    assert ahead.gain[agreed].max() < ahead.gain[~agreed].min()


def test_who_answers_at_random_weighs_less():
    votes, _ = planted(spam=0.25, each=6)
    rng = np.random.default_rng(3)
    rng.integers(0, 4, 400)  # as `planted` draws
    planted_spammer = rng.random(60) < 0.25
    of_worker = dict(zip(votes.workers.astype(int), assess(votes).looks, strict=True))
    spammers = [of_worker[w] for w in range(60) if planted_spammer[w]]
    honest = [of_worker[w] for w in range(60) if not planted_spammer[w]]
    assert max(spammers) < min(honest)
    assert np.mean(spammers) < 0.3 < 0.8 < np.mean(honest)


def test_nothing_is_known_without_votes():
    votes, _ = planted(each=2)
    nobody = replace(votes, task=votes.task[:0], worker=votes.worker[:0], label=votes.label[:0])
    ahead = outlook(nobody, np.full(len(votes.tasks), -1), 0.95)
    assert (ahead.confidence == 0).all()
    assert (ahead.gain > 0).all()


def test_stated_confidence_is_the_mean_of_what_two_models_say():
    votes, _ = planted(each=2)
    label = np.full(len(votes.tasks), -1)
    label[votes.task] = votes.label
    ahead = outlook(votes, label, 0.95)
    assert np.allclose(stated(np.zeros(400), ahead), ahead.confidence / 2)
    assert np.allclose(stated(ahead.confidence, ahead), ahead.confidence)


def test_needed_votes_would_indeed_settle_and_fewer_would_not():
    one = np.array([0.6])
    lead = Lead(one, 1 - one, np.array([8.0]), np.array([1.0]), np.array([1.2]), np.array([8.5]))
    count = int(needed(lead, np.array([0.99]), 1.0)[0])
    odds = 0.6 / 0.4
    for step in range(count):
        assert odds < 99
        odds *= (8.0 + step) / (1.2 + step)
    assert odds >= 99
    assert gain(lead, 1.0)[0] > gain(lead, 0.5)[0] > 0


def test_no_vote_vouches_for_its_own_worker():
    votes, _ = planted(each=4)
    rows = [
        (votes.tasks[t], votes.workers[w], votes.labels[k])
        for t, w, k in zip(votes.task, votes.worker, votes.label, strict=True)
    ]
    more = votes_of([*rows, ("0001", "900", "a"), ("0001", "901", "b"), ("0001", "902", "c")])
    risk = assess(more)
    alone = np.isin(more.workers[more.worker], ["900", "901", "902"])
    assert np.ptp(risk.weight[alone]) < 1e-9
    assert np.ptp(risk.looks[np.isin(more.workers, ["900", "901", "902"])]) > 0.01


def test_a_fit_that_was_cut_off_says_so(monkeypatch):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"task": np.repeat(np.arange(60), 4), "worker": np.tile(np.arange(4), 60), "label": "a"}
    ).astype(str)
    blind = frame["worker"] == "0"
    frame.loc[blind, "label"] = rng.choice(["a", "b", "c"], int(blind.sum()))
    votes = clean_votes(frame, None, None)
    assert model.fit_risk(votes).converged
    monkeypatch.setattr(model, "MOST_PASSES", 1)
    assert not model.fit_risk(votes).converged
