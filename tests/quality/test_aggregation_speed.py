"""The fast forms say what slow, plain ones say: codes, pairs, and both forms of Dawid-Skene."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from quality.aggregation import BadVotes, aggregate, dawid_skene, dawid_skene_sparse, posterior
from quality.aggregation.codes import distinct_pairs, stable_order, text_codes
from quality.aggregation.dawid_skene import fit_dawid_skene
from quality.aggregation.dawid_skene_sparse import fit_sparse
from quality.aggregation.posterior import shrunken_shares
from quality.aggregation.shrinkage import MISTAKES_PRIOR, beta_strength, crowd_levels, eases
from quality.aggregation.votes import Votes, clean_votes

cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0.0, -0.0, 7.0, 7.5, float("nan"), float("inf"), 1e20]),
    st.sampled_from(["", " ", "7", "07", "a", "A", "é", "None", "nan", "True", "10", "9"]),
)


def written(value: object) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if str(value).strip() else None


@settings(max_examples=150, deadline=None)
@given(st.lists(cells, max_size=12))
def test_codes_of_any_values_are_those_of_their_texts(values):
    codes, names = text_codes(pd.Series(values, dtype=object))
    assert names.tolist() == sorted({text for text in map(written, values) if text is not None})
    assert [names[code] if code >= 0 else None for code in codes] == [written(value) for value in values]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8, "Int64"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whole_numbers_are_coded_in_the_order_of_their_texts(dtype, data):
    ends = np.iinfo(np.int64 if dtype == "Int64" else dtype)
    small = st.integers(max(-120, ends.min), 120)
    values = data.draw(st.lists(st.one_of(st.integers(ends.min, ends.max), small), min_size=1, max_size=20))
    codes, names = text_codes(pd.Series(values, dtype=dtype))
    assert names.tolist() == sorted(map(str, set(values)))
    assert [names[code] for code in codes] == list(map(str, values))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=40),
    st.integers(0, 200),
)
def test_pairs_and_orders_are_those_of_numpy(rows, room):
    # With much room the pairs are found by sorting, with little in a table of all pairs.
    major, minor = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    assert stable_order(major, 7).tolist() == np.argsort(major, kind="stable").tolist()
    first, second, of_each = distinct_pairs(major, minor, 7 + room, 5 + room)
    assert list(zip(first, second, strict=True)) == sorted(set(rows))
    assert [(first[i], second[i]) for i in of_each] == rows


def random_votes(seed: int, tasks: int = 14, workers: int = 5, labels: int = 4, gold: int = 3) -> Votes:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, tasks)
    rows = []
    for t in range(tasks):
        for w in rng.permutation(workers)[: rng.integers(1, workers + 1)]:
            right = rng.random() < 0.55 + 0.08 * w
            rows.append((t, w, truth[t] if right else rng.integers(0, labels)))
    rows.append((tasks, 0, "unsure"))
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
    known = pd.DataFrame({"task": np.arange(gold), "label": truth[:gold]})
    return clean_votes(frame, known, labels=map(str, range(labels)))


class Slow:
    """Dawid-Skene as the docstring of `dawid_skene` has it, one number at a time.

    `among` lists the labels that a task's truth may be; the rest, if any, is one lump.
    """

    def __init__(self, votes: Votes, sparse: bool):
        self.votes, self.k, self.sparse = votes, len(votes.labels), sparse
        self.of_task = [
            [(w, v) for t, w, v in zip(votes.task, votes.worker, votes.label, strict=True) if t == task]
            for task in range(len(votes.tasks))
        ]
        self.among = []
        for task, given_ in enumerate(self.of_task):
            voted = {int(label) for _, label in given_} | {
                int(g) for g in votes.gold[task : task + 1] if g >= 0
            }
            self.among.append(sorted(voted) if sparse else list(range(self.k)))
        self.table = np.zeros((len(votes.tasks), self.k))
        for task, given_ in enumerate(self.of_task):
            for _, label in given_:
                self.table[task, label] += 1 / len(given_)
            if not given_ and not sparse:
                self.table[task] = 1 / self.k
        self.rest = 1 - self.table.sum(axis=1)

    def told(self) -> np.ndarray:
        table = self.table.copy()
        for task, label in enumerate(self.votes.gold):
            if label >= 0:
                table[task] = np.eye(self.k)[label]
        return table

    def learn(self) -> None:
        w_n, k, table = len(self.votes.workers), self.k, self.told()
        self.counts = np.zeros((w_n, k, k))
        for task, given_ in enumerate(self.of_task):
            for w, label in given_:
                self.counts[w, :, label] += table[task]
        self.seen = self.counts.sum(axis=2)
        right = np.array([np.diag(self.counts[w]) for w in range(w_n)])
        crowd = self.counts.sum(axis=0)
        self.level, mean = crowd_levels(right.sum(axis=1), self.votes.per_worker, k)
        ease = eases(np.diag(crowd), crowd.sum(axis=1), mean)
        self.expected = expit(logit(self.level)[:, None] + ease[None, :])
        met = self.seen > 0
        self.strength = beta_strength(right[met], self.seen[met], self.expected[met], low=3.0, high=100.0)
        self.common = (crowd.sum(axis=0) + 1) / (crowd.sum() + k)
        wrong = crowd + MISTAKES_PRIOR * self.common[None, :] * k / (k - 1)
        np.fill_diagonal(wrong, 0)
        self.mistakes = wrong / wrong.sum(axis=1, keepdims=True)
        self.prior = shrunken_shares(self.votes, table.sum(axis=0))

    def says(self, w: int, truth: int, label: int) -> float:
        expected = self.expected[w, truth]
        mean = expected if label == truth else (1 - expected) * self.mistakes[truth, label]
        up = self.counts[w, truth, label] + self.strength * mean
        return float(np.log(up / (self.seen[w, truth] + self.strength)))

    def judge(self) -> float:
        before, rest_before = self.table.copy(), self.rest.copy()
        for task, given_ in enumerate(self.of_task):
            score = {
                k: np.log(self.prior[k]) + sum(self.says(w, k, label) for w, label in given_)
                for k in self.among[task]
            }
            others = 1 - sum(self.prior[k] for k in self.among[task])
            lump = 0.0
            if self.sparse and others > 1e-9:
                lump = others * np.prod([(1 - self.level[w]) * self.common[label] for w, label in given_])
            total = sum(np.exp(x) for x in score.values()) + lump
            self.table[task] = 0
            for k, x in score.items():
                self.table[task, k] = np.exp(x) / total
            self.rest[task] = lump / total
        moved = np.abs(self.table - before).sum() + np.abs(self.rest - rest_before).sum()
        return float(moved) / len(self.table)

    def fit(self, passes: int) -> "Slow":
        for _ in range(passes):
            self.learn()
            self.judge()
        return self

    def evidence(self, task: int, label: int) -> float:
        best = int(self.table[task].argmax())
        return sum(abs(self.says(w, best, v) - self.says(w, label, v)) for w, v in self.of_task[task])


@pytest.mark.parametrize("seed", range(6))
def test_dense_dawid_skene_is_the_slow_one(seed, monkeypatch):
    votes = random_votes(seed)
    whole = fit_dawid_skene(votes, max_iterations=4, tolerance=0.0).blind
    slow = Slow(votes, sparse=False).fit(4)
    np.testing.assert_allclose(whole.table, slow.table, atol=1e-9)
    wanted = [[slow.evidence(t, k) for k in range(slow.k)] for t in range(len(votes.tasks))]
    np.testing.assert_allclose(whole.total, wanted, atol=1e-7)
    monkeypatch.setattr(dawid_skene, "BLOCK", 20)
    monkeypatch.setattr(dawid_skene, "SMALLEST_LOG", 0.0)
    pieces = fit_dawid_skene(votes, max_iterations=4, tolerance=0.0).blind
    np.testing.assert_allclose(pieces.table, whole.table, atol=1e-12)
    np.testing.assert_allclose(pieces.total, whole.total, atol=1e-9)
    assert pieces.unit == pytest.approx(whole.unit)


@pytest.mark.parametrize("seed", range(6))
def test_sparse_dawid_skene_is_the_slow_one(seed):
    votes = random_votes(seed, labels=9)
    fast = fit_sparse(votes, 4, 0.0).blind
    slow = Slow(votes, sparse=True).fit(4)
    np.testing.assert_allclose(fast.prob, slow.table[votes.cells.task, votes.cells.label], atol=1e-9)
    np.testing.assert_allclose(fast.rest, slow.rest, atol=1e-9)
    voted = np.flatnonzero(votes.per_task[votes.cells.task])
    wanted = [slow.evidence(votes.cells.task[c], votes.cells.label[c]) for c in voted]
    np.testing.assert_allclose(fast.total[voted], wanted, atol=1e-7)


def many_labels(seed: int, labels: int, tasks: int = 1500) -> tuple[pd.DataFrame, np.ndarray]:
    """Each label is mistaken for its two neighbours; skills from 0.5 to 0.95."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, tasks)
    skill = np.linspace(0.5, 0.95, 40)
    task = np.repeat(np.arange(tasks), 4)
    worker = np.concatenate([rng.permutation(40)[:4] for _ in range(tasks)])
    wrong = (truth[task] + rng.choice([-1, 1], len(task))) % labels
    label = np.where(rng.random(len(task)) < skill[worker], truth[task], wrong)
    return pd.DataFrame({"task": task, "worker": worker, "label": label}), truth


def share_right(frame: pd.DataFrame, truth: np.ndarray, method: str) -> float:
    consensus = aggregate(frame, method).consensus
    return float((consensus["label"].astype(int) == truth[consensus["task"].astype(int)]).mean())


def test_both_forms_find_the_same_labels(monkeypatch):
    frame, _ = many_labels(3, labels=12)
    assert dawid_skene.MOST_LABELS >= 12
    dense = aggregate(frame, "dawid_skene").consensus
    monkeypatch.setattr(dawid_skene, "MOST_LABELS", 0)
    sparse = aggregate(frame, "dawid_skene").consensus
    assert (dense["label"] == sparse["label"]).mean() > 0.99
    assert abs(dense["confidence"] - sparse["confidence"]).mean() < 0.03


def test_a_thousand_labels_are_no_worse_than_with_one_coin():
    frame, truth = many_labels(4, labels=1000)
    right = {method: share_right(frame, truth, method) for method in ("majority", "one_coin", "dawid_skene")}
    assert right["dawid_skene"] >= right["one_coin"] >= right["majority"]


def test_sparse_form_knows_no_names_and_no_order():
    frame, _ = many_labels(5, labels=60, tasks=400)
    one = aggregate(frame, "dawid_skene")
    mixed = aggregate(frame.sample(frac=1.0, random_state=1), "dawid_skene")
    pd.testing.assert_frame_equal(one.consensus, mixed.consensus)
    pd.testing.assert_frame_equal(one.posteriors, mixed.posteriors)
    names = np.random.default_rng(0).permutation(60)
    other = aggregate(frame.assign(label=names[frame["label"]]), "dawid_skene").consensus
    clear = ~one.consensus["tie"]
    renamed = names[one.consensus.loc[clear, "label"].astype(int)]
    assert (renamed == other.loc[clear, "label"].astype(int)).all()
    np.testing.assert_allclose(one.consensus["confidence"], other["confidence"], atol=2e-6)


def test_sparse_form_never_contradicts_gold_even_where_nobody_chose_it():
    frame, truth = many_labels(6, labels=50, tasks=300)
    gold = pd.DataFrame({"task": range(20), "label": [*truth[:19], "new"]})
    result = aggregate(frame, "dawid_skene", gold=gold)
    consensus = result.consensus.set_index("task").loc[[str(t) for t in range(20)]]
    assert consensus["label"].tolist() == gold["label"].astype(str).tolist()
    assert (consensus["confidence"] == 1.0).all()
    sums = result.posteriors.groupby("task")["probability"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


def test_too_many_votes_for_a_model_are_refused_in_one_line(monkeypatch):
    frame, _ = many_labels(7, labels=40, tasks=50)
    monkeypatch.setattr(dawid_skene_sparse, "MOST_MEETINGS", 100)
    with pytest.raises(BadVotes, match="use one_coin"):
        aggregate(frame, "dawid_skene")


def test_too_many_probabilities_are_refused_in_one_line(monkeypatch):
    frame, _ = many_labels(7, labels=40, tasks=50)
    monkeypatch.setattr(posterior, "MOST_LISTED", 100)
    result = aggregate(frame, "one_coin")
    with pytest.raises(BadVotes, match="too many to list"):
        _ = result.posteriors


@pytest.mark.parametrize("method", ["majority", "zbs", "one_coin", "dawid_skene", "glad", "mace"])
def test_a_hundred_thousand_labels(method):
    n = 100_000
    frame = pd.DataFrame({"task": np.arange(n) // 2, "worker": np.arange(n) % 50, "label": np.arange(n)})
    frame.loc[frame.index % 4 < 2, "label"] = frame["label"] // 2 * 2
    consensus = aggregate(frame, method).consensus
    assert len(consensus) == n // 2
    agreed = consensus["task"].astype(int) % 2 == 0
    assert (consensus.loc[agreed, "label"].astype(int) == consensus.loc[agreed, "task"].astype(int) * 2).all()


def test_values_of_every_kind_are_text_whatever_their_order():
    rows = [
        (1, "a", True),
        ("1", 2, 1),
        (1.0, 2.0, "1"),
        (10**30, "a", 1.0),
        (True, "c", "True"),
        ("x", None, 1),
    ]
    frame = pd.DataFrame(rows, columns=["task", "worker", "label"], dtype=object)
    result = aggregate(frame, "majority")
    assert result.consensus["task"].tolist() == ["1", "1" + "0" * 30, "True"]
    assert result.consensus["votes"].tolist() == [2, 1, 1]
    assert result.summary["dropped"] == {"missing_worker": 1, "repeated": 1}
    assert any("no usable row" in warning for warning in result.summary["warnings"])
    # Rows 1 and 2 are the same worker on the same task; the others may stand in any order.
    other = aggregate(frame.iloc[[5, 4, 3, 1, 0, 2]], "majority")
    pd.testing.assert_frame_equal(result.consensus, other.consensus)


def test_columns_that_no_reader_can_mean_are_refused():
    twice = pd.DataFrame([[1, 2, 3, 4]], columns=["task", "worker", "label", "label"])
    with pytest.raises(BadVotes, match="stands twice"):
        aggregate(twice)
    half = pd.DataFrame({"task": ["a\ud800"], "worker": ["w"], "label": ["x"]}, dtype=object)
    with pytest.raises(BadVotes, match="not Unicode"):
        aggregate(half)
