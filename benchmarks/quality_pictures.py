"""Pictures as voters, and the queue of doubtful labels: beside cleanlab (CROWDLAB, confident learning).

usage: python -m benchmarks.quality_pictures [DATA] [--peer PYTHON_WITH_CLEANLAB] [--work FOLDER] [--quick]

DATA holds labelme/, cifar10n/, votes/cifar10s/ and votes/cifar10h_500/; `large` is a made-up crowd. Features
are made once and kept in FOLDER. Both sides see the same votes and the same out-of-fold probabilities
(EfficientNet-lite0, frozen, and a linear head taught the votes; no truth). Intervals: 95%, bootstrap over
tasks. `queue`: share of the most doubted labels of the votes' own consensus (auto) that are wrong, among the
first 50, 100 and 200.

Measured 2026-11-21, 2 cores (shared with other work), Debian 12, one thread, cleanlab 2.9.0; accuracy in %:

    set            votes  workers  classifier  majority   auto  +pictures  CROWDLAB  CPU s: ours  CROWDLAB
    labelme        2,547       59       82.7      76.90  79.10      84.70     82.20         0.19      0.12
    cifar10s       6,200      248       54.7      93.50  93.70      94.30     93.60         0.26      0.75
    cifar10h_500  25,752    2,571       69.0      99.00  99.20      99.20     99.00         0.45     56.95
    cifar10n     150,000        3       77.6      91.18  92.01      94.36     94.17         3.67      0.37
    large        500,000    2,500       86.1      99.34  99.39      99.39     99.81         5.72    118.91

ours less CROWDLAB: labelme 2.5 [1.1, 3.9], cifar10s 0.7 [-0.2, 1.6], cifar10n 0.19 [0.08, 0.29]. Queue, ours
and cleanlab's alike: of the first 50 / 100 / 200, wrong are 80 / 73 / 64% (labelme, 20.9% of all are),
12 / 13 / 14% (cifar10s, 6.3%), 86 / 89 / 82% (cifar10n, 8.0%). CIFAR-10N's published aggregate errs 9.01%,
majority 8.82, auto 7.99, auto+pictures 5.64. On `large`, where 50 voters share mistakes that the classifier
does not, it gets no weight, for it foretells no vote that the other 49 do not: CROWDLAB, which weighs it by
its agreement with the consensus, gains 0.4 points there. CROWDLAB's time goes by workers, ours by votes: few
workers favour it. CIFAR-10's pictures are 32 pixels wide, and the backbone was not made for them: a head
taught CIFAR-10N's train split is right on 60.6% of cifar10s (its 1,000 were chosen to be hard); with it both
reach 94.10.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.crowds import read_set
from quality.aggregation import aggregate
from quality.issues import find_issues

SETS = ("labelme", "cifar10s", "cifar10h_500", "cifar10n", "large")
WORK = Path(__file__).parent / "results" / "pictures"
FIRST = (50, 100, 200)
DRAWS = 2000
QUICKER = {"cifar10n": ["--size", "96", "--folds", "3"]}
"""50,000 pictures would take too long at 160 pixels and five folds."""
PEER = """
import json, sys, time
import numpy as np, pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.multiannotator import get_label_quality_multiannotator
from cleanlab.rank import get_label_quality_scores

votes, chance, given = (pd.read_parquet(f"{sys.argv[1]}/{name}.parquet") for name in ("v", "p", "g"))
wide = votes.pivot(index="task", columns="worker", values="label").sort_index()
probs = chance.to_numpy()
start = time.process_time()
found = get_label_quality_multiannotator(wide, probs, verbose=False)["label_quality"]["consensus_label"]
seconds = time.process_time() - start
start = time.process_time()
label = given["label"].to_numpy()
first = find_label_issues(label, probs, return_indices_ranked_by="normalized_margin", n_jobs=1)
queue_seconds = time.process_time() - start
score = get_label_quality_scores(label, probs, method="normalized_margin")
seen = set(first.tolist())
rest = [int(i) for i in np.argsort(score, kind="stable")[: len(first) + 200] if i not in seen]
print(json.dumps({"label": np.asarray(found).astype(int).tolist(), "seconds": seconds, "flagged": len(first),
                  "queue": [*first.tolist(), *rest][:200], "queue_seconds": queue_seconds}))
"""


@dataclass(frozen=True)
class Scene:
    """Votes `task,worker,label`, the truth by task, and `task,label,probability` of a classifier."""

    votes: pd.DataFrame
    truth: pd.Series
    pictures: pd.DataFrame


def synthetic(tasks: int, workers: int, per_task: int, labels: int = 10, seed: int = 1) -> Scene:
    """A crowd of mixed skill and a classifier that is right on 85%; pictures are hard for all alike."""
    rng = np.random.default_rng(seed)
    truth, other = rng.integers(0, labels, (2, tasks))
    hard = rng.beta(1, 6, tasks)
    skill = rng.beta(12, 2, workers)
    task = np.repeat(np.arange(tasks), per_task)
    worker = rng.random((tasks, workers)).argpartition(per_task, axis=1)[:, :per_task].ravel()
    fine = rng.random(len(task)) < skill[worker] * (1 - hard[task])
    alike = rng.random(len(task)) < 0.5
    label = np.where(fine, truth[task], np.where(alike, other[task], rng.integers(0, labels, len(task))))
    seen = np.where(rng.random(tasks) < 0.85, truth, rng.integers(0, labels, tasks))
    chance = rng.dirichlet(np.full(labels, 0.5), tasks) * 0.4
    chance[np.arange(tasks), seen] += 0.6
    names = np.array([f"t{number:06}" for number in range(tasks)])
    kinds = np.array([f"c{number}" for number in range(labels)])
    votes = pd.DataFrame({"task": names[task], "worker": worker.astype(str), "label": kinds[label]})
    pictures = pd.DataFrame(
        {
            "task": names.repeat(labels),
            "label": np.tile(kinds, tasks),
            "probability": chance.ravel(),
        }
    )
    return Scene(votes, pd.Series(kinds[truth], names), pictures)


def real(name: str, data: Path, work: Path) -> Scene | None:
    """A set with pictures; its probabilities are made where `work` has none. None: not at hand."""
    folder = data / name if (data / name).is_dir() else data / "votes" / name
    if not folder.is_dir():
        return None
    votes, truth = read_set(folder)
    target = work / f"{name}-probabilities.parquet"
    if not target.is_file():
        work.mkdir(parents=True, exist_ok=True)
        places = {"labelme": data / "labelme"}
        place = places.get(name) or unpacked(name, data / "cifar10n", work, set(truth.index))
        command = [sys.executable, "-m", "training.embed", str(place), "-o", str(work / f"{name}.parquet")]
        command += ["--labels", str(folder / "votes.csv"), "--probabilities", str(target)]
        command += ["--threads", "1", *QUICKER.get(name, [])]
        if name == "labelme":
            command += ["--map", str(folder / "extra.csv")]
        subprocess.run(command, check=True)
    return Scene(votes, truth, pd.read_parquet(target))


def unpacked(name: str, cifar: Path, work: Path, wanted: set[str]) -> Path:
    """A folder with CIFAR's pictures under their numbers: the train split for cifar10n, else the test's."""
    place = work / name
    place.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(cifar / ("train.parquet" if name == "cifar10n" else "test.parquet"))
    for item, data in zip(table["item"].to_pylist(), table["jpeg"].to_pylist(), strict=True):
        if str(item) in wanted:
            (place / f"{item}.jpg").write_bytes(data)
    return place


def interval(right: np.ndarray) -> str:
    """Accuracy in percent with its 95% bootstrap interval."""
    draws = np.random.default_rng(5).integers(
        0, len(right), (DRAWS if len(right) < 20_000 else 300, len(right))
    )
    lo, hi = np.quantile(right[draws].mean(axis=1), (0.025, 0.975))
    return f"{100 * right.mean():.2f} [{100 * lo:.2f}, {100 * hi:.2f}]"


def peer(python: str, scene: Scene, labels: list[str], given: pd.Series) -> dict:
    """What cleanlab makes of the same votes, probabilities and consensus; tasks in sorted order."""
    code = {label: number for number, label in enumerate(labels)}
    tasks = sorted(set(scene.votes["task"]))
    wide = scene.pictures.pivot(index="task", columns="label", values="probability")
    wide = wide.reindex(index=tasks, columns=labels).fillna(0.0)
    wide = wide.div(wide.sum(axis=1), axis=0)
    with tempfile.TemporaryDirectory() as folder:
        once = scene.votes.drop_duplicates(["task", "worker"], keep="last")
        once.assign(label=once["label"].map(code)).to_parquet(f"{folder}/v.parquet")
        wide.set_axis([str(n) for n in range(len(labels))], axis=1).to_parquet(f"{folder}/p.parquet")
        pd.DataFrame({"label": given.reindex(tasks).map(code).to_numpy()}).to_parquet(f"{folder}/g.parquet")
        done = subprocess.run([python, "-c", PEER, folder], capture_output=True, text=True, check=True)
    found: dict = json.loads(done.stdout)
    found["label"] = pd.Series([labels[number] for number in found["label"]], tasks)
    found["queue"] = [tasks[number] for number in found["queue"]]
    return found


def timed(scene: Scene, method: str, pictures: pd.DataFrame | None = None) -> tuple[pd.Series, str, float]:
    """Labels by task, the method's name, CPU seconds."""
    start = time.process_time()
    result = aggregate(scene.votes, method, pictures=pictures)
    labels = result.consensus.set_index("task")["label"]
    return labels, str(result.summary["method"]), time.process_time() - start


def precision(queue: Sequence[str], wrong: pd.Series) -> str:
    """Share of the first so many tasks whose label is wrong."""
    hits = wrong.reindex(list(queue)).to_numpy(float)
    return " / ".join(f"{100 * hits[:n].mean():.0f}" for n in FIRST if len(hits) >= n)


def measure(name: str, scene: Scene, python: str | None) -> None:
    """Print one set's rows."""
    truth = scene.truth
    print(
        f"\n{name}: {len(truth)} tasks, {len(scene.votes)} votes, {scene.votes['worker'].nunique()} workers"
    )
    right: dict[str, np.ndarray] = {}
    plain: pd.Series | None = None
    for method, pictures in (("majority", None), ("auto", None), ("auto", scene.pictures)):
        labels, told, seconds = timed(scene, method, pictures)
        if pictures is None:
            plain = labels
        elif told == method:
            told = "auto (pictures: 0)"  # they got no weight
        right[told] = (labels.reindex(truth.index) == truth).to_numpy(float)
        print(f"  {told:22} {interval(right[told]):24} {seconds:8.2f} CPU s", flush=True)
    assert plain is not None
    start = time.process_time()
    issues = find_issues(plain.rename_axis("task").reset_index(), scene.pictures).issues
    seconds = time.process_time() - start
    wrong = plain.reindex(truth.index) != truth
    judged = issues[issues["task"].isin(truth.index)].sort_values("rank")
    print(
        f"  queue, ours            {precision(list(judged['task'])[:200], wrong):24} {seconds:8.2f} CPU s"
        f"  ({int(judged['flagged'].sum())} flagged; {100 * wrong.mean():.1f}% are wrong)",
        flush=True,
    )
    if not python:
        return
    labels = sorted({*scene.votes["label"], *scene.pictures["label"]})
    found = peer(python, scene, labels, plain)
    theirs = (found["label"].reindex(truth.index) == truth).to_numpy(float)
    print(f"  {'CROWDLAB':22} {interval(theirs):24} {found['seconds']:8.2f} CPU s")
    ours = right[told]
    print(f"  ours less CROWDLAB     {interval(ours - theirs)}")
    queue = [task for task in found["queue"] if task in wrong.index]
    print(
        f"  queue, cleanlab        {precision(queue, wrong):24} {found['queue_seconds']:8.2f} CPU s"
        f"  ({found['flagged']} flagged)",
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--peer", help="a Python that has cleanlab 2.9")
    parser.add_argument("--work", type=Path, default=WORK, help="where probabilities are kept")
    parser.add_argument("--sets", default=",".join(SETS), help=f"(default: {','.join(SETS)})")
    parser.add_argument("--quick", action="store_true", help="a small synthetic crowd only")
    args = parser.parse_args(argv)
    if args.quick:
        measure("made up", synthetic(600, 60, 3), args.peer)
        return 0
    for name in args.sets.split(","):
        if name == "large":
            measure("large (made up)", synthetic(10_000, 2_500, 50), args.peer)
            continue
        scene = real(name, args.data, args.work)
        if scene is None:
            print(f"\n{name}: not at hand")
        else:
            measure(name, scene, args.peer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
