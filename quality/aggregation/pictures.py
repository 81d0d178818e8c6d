"""Pictures as voters: a classifier's out-of-fold probabilities as one more voice beside the workers'.

In the manner of CROWDLAB (Goh, Tkachenko & Mueller 2022, "CROWDLAB: Supervised learning to infer consensus
labels and quality scores for data with multiple annotators"), with likelihoods in place of its weighted mean.
The classifier's say about task t, label k is the factor

    1 - w + w h_t(k),   h_t(k) proportional to (q_t(k) / q(k))^a, with mean 1 under the labels' shares,

where q_t are its probabilities and q is their mean over tasks: with probability w (the weight) it knows
something, and a (the sharpness) undoes over- and underconfidence. A classifier that says the same of every
picture has h = 1 and changes nothing. Each worker has a table of confusions, shrunken to the crowd's with the
worker's own accuracy; both are fitted together with the labels (EM), so that pictures also tell who errs.

w, a, the strength of the shrinkage and the discount of votes (workers share mistakes) are those under which
every vote is best foreseen from the task's other votes and the picture, by a worker's table that has not
counted that vote. So the classifier is paid only for what the other workers did not say: where it knows no
more than chance, foreseeing gains nothing, and below a gain of log(votes), the price of two parameters by
Schwarz's criterion, it gets no weight at all and the fitted model is returned as it was.

The answer mixes two: what these tables say with the pictures, and the fitted model's posterior times what the
pictures change in them. The first has half of it, and the more the classifier knows, the more: (1 + w) / 2.
Measured by benchmarks/quality_pictures.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from quality.aggregation.posterior import DensePosterior, Fit
from quality.aggregation.votes import BadVotes, Votes

MOST_CELLS = 20_000_000
"""Largest table of votes x labels (or tasks x labels); several of that size are held."""
MOST_ASKED = 20_000
"""Votes that the parameters are sought on (every so many-th), so that no crowd is too large to search."""
ROUNDS = 5
FLOOR = 1e-6
"""The least probability that a classifier's silence about a label means."""
SHARES = ("majority", "wawa", "zbs")
"""Methods whose posterior is a share of votes, not a probability."""

Floats = np.ndarray


@dataclass(frozen=True)
class Say:
    """`weight` w and `sharpness` a of the classifier, `discount` of the votes' log-odds, `shrinkage`:
    votes of the crowd that stand behind each row of a worker's table."""

    weight: float = 0.9
    sharpness: float = 1.0
    discount: float = 0.6
    shrinkage: float = 10.0


_CHOICES: dict[str, tuple[float, ...]] = {
    "shrinkage": (3.0, 10.0, 30.0, 100.0),
    "discount": (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    "weight": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99),
    "sharpness": (0.2, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0),
}


def with_pictures(votes: Votes, fit: Fit, table: pd.DataFrame) -> Fit:
    """The fitted model with a classifier as one more voter.

    Args:
        fit: of these votes; its `blind` already tempered.
        table: `task,label,probability`, out of fold: each picture judged by a model that was not taught its
            votes. Labels that are missing have probability 0; a task without rows is left to its voters.

    Returns:
        `fit` with the method `...+pictures`, or, where the pictures tell nothing, as it was; in both cases
        `notes["pictures"]` says the weight given, the figures behind it and what was left aside.

    Raises:
        BadVotes: a column is missing, a number is no probability, or the tables would be too large.
    """
    n_labels = len(votes.labels)
    if max(len(votes.task), len(votes.tasks)) * n_labels > MOST_CELLS:
        raise BadVotes(
            f"pictures: {len(votes.task)} votes x {n_labels} labels are too many to weigh with pictures; "
            "leave the pictures out, or split the tasks"
        )
    chances, judged, told = read_chances(votes, table)
    if n_labels < 2 or not judged.any():
        return _unchanged(fit, told | {"weight": 0.0})
    start = _as_probabilities(votes, fit)
    crowd = _Crowd(votes, chances, judged)
    posterior, without, say, gain = crowd.fit(start)
    told |= {
        "weight": say.weight,
        "sharpness": say.sharpness,
        "discount": say.discount,
        "gain": round(gain, 1),
    }
    if not say.weight:
        return _unchanged(fit, told)
    moved = _normal(np.log(np.maximum(start, 1e-12)) + np.log(posterior + 1e-300) - np.log(without + 1e-300))
    share = (1.0 + say.weight) / 2.0
    blind = DensePosterior(share * posterior + (1.0 - share) * moved)
    return replace(
        fit,
        method=f"{fit.method}+pictures",
        blind=blind,
        posterior=blind.clamped(votes),
        notes=fit.notes | {"pictures": told},
    )


def read_chances(votes: Votes, table: pd.DataFrame) -> tuple[Floats, np.ndarray, dict[str, object]]:
    """float64[T, K] that sum to 1 where bool[T] says that the task was judged, and what was left aside.

    Raises:
        BadVotes: see `with_pictures`.
    """
    table = table.rename(
        columns={old: "task" for old in ("item", "image") if "task" not in table and old in table}
    )
    missing = [column for column in ("task", "label", "probability") if column not in table]
    if missing:
        raise BadVotes(f"pictures: no column {', '.join(missing)}")
    task = pd.Index(votes.tasks).get_indexer(table["task"].astype(str))
    label = pd.Index(votes.labels).get_indexer(table["label"].astype(str))
    number = pd.to_numeric(table["probability"], errors="coerce").to_numpy(dtype=float)
    wrong = ~((number >= 0) & (number <= 1 + 1e-6))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise BadVotes(
            f"pictures: row {row + 2}: {table['probability'].iloc[row]} is no probability (0 to 1)"
        )
    chances = np.zeros((len(votes.tasks), len(votes.labels)))
    here = (task >= 0) & (label >= 0)
    chances[task[here], label[here]] = number[here]  # the last row counts
    total = chances.sum(axis=1)
    judged = total > 0
    chances[judged] /= total[judged, None]
    notes: dict[str, object] = {
        "judged": int(judged.sum()),
        "not_judged": int((~judged).sum()),
        "no_votes": int(table["task"][task < 0].nunique()),
        "unknown_labels": int(table["label"][label < 0].nunique()),
        "repeated": int(here.sum() - len(np.unique(task[here] * max(len(votes.labels), 1) + label[here]))),
    }
    return chances, judged, notes


def warnings_of(fit: Fit) -> list[str]:
    """What to tell the user of the pictures' part in a fit; nothing where they had none."""
    told = fit.notes.get("pictures")
    if not isinstance(told, dict):
        return []
    lines = []
    if not told["weight"]:
        lines.append("the pictures foretell the votes no better than the other votes do: they got no weight")
    if told["not_judged"]:
        lines.append(f"{told['not_judged']} tasks have no probabilities and rest on their votes alone")
    if told["no_votes"]:
        lines.append(f"pictures: {told['no_votes']} tasks have probabilities but no vote and were left aside")
    if told["unknown_labels"]:
        lines.append(f"pictures: {told['unknown_labels']} labels that nobody chose were left aside")
    if told["repeated"]:
        lines.append(f"pictures: {told['repeated']} rows repeat a task and label; the last counts")
    return lines


def _unchanged(fit: Fit, told: dict[str, object]) -> Fit:
    return replace(fit, notes=fit.notes | {"pictures": told})


def _as_probabilities(votes: Votes, fit: Fit) -> Floats:
    """float64[T, K]: the model's posterior; of shares, those with one more vote, spread as the labels are."""
    table = fit.blind.dense().table
    if fit.method not in SHARES:
        return table
    n = votes.per_task[:, None]
    return (table * n + _shares(table)) / (n + 1.0)


def _shares(table: Floats) -> Floats:
    counts = table.sum(axis=0) + 1.0
    return counts / counts.sum()


def _normal(logs: Floats) -> Floats:
    table = np.exp(logs - logs.max(axis=1, keepdims=True))
    return table / table.sum(axis=1, keepdims=True)


class _Crowd:
    """Workers' tables of confusion and a classifier, fitted together."""

    def __init__(self, votes: Votes, chances: Floats, judged: np.ndarray) -> None:
        self.votes = votes
        n_tasks, n_labels, n = len(votes.tasks), len(votes.labels), len(votes.task)
        usual = _shares(chances[judged])
        self.lift = np.where(judged[:, None], np.log(np.maximum(chances, FLOOR) / usual), 0.0)
        self.judged = judged
        pair, self.pair_of = np.unique(votes.worker * n_labels + votes.label, return_inverse=True)
        ones = np.ones(n)
        self.by_pair = sparse.csr_matrix((ones, (self.pair_of, votes.task)), shape=(len(pair), n_tasks))
        self.by_worker = sparse.csr_matrix(
            (ones, (votes.worker, votes.task)), shape=(len(votes.workers), n_tasks)
        )
        self.by_label = sparse.csr_matrix((ones, (votes.label, votes.task)), shape=(n_labels, n_tasks))
        self.pair_worker, self.pair_label = np.divmod(pair, n_labels)
        self.asked = np.arange(0, n, n // MOST_ASKED + 1)
        self.tasks_asked, self.of_asked = np.unique(votes.task[self.asked], return_inverse=True)

    def fit(self, start: Floats) -> tuple[Floats, Floats, Say, float]:
        """Posterior, the same tables' posterior without pictures, the classifier's say, and the gain in nats.

        The weight is 0 where the gain does not pay for it.
        """
        posterior, say = start, Say()
        for number in range(ROUNDS):
            told = self._told(posterior)
            say, value = self._search(told, say, ("shrinkage",) if number < 2 else ())
            without, posterior = self._settle(told, say)
        gain = value - self._search(told, replace(say, weight=0.0), (), silent=True)[1]
        if gain <= np.log(max(len(self.asked), 2)):
            say = replace(say, weight=0.0)
        return posterior, without, say, max(float(gain), 0.0)

    def _told(self, table: Floats) -> Floats:
        """Gold at its label: workers' tables and the classifier are held against what is known."""
        return DensePosterior(table).clamped(self.votes).table

    def _settle(self, posterior: Floats, say: Say) -> tuple[Floats, Floats]:
        told, _ = self._tables(posterior, say.shrinkage)
        shares = _shares(posterior)
        alone = say.discount * (self.by_pair.T @ told) + np.log(shares)
        return _normal(alone), _normal(alone + self._voice(say, shares))

    def _search(
        self, posterior: Floats, say: Say, also: tuple[str, ...], *, silent: bool = False
    ) -> tuple[Say, float]:
        """The say under which votes are best foreseen, one parameter after the other; its log-likelihood."""
        shares, cache = _shares(posterior), {}
        names = (*also, "discount", *(() if silent else ("weight", "sharpness")))

        def value(tried: Say) -> float:
            if tried.shrinkage not in cache:
                told, unseen = self._tables(posterior, tried.shrinkage)
                rest = (self.by_pair.T @ told)[self.votes.task[self.asked]] - told[self.pair_of[self.asked]]
                # Labels first: sums over them then run along whole rows of memory.
                cache[tried.shrinkage] = np.ascontiguousarray(rest.T), np.ascontiguousarray(unseen.T)
            rest, chance = cache[tried.shrinkage]
            logs = tried.discount * rest + np.log(shares)[:, None]
            if tried.weight:
                logs += self._voice(tried, shares, self.tasks_asked).T[:, self.of_asked]
            logs -= logs.max(axis=0)
            np.exp(logs, out=logs)
            foreseen = np.einsum("kn,kn->n", logs, chance) / logs.sum(axis=0)
            # One imagined picture on which the classifier was wrong keeps the weight below 1.
            return float(np.log(np.maximum(foreseen, 1e-300)).sum() + np.log1p(-tried.weight))

        best = value(say)
        for name in names * 2:
            for number in _CHOICES[name]:
                tried = replace(say, **{name: number})
                found = value(tried)
                if found > best:
                    say, best = tried, found
        return say, best

    def _voice(self, say: Say, shares: Floats, tasks: np.ndarray | slice = slice(None)) -> Floats:
        """float64[T, K] (or of `tasks` only): the logarithm of the classifier's factor."""
        lift = say.sharpness * self.lift[tasks]
        lift = np.exp(lift - lift.max(axis=1, keepdims=True))
        known = lift / (lift @ shares)[:, None]
        return np.where(self.judged[tasks, None], np.log((1 - say.weight) + say.weight * known), 0.0)

    def _tables(self, posterior: Floats, shrinkage: float) -> tuple[Floats, Floats]:
        """log P(label | the true label) by a worker's table, float64[pairs, K], a row for each label that a
        worker gave; and P of each vote asked by the table that has not counted it, float64[asked, K].

        A worker's row is shrunken to the crowd's: the crowd's accuracy for that label moved, in log-odds, by
        how far the worker's accuracy lies from the crowd's; errors fall as the crowd's do.
        """
        votes, k = self.votes, len(self.votes.labels)
        crowd = np.asarray((self.by_label @ posterior).T)
        right = posterior[votes.task, votes.label]
        accuracy = (right.sum() + 1.0) / (len(right) + 2.0)
        held = (np.diag(crowd) + 10.0 * accuracy) / (crowd.sum(axis=1) + 10.0)
        wrong = crowd * (1 - np.eye(k)) + 1.0 / (k - 1) * (1 - np.eye(k))
        wrong /= wrong.sum(axis=1, keepdims=True)
        own = np.bincount(votes.worker, weights=right, minlength=len(votes.workers))
        own = np.clip((own + 4.0 * accuracy) / (votes.per_worker + 4.0), 1.0 / k, 0.995)
        moved = np.log(own / (1 - own)) - np.log(accuracy / (1 - accuracy))
        held = np.clip(1 / (1 + np.exp(-np.log(held / (1 - held))[None, :] - moved[:, None])), 1e-4, 1 - 1e-4)
        base = (1 - held)[self.pair_worker] * wrong[:, self.pair_label].T
        rows = np.arange(len(base))
        base[rows, self.pair_label] = held[self.pair_worker, self.pair_label]
        counted = np.asarray(self.by_pair @ posterior) + shrinkage * base
        given = (np.asarray(self.by_worker @ posterior) + shrinkage)[self.pair_worker]
        pair, seen = self.pair_of[self.asked], posterior[votes.task[self.asked]]
        unseen = np.maximum(counted[pair] - seen, 1e-12) / np.maximum(given[pair] - seen, 1e-12)
        return np.log(counted / given), unseen
