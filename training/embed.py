"""`python -m training.embed`: features of pictures, and what a linear head makes of them.

With labels it also writes out-of-fold probabilities, which `quality.aggregate --pictures` counts as one more
voter and `quality.issues` holds against the consensus. Needs no Django and no database.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.progress import progress as bar
from ingest.tables import BadTable, table_kind, write_table
from quality.aggregation import BadVotes
from training.report.album import Album, as_targets, open_album, rows_of, soft_labels

SIZE = 160
FOLDS = 5
BATCH = 32
LEAST = 1e-6
"""Probabilities below this are not written."""
EXAMPLE = """example:
  python -m training.embed photos -o features.parquet --labels votes.csv --probabilities probs.csv
  python -m training.embed releases/clothing-1.0.0 -o features.parquet --probabilities probs.parquet
  python -m quality.aggregate votes.csv -o consensus.csv --pictures probs.csv

Written: image,features (1,280 numbers a picture), and task,label,probability, out of fold: each picture is
judged by a head that was taught neither it nor a copy of it. The labels are a table of votes
(task,worker,label), of labels (task,label[,confidence]) or of probabilities (task,label,probability); a
release brings its own. A task is a picture's path inside the folder, its file's name with or without the
ending, or the SHA-256 of its bytes.
"""


@dataclass(frozen=True)
class Embedded:
    """`features`: float32[n, 1280], zeros where not `readable` (bool[n]); `digests`: SHA-256 of the bytes."""

    features: np.ndarray
    readable: np.ndarray
    digests: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 no picture could be read or no model is there, 2 unusable arguments or input."""
    args = _parser().parse_args(argv)
    try:
        summary = _run(args)
    except (BadTable, BadVotes, ValueError) as error:
        return _fail(str(error), 2)
    except (OSError, RuntimeError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; nothing was written", 1)
    for line in summary["warnings"]:
        print(f"embed: warning: {line}", file=sys.stderr)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
        return 0
    words = f"{number_of(summary['pictures'], 'picture')} -> {args.output}"
    if args.probabilities:
        words += (
            f"; {summary['judged']:,} judged out of fold over {number_of(summary['labels'], 'label')} "
            f"(loss {summary['loss']:.3f}) -> {args.probabilities}"
        )
    print(words)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"embed: {' '.join(message.split())}", file=sys.stderr)
    return code


def _run(args: argparse.Namespace) -> dict[str, Any]:
    """Check the arguments, embed, judge, write; the summary that `--json` prints."""
    for target in filter(None, (args.output, args.probabilities)):
        table_kind(target)
    written = [Path(path).resolve() for path in (args.output, args.probabilities) if path]
    read = [Path(path).resolve() for path in (args.labels, args.groups, args.map) if path]
    if len({*written, *read}) < len(written) + len(set(read)):
        raise BadTable("an output is named for something else too; results go to files of their own")
    if table_kind(args.output) != ".parquet":
        raise BadTable(f"{args.output}: features are written as .parquet")
    if not 16 <= args.size <= 1024 or not 2 <= args.folds <= 100:
        raise BadTable("--size is 16 to 1024 pixels, --folds 2 to 100")
    if args.threads is not None and args.threads < 1:
        raise BadTable("--threads must be 1 or more")
    album = open_album(args.place, args.map, args.groups)
    labels = _labels_file(args)
    soft = soft_labels(labels) if labels else None
    warnings = [f"no picture by its name: {number_of(album.other, 'file')}"] if album.other else []
    found = embed(album.files, args.size, args.device, args.precision, args.threads)
    if not found.readable.all():
        bad = [image for image, fine in zip(album.images, found.readable, strict=True) if not fine]
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        warnings.append(f"not readable: {number_of(len(bad), 'picture')}: {', '.join(bad[:3])}{more}")
    if not found.readable.any():
        raise RuntimeError(f"{args.place}: none of {number_of(len(album.images), 'picture')} can be read")
    summary: dict[str, Any] = {
        "pictures": int(found.readable.sum()),
        "unreadable": int((~found.readable).sum()),
        "warnings": warnings,
    }
    if soft is not None:
        table, more_summary = judge(album, found, soft, args.folds, args.device)
        summary |= more_summary
        if summary["unmatched"]:
            lost = number_of(summary["unmatched"], "labelled task")
            warnings.append(f"no readable picture here: {lost}")
        write_table(table, args.probabilities)
    _write_features(album, found, args.output)
    return summary


def _labels_file(args: argparse.Namespace) -> Path | None:
    """The table to learn from: as asked, or the release's own."""
    if not args.probabilities:
        if args.labels:
            raise BadTable("--labels needs --probabilities, the file to write what the head says")
        return None
    if args.labels:
        return Path(args.labels)
    for name in ("posteriors.parquet", "votes.parquet"):
        if (args.place / name).is_file():
            return Path(args.place / name)
    raise BadTable("--probabilities needs --labels: a table of votes or labels to learn from")


def embed(
    files: Sequence[Path],
    size: int = SIZE,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> Embedded:
    """Features of picture files: the mean of those of the picture and of its mirror image.

    Raises:
        BackboneError: the weights are not installed. ValueError: the device does not exist.
    """
    import torch  # after the input was found usable: loading it takes seconds

    from training.backbone import FEATURES, load_backbone, pooled
    from training.cache import decode
    from training.experiment import pick_device, pick_precision
    from training.retrain import available_cores

    where = pick_device(device)
    bits = pick_precision(precision, where)
    net, one_at_a_time = load_backbone(where), threading.Lock()
    features = np.zeros((len(files), FEATURES), np.float32)
    readable, digests = np.zeros(len(files), bool), [""] * len(files)

    def fill(start: int) -> int:
        pixels, rows = [], []
        for row in range(start, min(start + BATCH, len(files))):
            picture = decode(files[row], size)
            if picture is not None:
                digests[row] = hashlib.sha256(files[row].read_bytes()).hexdigest()
                pixels.append(picture)
                rows.append(row)
        if rows and where.type == "cpu":
            features[rows] = pooled(net, np.stack(pixels), where, bits).mean(axis=0)
        elif rows:
            with one_at_a_time:
                features[rows] = pooled(net, np.stack(pixels), where, bits).mean(axis=0)
        readable[rows] = True
        return len(rows)

    # Batches go side by side, one thread each: threads that share a small batch wait for each other.
    workers = threads or available_cores()
    starts = range(0, len(files), BATCH)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in bar(pool.map(fill, starts), total=len(starts), what="features", unit="batch"):
            pass
    torch.set_num_threads(workers)
    return Embedded(features, readable, digests)


def judge(
    album: Album, found: Embedded, soft: pd.DataFrame, folds: int = FOLDS, device: str = "auto"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """`task,label,probability` of every labelled picture, out of fold, sorted; and figures for the summary.

    Raises:
        HeadError: too few labelled pictures, or one class only.
    """
    from training.experiment import pick_device
    from training.out_of_fold import HeadError, out_of_fold

    rows = rows_of(list(soft["task"]), album.images, found.digests)
    rows[rows >= 0] = np.where(found.readable[rows[rows >= 0]], rows[rows >= 0], -1)
    targets, tasks, labels = as_targets(soft, rows, len(album.images))
    labelled = np.flatnonzero(targets.sum(axis=1) > 0)
    if not len(labelled):
        first = str(soft["task"].iloc[0]) if len(soft) else "none"
        raise HeadError(
            f"no task of the labels is a picture here (first task: {first}; first picture: {album.images[0]}"
            "); --map F gives a table task,file"
        )
    groups = [album.groups[row] or found.digests[row] for row in labelled]
    judged = out_of_fold(
        found.features[labelled],
        targets[labelled],
        groups,
        folds=folds,
        device=pick_device(device),
        progress=_bar,
    )
    row, column = np.nonzero(judged.probabilities >= LEAST)
    table = pd.DataFrame(
        {
            "task": tasks[labelled][row],
            "label": np.array(labels, dtype=object)[column],
            "probability": np.round(judged.probabilities[row, column], 6),
        }
    ).sort_values(["task", "label"], ignore_index=True)
    return table, {
        "judged": len(labelled),
        "labels": len(labels),
        "unmatched": int(soft["task"][rows < 0].nunique()),
        "folds": folds,
        "decay": judged.decay,
        "loss": round(judged.loss, 6),
    }


def _bar(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    return bar(items, total=total, what=what, unit="fold")


def _write_features(album: Album, found: Embedded, target: str) -> None:
    rows = np.flatnonzero(found.readable)
    frame = pd.DataFrame(
        {"image": [album.images[row] for row in rows], "features": list(found.features[rows])}
    )
    write_table(frame, target)


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m training.embed",
        description="Turn pictures into features, and judge their labels out of fold.",
        epilog=EXAMPLE,
    )
    parser.add_argument("place", type=Path, metavar="RELEASE|FOLDER", help="where the pictures are")
    parser.add_argument("-o", "--output", metavar="F.parquet", required=True, help="the features")
    parser.add_argument(
        "--labels", metavar="T", help="votes or labels to learn from (default: the release's)"
    )
    parser.add_argument("--probabilities", metavar="P", help="write task,label,probability here")
    parser.add_argument("--folds", type=int, default=FOLDS, metavar="N", help=f"(default: {FOLDS})")
    parser.add_argument("--groups", type=Path, metavar="G", help="path,group: copies that share a fold")
    parser.add_argument(
        "--map", type=Path, metavar="M", help="task,file: what the tasks' pictures are called"
    )
    parser.add_argument("--size", type=int, default=SIZE, metavar="PX", help=f"(default: {SIZE})")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: the cores at hand)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
