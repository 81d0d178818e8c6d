"""How early blind workers are found, and how many honest ones are flagged with them.

usage: python -m benchmarks.quality_spammers [VOTES_FOLDER] [--draws N] [--crowds N] [--quick]

Into each crowd, real or simulated, one worker in five is planted who does not look: half answer uniformly,
half always the same. Each votes on 40 tasks, 8 of them gold (20 gold tasks a set, drawn anew in each draw).
Beside Assay's flags stand two rules that sites use: right on fewer than 60% of the gold (after 8), and less
than half in agreement with the majority of all votes (after 10). Honest workers are simulated: abilities
differ, difficulty is shared, a sixth of the tasks misleads most of them; a look after every second vote.

Measured 2026-11-21 on 2 cores, Debian 12 (--draws 3), share of the planted flagged after 40 (20) votes:

    adult2 100% (89%)  anesthesia, no gold 100% (100%)  bluebirds 67% (50%)  cf 99% (92%)
    cifar10h_500 99% (99%)  cifar10s 100% (99%)  dog 100% (78%)  product 86% (47%)  rte 95% (67%)
    simulated, 2 labels 97% (80%), 4 labels 97% (87%), 10 and 100 labels 100% (100%)

after 10 votes in the median, except bluebirds (25), product (20) and rte (15). In product "0" is 88% of the
truth, so that always "0" is hardly told from honest; in bluebirds half of the workers are right in 62% of
their votes or fewer: who knew all 40 answers and everyone's skill would find 13% to 92% of the uniform
answerers, by who still counts as honest (50%, or 60% right). Gold right below 60% finds 62% of the uniform
ones in rte and 71% in product; agreement with the majority, 24% and 0%.
Of 200 simulated honest workers for each number of labels, 0% to 0.5% are ever flagged; by the gold rule
13.5% to 24%. Copies that share 60 tasks: all found in simulated crowds, adult2, dog and rte; 89% in
bluebirds, 33% in product (3 votes a task); nobody else named.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.crowds import read_set
from quality.aggregation import aggregate

VOTES, GOLD, GOLD_TASKS = 40, 8, 20
SHARE = 0.2
MOST_PLANTED = 60
LOOKS = range(10, VOTES + 1, 5)
GOLD_RULE, MAJORITY_RULE = 0.6, 0.5
COPIES, SHARED = 6, 60


class Crowd(NamedTuple):
    """`votes`: task, worker, label; `truth`: label by task, empty where it is unknown."""

    name: str
    votes: pd.DataFrame
    truth: pd.Series


class Planted(NamedTuple):
    """`votes` with a column `nth` (0 for the crowd, else the place among the worker's votes)."""

    votes: pd.DataFrame
    gold: pd.DataFrame
    kind: dict[str, str]


def simulated(labels: int, seed: int, workers: int = 40, votes: int = 120, per_task: int = 5) -> Crowd:
    """Honest workers only; `ability` times ease is the log-odds of seeing what the picture shows."""
    rng = np.random.default_rng(seed)
    worker = np.concatenate([rng.permutation(workers) for _ in range(votes)])
    task = np.repeat(np.arange(len(worker) // per_task), per_task)
    worker = worker[: len(task)]
    truth = rng.integers(0, labels, task.max() + 1)
    decoy = (truth + rng.integers(1, labels, len(truth))) % labels
    ability, ease = rng.normal(1.5, 0.5, workers), np.exp(rng.normal(0.3, 0.6, len(truth)))
    misleads = rng.random(len(truth)) < 1 / 6
    sees = rng.random(len(task)) < 1 / (1 + np.exp(-ability[worker] * ease[task]))
    shown = np.where(misleads & (rng.random(len(truth)) < 0.7), decoy, truth)
    guess = np.where(rng.random(len(task)) < 0.5, decoy[task], rng.integers(0, labels, len(task)))
    label = np.where(sees, shown[task], guess)
    frame = pd.DataFrame({"task": task, "worker": worker, "label": label}).astype(str)
    known = pd.Series(truth.astype(str), index=pd.Index(np.arange(len(truth)).astype(str)))
    return Crowd(f"simulated, {labels} labels", frame, known)


def real(root: Path) -> Iterator[Crowd]:
    """The sets of a folder; without truth there is no gold."""
    for folder in sorted(path.parent for path in root.glob("*/votes.csv*")):
        votes, truth = read_set(folder)
        yield Crowd(folder.name, votes, truth)


def plant(crowd: Crowd, seed: int, each: int = VOTES, gold: int = GOLD) -> Planted:
    """Blind workers beside the crowd's own: uniform and constant in turn."""
    rng = np.random.default_rng(seed)
    labels = np.sort(crowd.votes["label"].unique())
    own = crowd.votes["worker"].nunique()
    number = min(max(round(own * SHARE / (1 - SHARE)), 4), MOST_PLANTED)
    known = (
        rng.permutation(crowd.truth.index)[:GOLD_TASKS] if len(crowd.truth) else np.array([], dtype=object)
    )
    rest = np.setdiff1d(crowd.votes["task"].unique(), known)
    parts, kind = [crowd.votes.assign(nth=0)], {}
    for place in range(number):
        name, uniform = f"planted {place}", place % 2 == 0
        on_gold = known[rng.permutation(len(known))[:gold]]
        tasks = np.concatenate([on_gold, rng.permutation(rest)[: each - len(on_gold)]])
        tasks = tasks[rng.permutation(len(tasks))]
        label = rng.choice(labels, len(tasks)) if uniform else labels[place // 2 % len(labels)]
        kind[name] = "uniform" if uniform else "constant"
        nth = np.arange(1, len(tasks) + 1)
        parts.append(pd.DataFrame({"task": tasks, "worker": name, "label": label, "nth": nth}))
    table = pd.DataFrame({"task": known, "label": crowd.truth.reindex(known).to_numpy()}).astype(object)
    return Planted(pd.concat(parts, ignore_index=True), table, kind)


def flagged(votes: pd.DataFrame, gold: pd.DataFrame) -> dict[str, set[str]]:
    """Who is flagged by each rule: `assay`, `gold`, `majority`."""
    frame = votes[["task", "worker", "label"]]
    answer = gold.set_index("task")["label"]
    on_gold = frame[frame["task"].isin(answer.index)]
    right = (on_gold["label"] == on_gold["task"].map(answer)).groupby(on_gold["worker"]).agg(["mean", "size"])
    counts = frame.groupby(["task", "label"]).size().rename("n").reset_index()
    top = counts.sort_values(["n", "label"]).drop_duplicates("task", keep="last").set_index("task")["label"]
    agrees = (frame["label"] == frame["task"].map(top)).groupby(frame["worker"]).agg(["mean", "size"])
    slugs = {"random", "constant"}
    return {
        "assay": {
            flag.worker
            for flag in aggregate(frame, "majority", gold=gold if len(gold) else None).flags
            if flag.slug in slugs
        },
        "gold": set(right.index[(right["size"] >= GOLD) & (right["mean"] < GOLD_RULE)]),
        "majority": set(agrees.index[(agrees["size"] >= LOOKS[0]) & (agrees["mean"] < MAJORITY_RULE)]),
    }


RULES = ("assay", "gold", "majority")


def found_in(crowd: Crowd, draws: int, each: int = VOTES, gold: int = GOLD) -> dict[str, object]:
    """One row of the table: share found by kind and rule, and after how many votes."""
    hits: dict[str, list[bool]] = {f"{kind} {rule}": [] for kind in ("uniform", "constant") for rule in RULES}
    when: list[float] = []
    others = 0
    for seed in range(draws):
        made = plant(crowd, seed, each, gold)
        first: dict[str, int] = {}
        for look in [look for look in LOOKS if look < each] + [each]:
            told = flagged(made.votes[made.votes["nth"] <= look], made.gold)
            for worker in told["assay"] & set(made.kind):
                first.setdefault(worker, look)
        for worker, kind in made.kind.items():
            hits[f"{kind} assay"].append(worker in first)
            for rule in RULES[1:]:
                hits[f"{kind} {rule}"].append(worker in told[rule])
        when += [first.get(worker, np.inf) for worker in made.kind]
        others += len(told["assay"] - set(made.kind))
    shares = {name: f"{np.mean(hit):.0%}" for name, hit in hits.items()}
    every = np.mean(hits["uniform assay"] + hits["constant assay"])
    rest = f"{others / draws:.0f}/{crowd.votes['worker'].nunique()}"
    return {
        "planted": len(when),
        "found": f"{every:.0%}",
        **shares,
        "median vote": np.median(when),
        "others": rest,
    }


def honest(labels: int, crowds: int, last: int = 120) -> dict[str, object]:
    """Share of honest workers ever flagged by each rule, looking after every second vote."""
    ever: dict[str, int] = dict.fromkeys(RULES, 0)
    people = 0
    for seed in range(crowds):
        crowd = simulated(labels, 1000 + seed, votes=last)
        nth = crowd.votes.groupby("worker").cumcount() + 1
        known = crowd.truth.sample(frac=0.2, random_state=seed)
        names: dict[str, set[str]] = {rule: set() for rule in RULES}
        for look in [*range(10, 62, 2), *range(65, last + 1, 5)]:
            seen = crowd.votes[nth <= look]
            asked = known[known.index.isin(seen["task"])]
            gold = pd.DataFrame({"task": asked.index, "label": asked.to_numpy()}).astype(object)
            for rule, workers in flagged(seen, gold).items():
                names[rule] |= workers
        people += crowd.votes["worker"].nunique()
        for rule in RULES:
            ever[rule] += len(names[rule])
    return {"workers": people, **{rule: f"{number / people:.1%}" for rule, number in ever.items()}}


def copiers(crowd: Crowd, draws: int) -> dict[str, object] | None:
    """Share of planted copies found (50 and more tasks shared with whom they copy), and of others named."""
    busy = crowd.votes["worker"].value_counts()
    busy = busy[busy >= SHARED]
    if len(busy) < 2:
        return None
    hit, tried, wrong = 0, 0, 0
    for seed in range(draws):
        models = busy.sample(min(COPIES, len(busy) // 2), random_state=seed).index
        parts = [crowd.votes]
        for number, model in enumerate(models):
            mine = crowd.votes[crowd.votes["worker"] == model].sample(SHARED, random_state=seed)
            parts.append(mine.assign(worker=f"copy {number}"))
        told = aggregate(pd.concat(parts, ignore_index=True), "majority").flags
        named = {flag.worker for flag in told if flag.slug == "copying"}
        copies = {f"copy {number}" for number in range(len(models))}
        hit, tried = hit + len(named & copies), tried + len(copies)
        wrong += len(named - copies - set(models))
    return {"copies": tried, "found": f"{hit / tried:.0%}", "others named": round(wrong / draws, 1)}


def show(title: str, rows: dict[str, dict[str, object]]) -> None:
    """Print a table."""
    print(f"\n{title}")
    print(pd.DataFrame(rows).T.to_string() if rows else "  nothing to show", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Print the four tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_spammers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Path("../shared/data/votes")
    parser.add_argument(
        "votes", type=Path, nargs="?", default=default, help="folder with a folder for each set"
    )
    parser.add_argument("--draws", type=int, default=4, help="plantings in each crowd")
    parser.add_argument(
        "--crowds", type=int, default=5, help="simulated honest crowds of 40 for each number of labels"
    )
    parser.add_argument("--quick", action="store_true", help="one small simulated crowd, one draw")
    args = parser.parse_args(argv)
    if not args.quick and args.votes != default and not args.votes.is_dir():
        parser.error(f"no such folder: {args.votes}")
    sizes = (10,) if args.quick else (2, 4, 10, 100)
    draws, crowds = (1, 1) if args.quick else (args.draws, args.crowds)
    sets = [] if args.quick else list(real(args.votes))
    made = [simulated(k, k, votes=60) for k in sizes]
    show(
        f"planted, {VOTES} votes each, {GOLD} of them gold (others: of the crowd's own workers)",
        {crowd.name: found_in(crowd, draws) for crowd in [*sets, *made]},
    )
    show(
        "planted, 20 votes each, 4 of them gold", {c.name: found_in(c, draws, 20, 4) for c in [*sets, *made]}
    )
    show(
        "honest workers ever flagged (simulated; 120 votes each, a fifth of the tasks is gold)",
        {f"{k} labels": honest(k, crowds, 40 if args.quick else 120) for k in sizes},
    )
    copied = {crowd.name: copiers(crowd, draws) for crowd in [*sets, *made]}
    show(f"copies that share {SHARED} tasks", {name: row for name, row in copied.items() if row is not None})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
