"""python -m quality.issues: pictures whose consensus looks wrong to a classifier that was not taught it.

Confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70, sections 3.1 to 3.3), our own code. A picture
counts as confidently of class j where its out-of-fold probability of j is at least the mean that pictures
labelled j have (the class's threshold); where several classes pass, the likeliest. Counting given labels
against confident classes, and scaling the rows to how often each label was given, estimates how many pictures
labelled i are truly j. So many are flagged: from each pair (i, j) those by whom the classifier prefers j to i
most ("prune by noise rate"), and where the likeliest class is the given one, none. The queue is ranked by the
normalised margin, the given label's probability less the best other's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.tables import BadTable, read_table, table_kind, write_table

RENAME = {"item": "task", "image": "task", "category": "label"}
MOST_CELLS = 200_000_000
"""Largest table of tasks x labels."""
SCORES = ("margin", "self_confidence")
ISSUES = ("task", "label", "suggested", "self_confidence", "margin", "flagged", "rank")
EXAMPLE = """example:
  python -m training.embed photos -o features.parquet --labels votes.csv --probabilities probs.csv
  python -m quality.issues consensus.csv probs.csv -o issues.csv
  python manage.py request_votes clothing --issues issues.csv

CONSENSUS has the columns task and label, PROBABILITIES task, label and probability (out of fold). Written:
task,label,suggested,self_confidence,margin,flagged,rank; rank 1 is the most doubtful."""


@dataclass(frozen=True)
class Found:
    """`issues`: frame of the columns ISSUES, sorted by task. `joint`: frame `label,true,share`, the estimated
    share of all pictures with that label and that true class; `estimated_error`: its sum off the diagonal."""

    issues: pd.DataFrame
    joint: pd.DataFrame
    estimated_error: float
    not_judged: int


def find_issues(consensus: pd.DataFrame, probabilities: pd.DataFrame, rank_by: str = "margin") -> Found:
    """Rank every labelled picture by how wrong its label looks; flag as many as are estimated to be wrong.

    Args:
        consensus: `task,label`, one row a task; an empty label is no label.
        probabilities: `task,label,probability`, out of fold; missing labels have probability 0.
        rank_by: `margin` (normalised margin) or `self_confidence`.

    Raises:
        ValueError: an unknown ranking, a task twice, or numbers that are no probabilities.
    """
    if rank_by not in SCORES:
        raise ValueError(f"unknown ranking {rank_by!r} (known: {', '.join(SCORES)})")
    given = consensus[consensus["label"].ne("")]
    if given["task"].duplicated().any():
        twice = given["task"][given["task"].duplicated()].iloc[0]
        raise ValueError(f"the consensus has task {twice} twice")
    tasks, label, chance, labels = _aligned(given, probabilities)
    n, rows = len(tasks), np.arange(len(tasks))
    own = chance[rows, label]
    others = chance.copy()
    others[rows, label] = -1.0
    rival = others.argmax(axis=1) if n else label
    margin = (own - others[rows, rival] + 1.0) / 2.0 if len(labels) > 1 else own
    joint = _joint(label, chance)
    flagged = _flagged(label, chance, joint)
    score = margin if rank_by == "margin" else own
    rank = np.empty(n, np.int64)
    # Flagged first; then by doubt; equal doubts in the order of their names.
    rank[np.lexsort((rows, np.round(score, 9), ~flagged))] = np.arange(1, n + 1)
    suggested = np.where(chance.argmax(axis=1) == label, label, rival) if n else label
    columns = (tasks, labels[label], labels[suggested], np.round(own, 6), np.round(margin, 6), flagged, rank)
    at, true = np.nonzero(joint > 0)
    return Found(
        pd.DataFrame(dict(zip(ISSUES, columns, strict=True))),
        pd.DataFrame({"label": labels[at], "true": labels[true], "share": np.round(joint[at, true], 6)}),
        float(joint.sum() - np.trace(joint)),
        len(given) - n,
    )


def issues_in(path: str) -> list[tuple[str, str]]:
    """(task, doubted label) of a table of issues, the most doubtful first; label "" where it has none.

    Of a table with a column `flagged` only the rows that say true; by `rank` where it has one.

    Raises:
        BadTable: no table, no column task, an empty task, or a rank that is no number.
    """
    frame = read_table(path, ("task",), numbers=("rank",), rename=RENAME)
    if frame["task"].eq("").any():
        raise BadTable(f"{path}: row {int(frame['task'].eq('').to_numpy().argmax()) + 2} names no task")
    if "flagged" in frame:
        frame = frame[frame["flagged"].str.lower().eq("true")]
    if "rank" in frame:
        frame = frame.sort_values("rank", kind="stable")
    label = frame["label"] if "label" in frame else pd.Series("", index=frame.index)
    return list(zip(frame["task"], label, strict=True))


def run_probabilities(file: Path, arm: str | None, categories: Sequence[str]) -> pd.DataFrame:
    """`task,label,probability` of a training run: what it says of the pictures that it was *not* taught.

    A run's predictions.parquet has `arm,seed,image,label,predicted,probabilities` for the test split. Of the
    training splits' pictures those count for which a column `fold` (0 or more) says which part the model that
    judged them had been kept from. Probabilities are means over seeds.

    Args:
        arm: whose predictions; None: `consensus`, or the only one.
        categories: the dataset's, to name the probabilities: they stand in the order of the sorted names.

    Raises:
        ValueError: no such file, no such arm, or no out-of-fold predictions in it.
    """
    try:
        frame = pq.read_table(file).to_pandas()
    except FileNotFoundError:
        raise BadTable(f"{file}: no such file; give the folder that training.retrain wrote") from None
    except (OSError, pa.ArrowException) as error:
        raise BadTable(f"{file}: not a readable table: {' '.join(str(error).split())[:150]}") from None
    missing = [name for name in ("arm", "image", "label", "predicted", "probabilities") if name not in frame]
    if missing:
        raise BadTable(f"{file}: no column {', '.join(missing)}: not the predictions of a run")
    fold = pd.to_numeric(frame["fold"], errors="coerce") if "fold" in frame else pd.Series(-1, frame.index)
    frame = frame[fold.ge(0)]
    if not len(frame):
        raise BadTable(
            f"{file}: it judges only the test split: no picture that the run was taught has an out-of-fold "
            "prediction; the run's own command with --suspects adds them"
        )
    arms = sorted(set(frame["arm"]))
    wanted = arm or ("consensus" if "consensus" in arms else arms[0] if len(arms) == 1 else "")
    if wanted not in arms:
        raise BadTable(f"{file}: no arm {wanted or 'is chosen'}: --arm names one of {', '.join(arms)}")
    frame = frame[frame["arm"].eq(wanted)]
    chance = np.stack(frame["probabilities"].map(np.asarray).to_list()).astype(float)
    seen = sorted({*frame["label"], *frame["predicted"]})
    names = next((sorted(n) for n in (seen, set(categories)) if len(n) == chance.shape[1]), None)
    if names is None:
        raise BadTable(f"{file}: {chance.shape[1]} probabilities a picture, but {len(categories)} categories")
    wide = pd.DataFrame(chance, columns=names).groupby(frame["image"].to_numpy()).mean()
    long = wide.rename_axis("task").reset_index().melt("task", var_name="label", value_name="probability")
    return long.sort_values(["task", "label"], ignore_index=True)


def _aligned(
    given: pd.DataFrame, probabilities: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Judged tasks (sorted), their label's code, float64[n, K] probabilities that sum to 1, the labels."""
    number = pd.to_numeric(probabilities["probability"], errors="coerce").to_numpy(dtype=float)
    wrong = ~((number >= 0) & (number <= 1 + 1e-6))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"row {row + 2}: {probabilities['probability'].iloc[row]} is no probability (0 to 1)"
        )
    given = given[given["task"].isin(probabilities["task"])].sort_values("task")
    tasks = given["task"].to_numpy(dtype=object)
    labels = np.array(sorted(set(given["label"]) | set(probabilities["label"])), dtype=object)
    if max(len(tasks), len(labels)) * len(labels) > MOST_CELLS:
        raise ValueError(f"{len(tasks)} tasks x {len(labels)} labels are too many to hold; split the tasks")
    chance = np.zeros((len(tasks), len(labels)))
    task = pd.Index(tasks).get_indexer(probabilities["task"])
    here = task >= 0
    chance[task[here], pd.Index(labels).get_indexer(probabilities["label"][here])] = number[here]
    total = chance.sum(axis=1, keepdims=True)
    chance = np.divide(chance, total, out=np.full_like(chance, 1.0 / max(len(labels), 1)), where=total > 0)
    return tasks, pd.Index(labels).get_indexer(given["label"]), chance, labels


def _joint(label: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """float64[K, K]: estimated share of pictures by given label and true class; sums to 1 (or all are 0)."""
    n, k = chance.shape
    counts = np.bincount(label, minlength=k).astype(float)
    own = np.bincount(label, weights=chance[np.arange(n), label], minlength=k)
    # A class that nobody was given has no threshold: nothing can be confidently of it.
    threshold = np.divide(own, counts, out=np.full(k, np.inf), where=counts > 0)
    passes = chance >= threshold - 1e-12
    confident = passes.any(axis=1)
    true = np.where(passes, chance, -1.0).argmax(axis=1)
    joint = np.zeros((k, k))
    np.add.at(joint, (label[confident], true[confident]), 1.0)
    row = joint.sum(axis=1)
    # A label of which nothing was confident: taken for right, as without evidence one must.
    joint[np.arange(k), np.arange(k)] += (row == 0) * 1.0
    joint *= (counts / joint.sum(axis=1))[:, None]
    return joint / max(n, 1)


def _flagged(label: np.ndarray, chance: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """bool[n]: for each pair (i, j) the n joint[i, j] pictures labelled i that lean most to j."""
    n, k = chance.shape
    flagged = np.zeros(n, bool)
    for i in range(k):
        rows = np.flatnonzero(label == i)
        for j in np.flatnonzero(joint[i] > 0):
            wanted = min(round(n * joint[i, j]), len(rows))
            if i != j and wanted:
                lean = chance[rows, j] - chance[rows, i]
                flagged[rows[np.argsort(-lean, kind="stable")[:wanted]]] = True
    return flagged & (chance.argmax(axis=1) != label) if n else flagged


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    try:
        table_kind(args.output)
        if Path(args.output).resolve() in (
            Path(args.consensus).resolve(),
            Path(args.probabilities).resolve(),
        ):
            raise BadTable(f"{args.output}: it is read here too; results go to a file of their own")
        consensus = read_table(args.consensus, ("task", "label"), rename=RENAME)
        probabilities = read_table(args.probabilities, ("task", "label", "probability"), rename=RENAME)
        found = find_issues(consensus, probabilities, args.rank_by)
        issues = found.issues if args.all else found.issues[found.issues["flagged"]]
        if table_kind(args.output) != ".parquet":
            issues = issues.assign(flagged=np.where(issues["flagged"], "true", "false"))
        write_table(issues, args.output)
    except (BadTable, ValueError) as error:
        print(f"quality.issues: {error}", file=sys.stderr)
        return 2
    pairs = found.joint[found.joint["label"] != found.joint["true"]].nlargest(5, "share")
    summary = {
        "tasks": len(found.issues),
        "not_judged": found.not_judged,
        "flagged": int(found.issues["flagged"].sum()),
        "estimated_error": round(found.estimated_error, 6),
        "confused": pairs.to_dict("records"),
    }
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
        return 0
    aside = f" ({summary['not_judged']} without probabilities left aside)" if summary["not_judged"] else ""
    look = "looks" if summary["flagged"] == 1 else "look"
    print(
        f"{summary['flagged']} of {number_of(len(found.issues), 'label')} {look} wrong{aside}, "
        f"about {found.estimated_error:.1%} are -> {args.output}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m quality.issues",
        description="Find labels that look wrong, given a classifier's out-of-fold probabilities.",
        epilog=EXAMPLE,
    )
    parser.add_argument("consensus", metavar="CONSENSUS", help="table of task,label")
    parser.add_argument("probabilities", metavar="PROBABILITIES", help="table of task,label,probability")
    parser.add_argument("-o", "--output", metavar="ISSUES", required=True, help="the table to write")
    parser.add_argument("--rank-by", default="margin", choices=SCORES, help="(default: margin)")
    parser.add_argument("--all", action="store_true", help="write every task, not only those flagged")
    parser.add_argument("--json", action="store_true", help="print the totals as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
