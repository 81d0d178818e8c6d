"""`python -m training.predict`: what a trained model says of pictures. Needs no database, nor the release."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.dedup import list_files
from ingest.progress import progress
from ingest.tables import BadTable, read_table, table_kind, write_table
from training.cache import decode
from training.report.album import ENDINGS
from training.retrain import available_cores
from training.trained import PREFERRED, Trained, TrainedError, open_run

if TYPE_CHECKING:
    from training.trained import Nets

TOP = 5
BATCH = 256
MOST_NAMED = 10
LEAST = 1e-6
"""Probabilities below this are not written for quality."""
LISTS = (".txt", ".csv", ".csv.gz", ".parquet")
EXAMPLE = f"""example:
  python -m training.predict runs/clothing-1.0.0 photos new/*.jpg -o said.csv
  python -m training.predict runs/clothing-1.0.0 releases/clothing-2.0.0 --split test -o said.parquet --wide

Written: image,category,probability, the {TOP} most probable categories of each picture (--top N). IMAGES are
files, folders (with all below them), patterns in quotes ('photos/**/*.jpg'), lists (.txt: a path a line; a
table: column path, file or image) and releases, whose pictures are called by their SHA-256; all others by
their paths. Without --arm it is {", ".join(PREFERRED[:-1])} or {PREFERRED[-1]}, the first that the run has;
without --seed the mean of the arm's nets. --wide writes a row a picture, as export.score reads it:
image,category1,...,probability1,... With --probabilities P also a table of all categories, which
quality.aggregate --pictures counts as one more voter and quality.issues reads: of pictures that the nets were
never taught, or it repeats their labels.
"""


@dataclass(frozen=True)
class Picture:
    """What it is called in the results, and its file."""

    name: str
    file: Path


@dataclass(frozen=True)
class Said:
    """`classes`: int64[n, top], the most probable first; `probabilities`: float64[n, top]; `unreadable`:
    names of pictures that could not be decoded, which the others leave out."""

    names: list[str]
    classes: np.ndarray
    probabilities: np.ndarray
    unreadable: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 a picture could not be read (the others were written) or it failed, 2 unusable."""
    args = _parser().parse_args(argv)
    try:
        summary = _run(args)
    except (BadTable, TrainedError) as error:
        return _fail(str(error), 2)
    except _unusable() as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(f"{error.filename or args.output}: {error.strerror or error}", 1)
    except RuntimeError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped; nothing was written", 1)
    bad = summary["unreadable"]
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
    elif summary["pictures"]:
        nets = number_of(len(summary["seeds"]), "net")
        print(f"{number_of(summary['pictures'], 'picture')} by {nets} of {summary['arm']} -> {args.output}")
    if bad:
        more = f" and {len(bad) - MOST_NAMED:,} more" if len(bad) > MOST_NAMED else ""
        left = f"cannot be decoded, left out: {number_of(len(bad), 'picture')}"
        return _fail(f"{left}: {', '.join(bad[:MOST_NAMED])}{more}", 1)
    return 0


def _unusable() -> tuple[type[Exception], ...]:
    """Errors of the input that need torch to be raised."""
    if "torch" not in sys.modules:
        return ()
    from training.backbone import BackboneError
    from training.networks import NetworkError
    from training.settings import SettingsError

    return (BackboneError, NetworkError, SettingsError)


def _fail(message: str, code: int) -> int:
    print(f"predict: {' '.join(message.split())}", file=sys.stderr)
    return code


def _run(args: argparse.Namespace) -> dict[str, Any]:
    """Check the arguments, ask the nets, write; the summary that `--json` prints."""
    written = _check(args)
    run = open_run(args.run)
    arm = run.arm(args.arm)
    seeds = run.seeds_of(arm, args.seed)
    pictures = find_pictures(args.images, args.split)
    read = {picture.file.resolve() for picture in pictures}
    if taken := [path for path in written if Path(path).resolve() in read]:
        raise BadTable(f"{taken[0]} is one of the pictures; results go to a file of their own")

    import torch  # after the input was found usable: loading it takes seconds

    from training.experiment import pick_device
    from training.trained import Nets

    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd camera data, which nobody looks at
    threads = args.threads or available_cores()
    torch.set_num_threads(threads)
    try:
        device = pick_device(args.device)
    except ValueError as error:
        raise BadTable(str(error)) from None
    nets = Nets(run, arm, seeds, device, None if args.precision == "run" else args.precision, threads)
    top = min(args.top, len(run.classes))
    said = ask(nets, pictures, len(run.classes) if args.probabilities else top, args.batch, threads)
    if not said.names:
        raise RuntimeError(
            f"none of {number_of(len(pictures), 'picture')} can be decoded; nothing was written"
        )
    write_table((wide if args.wide else long)(said, run, top), args.output)
    if args.probabilities:
        every = long(said, run, len(run.classes)).set_axis(["task", "label", "probability"], axis=1)
        every = every[every["probability"] >= LEAST].sort_values(["task", "label"])
        write_table(every, args.probabilities)
    return {
        "pictures": len(said.names),
        "unreadable": said.unreadable,
        "arm": arm,
        "seeds": list(seeds),
        "device": device.type,
        "precision": nets.precision,
    }


def _check(args: argparse.Namespace) -> list[str]:
    """The files to write. BadTable: they, or a number, cannot be used."""
    written = [path for path in (args.output, args.probabilities) if path]
    for path in written:
        table_kind(path)
        if not Path(path).resolve().parent.is_dir():
            raise BadTable(f"{path}: no such folder to write into")
    if len({Path(path).resolve() for path in written}) < len(written):
        raise BadTable("both tables are to be written into one file; give them names of their own")
    for name, least in (("--top", args.top), ("--batch", args.batch), ("--threads", args.threads)):
        if least is not None and least < 1:
            raise BadTable(f"{name} must be 1 or more")
    return written


def ask(nets: Nets, pictures: Sequence[Picture], top: int, batch: int, threads: int) -> Said:
    """The `top` most probable classes of each picture, by the mean of the nets; `batch` at a time."""
    names: list[str] = []
    bad: list[str] = []
    classes: list[np.ndarray] = []
    chances: list[np.ndarray] = []
    bar = progress(total=len(pictures), what="predict", unit="picture")
    for part, decoded in _decoded(pictures, nets.stored, batch, threads):
        fine = [place for place, pixels in enumerate(decoded) if pixels is not None]
        bad += [picture.name for place, picture in enumerate(part) if decoded[place] is None]
        if fine:
            found = nets.probabilities(np.stack([pixels for pixels in decoded if pixels is not None]))
            mean = found.astype(np.float64).mean(axis=0)
            order = np.argsort(-mean, axis=1, kind="stable")[:, :top]
            names += [part[place].name for place in fine]
            classes.append(order)
            chances.append(np.take_along_axis(mean, order, axis=1))
        bar.update(len(part))
    bar.close()
    none = np.zeros((0, top))
    return Said(names, np.concatenate(classes or [none.astype(int)]), np.concatenate(chances or [none]), bad)


def _decoded(
    pictures: Sequence[Picture], size: int, batch: int, threads: int
) -> Iterator[tuple[Sequence[Picture], list[np.ndarray | None]]]:
    """Batches with their pixels (None: cannot be decoded); the next one is decoded meanwhile."""
    parts = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    ahead: list[Future[np.ndarray | None]] = []
    with ThreadPoolExecutor(threads) as pool:
        for number, part in enumerate([*parts, []]):
            waiting, ahead = ahead, [pool.submit(decode, picture.file, size) for picture in part]
            if number:
                yield parts[number - 1], [future.result() for future in waiting]


def long(said: Said, run: Trained, top: int) -> pd.DataFrame:
    """`image,category,probability`, by image, the `top` most probable first."""
    names = np.array(run.classes, dtype=object)
    frame = pd.DataFrame(
        {
            "image": np.repeat(np.array(said.names, dtype=object), top),
            "category": names[said.classes[:, :top]].ravel(),
            "probability": np.round(said.probabilities[:, :top].ravel(), 6),
        }
    )
    return frame.sort_values("image", kind="stable", ignore_index=True)


def wide(said: Said, run: Trained, top: int) -> pd.DataFrame:
    """`image,category1,…,probability1,…`, a row a picture, by image."""
    names = np.array(run.classes, dtype=object)
    columns: dict[str, Any] = {"image": said.names}
    columns |= {f"category{n + 1}": names[said.classes[:, n]] for n in range(top)}
    columns |= {f"probability{n + 1}": np.round(said.probabilities[:, n], 6) for n in range(top)}
    return pd.DataFrame(columns).sort_values("image", kind="stable", ignore_index=True)


def find_pictures(given: Sequence[str], split: str | None = None) -> list[Picture]:
    """All pictures that the arguments name, each once, in the order of their names.

    Raises:
        BadTable: an argument that is nothing, or names no picture.
    """
    found: dict[str, Path] = {}
    releases = 0
    for name in given:
        path = Path(name)
        if not name:
            raise BadTable("a picture without a name; is a variable empty?")
        if path.is_dir() and (path / "manifest.parquet").is_file() and (path / "SHA256SUMS").is_file():
            more = _of_release(path, split)
            releases += 1
        elif path.is_dir():
            more = [(f"{_plain(path)}{each}", path / each) for each in list_files(path)]
            more = [(called, file) for called, file in more if called.lower().endswith(ENDINGS)]
            if not more:
                raise BadTable(f"{name}: no pictures there ({', '.join(ENDINGS)})")
        elif path.is_file() and name.lower().endswith(LISTS):
            more = [(line, _listed(path, line)) for line in _lines(path)]
        elif path.is_file():
            more = [(path.as_posix(), path)]
        else:
            inside = path.relative_to(path.anchor).as_posix()
            more = [(file.as_posix(), file) for file in Path(path.anchor).glob(inside) if file.is_file()]
            if not more:
                raise BadTable(f"{name}: no such file or folder, and no pattern that fits a file")
        found.update(more)
    if split and not releases:
        raise BadTable("--split goes with a release")
    return [Picture(called, found[called]) for called in sorted(found)]


def _plain(folder: Path) -> str:
    """What stands before the name of a file in it: nothing for the folder that one is in."""
    return "" if folder.as_posix() == "." else f"{folder.as_posix()}/"


def _of_release(path: Path, split: str | None) -> list[tuple[str, Path]]:
    manifest = read_table(path / "manifest.parquet", need=("image", "path", "split"))
    rows = manifest if split is None else manifest[manifest["split"] == split]
    if rows.empty:
        raise BadTable(f"{path}: no pictures{'' if split is None else f' in split {split}'} there")
    return [(image, path / file) for image, file in zip(rows["image"], rows["path"], strict=True)]


def _lines(path: Path) -> list[str]:
    """The names in a list."""
    if path.suffix.lower() == ".txt":
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except UnicodeError:
            raise BadTable(f"{path}: no list of paths: it is not UTF-8 text") from None
    else:
        lines = list(read_table(path, need=("path",), rename={"file": "path", "image": "path"})["path"])
    if not any(lines):
        raise BadTable(f"{path}: the list is empty")
    return [line for line in lines if line]


def _listed(path: Path, line: str) -> Path:
    """The file that a line of a list means: as seen from here, else from the list's folder."""
    return Path(line) if Path(line).is_file() else path.parent / line


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m training.predict",
        description="Put the nets of a run to use on pictures.",
        epilog=EXAMPLE,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="files, folders, patterns, lists, releases"
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=".csv, .csv.gz or .parquet")
    parser.add_argument("--arm", help=f"whose nets (default: {', '.join(PREFERRED)}: the first there)")
    parser.add_argument("--seed", type=int, metavar="N", help="one net alone (default: the mean of all)")
    parser.add_argument("--top", type=int, default=TOP, metavar="N", help=f"categories (default: {TOP})")
    parser.add_argument("--wide", action="store_true", help="a row a picture, as export.score reads it")
    parser.add_argument(
        "--probabilities",
        metavar="P",
        help="also write task,label,probability of all categories, for quality",
    )
    parser.add_argument("--split", metavar="NAME", help="of releases, only train, val or test")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"pictures (default: {BATCH})")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--precision", default="run", choices=("run", "bf16", "fp32"), help="default: as the run was tested"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: the cores at hand)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
