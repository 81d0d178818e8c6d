"""`python -m training.retrain`: what are a release's labels worth? Needs no Django and no database."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ingest.arguments import Arguments
from training.arms import ARMS, AUDIT, ArmError, Labellings
from training.arms.prepare import ALL, default_arms, known_arm, prepare, unknown_arm
from training.presets import PRESETS, Settings, SettingsError, resolve
from training.release import Release, ReleaseError, open_release
from training.store import RunFolder, StoreError, digest_of, write_atomically

SCHEMA = 1  # of metrics.json
EXAMPLE = """example:
  python -m training.retrain releases/clothing-1.0.0 -o runs/clothing-1.0.0
  python -m training.retrain releases/clothing-1.0.0 -o runs/two --arms majority,consensus --seeds 10 --json

The same command again goes on with a run that was stopped. Written into RUN: metrics.json, report.html,
predictions.parquet, checkpoints/.
"""


def parser() -> argparse.ArgumentParser:
    """The command line; every setting of `training.presets.Settings` can also stand in the TOML file."""
    p = Arguments(
        prog="python -m training.retrain",
        description="Retrain a baseline on a release under several labellings and compare them.",
        epilog=EXAMPLE,
    )
    p.add_argument("release", type=Path, help="release folder (DATASET-VERSION)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    p.add_argument(
        "--arms", type=_names, metavar="A,B", help=f"labellings to compare: {', '.join(ARMS)}; {ALL}"
    )
    p.add_argument("--seeds", type=int, metavar="N", help="runs of each arm, default 5")
    p.add_argument("--preset", help=f"{', '.join(PRESETS)}; default quick")
    p.add_argument("--config", type=Path, metavar="F.toml", help="settings; flags override them")
    p.add_argument("--model", help="lite0 (frozen backbone), small, or a torchvision model from scratch")
    p.add_argument("--size", type=int, metavar="PX", help="pictures are scaled and cropped to this")
    p.add_argument("--hidden", type=int, metavar="N", help="hidden units of the head of lite0, 0 for linear")
    p.add_argument("--epochs", type=int, metavar="N")
    p.add_argument("--batch", type=int, metavar="N")
    p.add_argument("--lr", type=float, help="learning rate")
    p.add_argument("--weight-decay", type=float)
    p.add_argument(
        "--confidence",
        type=float,
        metavar="P",
        help="arm confident: pictures below it are left out, default 0.9",
    )
    p.add_argument("--folds", type=int, metavar="N", help="arm cleaned: parts of the train split, default 5")
    p.add_argument("--precision", help="auto, bf16 or fp32")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads, default: the cores this process may use"
    )
    p.add_argument(
        "--cache", type=Path, metavar="DIR", help="decoded pictures, shared by runs; default RUN/cache"
    )
    p.add_argument("--restart", action="store_true", help="replace the run that the folder holds")
    p.add_argument("--no-verify", action="store_true", help="do not re-hash the release's files first")
    p.add_argument("--json", action="store_true", help="print the metrics on stdout instead of a table")
    return p


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (0 done, 1 the training failed, 2 unusable input)."""
    arguments = parser().parse_args(argv)
    from training.backbone import BackboneError
    from training.loop import DivergedError
    from training.networks import NetworkError

    try:
        metrics = retrain(arguments, _command(argv))
    except (ReleaseError, SettingsError, ArmError, StoreError, NetworkError, BackboneError) as error:
        return _fail(str(error), 2)
    except DivergedError as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or arguments.output}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on with the pairs that are missing", 1)
    print(json.dumps(metrics, indent=1) if arguments.json else text_table(metrics))
    if not arguments.json:
        print(f"report: {arguments.output / 'report.html'}")
    return 0


def _fail(message: str, code: int) -> int:
    print(f"retrain: {' '.join(message.split())}", file=sys.stderr)
    return code


def _command(argv: list[str] | None) -> str:
    return shlex.join(["python", "-m", "training.retrain", *(sys.argv[1:] if argv is None else argv)])


def progress(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """A bar on stderr, if that is a terminal or ASSAY_PROGRESS=1 asks for it."""
    shown = sys.stderr.isatty() or os.environ.get("ASSAY_PROGRESS") == "1"
    return tqdm(items, total=total, desc=what, disable=not shown, file=sys.stderr)


def available_cores() -> int:
    """The cores that this process may use, which a container may have made fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def retrain(arguments: argparse.Namespace, command: str) -> dict[str, Any]:
    """The whole run: open the release, train what is missing, write the results; returns the metrics."""
    started = time.monotonic()
    settings, named = _settings(arguments)
    threads = arguments.threads or available_cores()
    if threads < 1:
        raise SettingsError("threads must be 1 or more")
    release = open_release(arguments.release, verify=not arguments.no_verify, workers=threads)
    warnings: list[str] = []
    if not named:
        settings, warnings = _possible(release, settings)

    import torch  # after the input was found usable: loading it takes seconds

    from training import experiment, report
    from training.arms import cleaning
    from training.cache import open_pictures
    from training.statistics import summary

    torch.set_num_threads(threads)
    try:
        device = experiment.pick_device(arguments.device)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    folder, cache = RunFolder(arguments.output), arguments.cache or arguments.output / "cache"
    labellings = prepare(release, settings.arms, confidence=settings.confidence)
    identity = _identity(release, settings, threads, str(device), torch.__version__)
    folder.begin(identity, arguments.restart)
    pictures = open_pictures(release, settings.size, cache, threads, progress)
    if not pictures.readable.all():
        marks = _train_marks(release, pictures.readable)
        labellings = prepare(release, settings.arms, marks, settings.confidence)
        warnings.append(f"{int((~pictures.readable).sum())} pictures cannot be decoded and are left out")
    _guard_images(folder, labellings)
    rows, test = _test_set(release, pictures.readable, warnings)
    bench = experiment.set_up(release, pictures, labellings, rows, settings, device, cache, threads, progress)
    doubts = None
    if any(arm.startswith("cleaned") for arm in labellings.arms):
        doubts = cleaning.find_doubts(bench, labellings, settings, folder, progress)
        labellings = labellings.with_flagged(doubts.flagged, lenient=not named)
    labellings.check(settings.seeds)
    found = experiment.run_pairs(bench, labellings, settings, folder, threads, progress)

    measured = summary.summarise(labellings, found, test, settings.seeds, progress)
    metrics = _metrics(release, settings, measured)
    metrics |= {
        "device": str(device),
        "warnings": warnings + metrics["warnings"],
        "command": command,
        "environment": environment(threads, bench.precision, torch),
        "seconds": round(time.monotonic() - started, 1),
    }
    main = {arm: results for arm, results in found.items() if not arm.startswith(AUDIT)}
    page = report.render(metrics, release, main, test, pictures.pixels[rows])
    table = summary.predictions(found, test, release.classes, doubts, labellings.images)
    _write(folder, metrics, table, page)
    return metrics


def _possible(release: Release, settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with the arms that this release can give, and why others are left out."""
    arms, warnings = default_arms(release, settings.arms, settings.confidence)
    if not arms:
        raise ArmError(f"no arm can be made from {release.path}: {'; '.join(warnings)}")
    return dataclasses.replace(settings, arms=tuple(arms)), warnings


def _metrics(release: Release, settings: Settings, measured: dict[str, Any]) -> dict[str, Any]:
    """metrics.json so far: what was asked, and what was measured."""
    return {
        "schema": SCHEMA,
        "release": {"name": release.name, "version": release.version, "fingerprint": release.fingerprint},
        "model": settings.model,
        "preset": settings.preset,
        "device": None,
        **measured,
        "settings": dataclasses.asdict(settings),
        "classes": list(release.classes),
    }


def _write(folder: RunFolder, metrics: dict[str, Any], predictions: Any, page: str) -> None:
    """The run's three files, metrics.json last: where it stands, the others do."""
    buffer = io.BytesIO()
    predictions.to_parquet(buffer, index=False)
    write_atomically(folder.path / "predictions.parquet", buffer.getvalue())
    write_atomically(folder.path / "report.html", page.encode())
    write_atomically(folder.path / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())


def _settings(arguments: argparse.Namespace) -> tuple[Settings, bool]:
    """The settings, and whether the user named the arms (then each of them must be possible)."""
    keys = (
        *("arms", "seeds", "model", "size", "hidden", "epochs", "batch", "lr", "weight_decay"),
        *("precision", "confidence", "folds"),
    )
    flags = {key: getattr(arguments, key) for key in keys}
    settings = resolve(arguments.preset, arguments.config, flags)
    unknown = [arm for arm in settings.arms if arm != ALL and not known_arm(arm)]
    if unknown:
        raise SettingsError(unknown_arm(unknown[0]))
    named = ALL not in settings.arms and settings.arms != PRESETS[settings.preset].arms
    return settings, named or bool(arguments.arms and ALL not in arguments.arms)


def _identity(
    release: Release, settings: Settings, threads: int, device: str, version: str
) -> dict[str, Any]:
    """What must be the same for finished pairs to be taken over: more arms or seeds may come later."""
    fixed = {
        key: value
        for key, value in dataclasses.asdict(settings).items()
        if key not in ("arms", "seeds", "preset")
    }
    return {"release": release.fingerprint, **fixed, "device": device, "threads": threads, "torch": version}


def _guard_images(folder: RunFolder, labellings: Labellings) -> None:
    """Finished pairs count only if they were trained on the same pictures as this run's arms can use."""
    file, now = folder.path / "train-images", digest_of(labellings.images)
    if file.is_file() and file.read_text() != now and any(folder.results.iterdir()):
        raise StoreError(
            f"{folder.path} was trained on other pictures than these arms can all use; "
            "choose another folder, or --restart to replace it"
        )
    write_atomically(file, now.encode())


def _train_marks(release: Release, readable: np.ndarray) -> np.ndarray:
    """bool[train pictures], of bool[manifest rows]."""
    return readable[(release.manifest["split"] == "train").to_numpy(dtype=bool)]


def _test_set(release: Release, readable: np.ndarray, warnings: list[str]) -> tuple[np.ndarray, Any]:
    """Rows of the manifest to test on, and their references; what is left out goes into `warnings`."""
    from training.statistics.summary import TestSet

    inside = (release.manifest["split"] == "test").to_numpy(dtype=bool)
    truth = release.manifest["reference"].map(release.class_index()).fillna(-1).to_numpy(dtype=np.int64)
    usable = inside & (truth >= 0) & readable
    unreferenced = int((inside & (truth < 0)).sum())
    if unreferenced:
        warnings.append(f"{unreferenced} test images have no reference among the classes and are left out")
    rows = np.flatnonzero(usable)
    if len(rows) == 0:
        raise ReleaseError(f"{release.path}: no readable test picture with a reference is left")
    return rows, TestSet(tuple(release.manifest["image"].iloc[rows]), truth[rows])


def environment(threads: int, precision: str, torch: Any) -> dict[str, Any]:
    """What else decides the figures. The same seeds and thread count give the same bits on the same CPU."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "precision": precision,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def text_table(metrics: dict[str, Any]) -> str:
    """The arms as text, figures in percent; then what they mean, in words."""
    audit = (metrics["audit"] or {"arms": {}})["arms"]
    rows = metrics["arms"] | {f"{AUDIT}{arm}": row for arm, row in audit.items()}
    width = max(len(arm) for arm in rows)
    lines = [f"{'arm':<{width}}  pictures  label error  test accuracy (95% interval)  minus majority"]
    for arm, row in rows.items():
        error = "        ?" if row["label_error"] is None else f"{100 * row['label_error']:8.1f}%"
        top = row["top1"]
        figure = f"{100 * top['value']:5.1f}%  ({100 * top['lo']:.1f} to {100 * top['hi']:.1f})"
        other = row.get("minus_majority")
        against = (
            f"{100 * other['value']:+.1f}  ({100 * other['lo']:+.1f} to {100 * other['hi']:+.1f})"
            if other
            else ""
        )
        lines.append(f"{arm:<{width}}  {row['n_train']:>8}  {error:>11}  {figure:<29}  {against}".rstrip())
    lines += [metrics[key]["words"] for key in ("label_error_cost", "next_votes", "noisy_test")]
    lines += [f"warning: {line}" for line in metrics["warnings"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
