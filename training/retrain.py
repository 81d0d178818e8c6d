"""`python -m training.retrain`: what are a release's labels worth? Needs no Django and no database."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from ingest.arguments import Arguments
from training.arms import ARMS, ArmError
from training.arms.prepare import ALL, known_arm, unknown_arm
from training.presets import PRESETS, SHORT, resolve
from training.ranks import FirstFailed, RankLost, Ranks, disconnect, launched
from training.release import ReleaseError
from training.settings import Settings, SettingsError, add_flags, flags_given
from training.store import StoreError

EXAMPLE = """example:
  python -m training.retrain releases/clothing-1.0.0 -o runs/clothing-1.0.0
  python -m training.retrain releases/clothing-1.0.0 -o runs/two --arms majority,consensus --seeds 10 --json
  python -m training.retrain releases/clothing-1.0.0 -o runs/tuned --model resnet50 --weights IMAGENET1K_V2
  torchrun --nproc-per-node 4 -m training.retrain releases/clothing-1.0.0 -o runs/r18 --preset baseline

The same command again goes on with a run that was stopped. Written into RUN: metrics.json, report.html,
predictions.parquet, checkpoints/.
"""


def parser() -> argparse.ArgumentParser:
    """The command line; every setting of `training.settings.Settings` can also stand in the TOML file."""
    p = Arguments(
        prog="python -m training.retrain",
        description="Retrain a baseline on a release under several labellings and compare them.",
        epilog=EXAMPLE,
    )
    p.add_argument("release", type=Path, help="release folder (DATASET-VERSION)")
    p.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--config", type=Path, metavar="F.toml", help="settings; flags override them")
    p.add_argument("--short", action="store_true", help="the preset in its shortest form: does it run here?")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads, default: the cores this process may use"
    )
    p.add_argument(
        "--distribute",
        choices=("pairs", "batch"),
        default="pairs",
        help="what the processes that torchrun started share out: trainings, or each batch; default pairs",
    )
    p.add_argument(
        "--checkpoint-every",
        type=int,
        default=0,
        metavar="N",
        help="save where a training stands every N epochs; by default once a minute",
    )
    p.add_argument("--tensorboard", type=Path, metavar="DIR", help="write curves for TensorBoard")
    p.add_argument(
        "--cache", type=Path, metavar="DIR", help="decoded pictures, shared by runs; default RUN/cache"
    )
    p.add_argument(
        "--gradcam",
        type=int,
        default=12,
        metavar="N",
        help="test pictures in the report with heat maps (Grad-CAM), 0: none; default 12",
    )
    p.add_argument(
        "--suspects",
        action="store_true",
        help="judge the train pictures by nets not taught them, for the report and request_votes --from-run",
    )
    p.add_argument("--restart", action="store_true", help="replace the run that the folder holds")
    p.add_argument("--no-verify", action="store_true", help="do not re-hash the release's files first")
    p.add_argument("--json", action="store_true", help="print the metrics on stdout instead of a table")
    group = p.add_argument_group(
        "settings", f"presets: {', '.join(PRESETS)}; arms: {', '.join(ARMS)}; {ALL}. Defaults are quick's."
    )
    add_flags(group, PRESETS["quick"])
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (0 done, 1 the training failed, 2 unusable input)."""
    arguments = parser().parse_args(argv)
    ranks = launched()
    if not ranks.first:
        os.environ["ASSAY_PROGRESS"] = "0"
    try:
        return _run(arguments, argv, ranks)
    finally:
        disconnect(ranks)


def _run(arguments: argparse.Namespace, argv: list[str] | None, ranks: Ranks) -> int:
    """Train; every error that a user can meet becomes one line."""
    from training.run import DeviceError, retrain

    try:
        settings, named = _settings(arguments)
        arguments.threads = _threads(arguments.threads, ranks)
        arguments.command = _command(argv)
        metrics = retrain(arguments, settings, named, ranks)
    except _unusable() as error:
        # What is wrong with the input is wrong for all processes; one of them says it.
        return _fail(str(error), 2, ranks) if ranks.first or isinstance(error, DeviceError) else 2
    except _failed() as error:
        return _fail(str(error), 1, ranks)
    except FirstFailed:
        return 1
    except OSError as error:
        return _fail(f"{error.filename or arguments.output}: {error.strerror or error}", 1, ranks)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on with the pairs that are missing", 1, ranks)
    if not ranks.first:
        return 0
    from training.report.text import text_table  # its neighbours draw, and load slowly

    print(json.dumps(metrics, indent=1) if arguments.json else text_table(metrics))
    if not arguments.json:
        print(f"report: {arguments.output / 'report.html'}")
    return 0


def _unusable() -> tuple[type[Exception], ...]:
    """Errors of the input."""
    found: list[type[Exception]] = [ReleaseError, SettingsError, ArmError, StoreError]
    if "torch" in sys.modules:  # else nothing that needs it has run
        from training.backbone import BackboneError
        from training.networks import NetworkError

        found += [BackboneError, NetworkError]
    return tuple(found)


def _failed() -> tuple[type[Exception], ...]:
    """Errors of the work."""
    found: list[type[Exception]] = [RankLost]
    if "torch" in sys.modules:
        from training.loop import CompileFailed, DivergedError, NotDeterministic, ShortOfMemory
        from training.networks import DownloadError

        found += [CompileFailed, DivergedError, DownloadError, NotDeterministic, ShortOfMemory]
    return tuple(found)


def _fail(message: str, code: int, ranks: Ranks) -> int:
    who = "retrain" if ranks.world == 1 else f"retrain, process {ranks.rank} of {ranks.world}"
    print(f"{who}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _command(argv: list[str] | None) -> str:
    return shlex.join(["python", "-m", "training.retrain", *(sys.argv[1:] if argv is None else argv)])


def available_cores() -> int:
    """The cores that this process may use, which a container may have made fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(asked: int | None, ranks: Ranks) -> int:
    """CPU threads of this process; by default its share of the cores."""
    if asked is not None and asked < 1:
        raise SettingsError("threads must be 1 or more")
    return asked or max(1, available_cores() // ranks.local_world)


def _settings(arguments: argparse.Namespace) -> tuple[Settings, bool]:
    """The settings, and whether the user named the arms (then each of them must be possible)."""
    settings = resolve(arguments.preset, arguments.config, flags_given(arguments), arguments.short)
    unknown = [arm for arm in settings.arms if arm != ALL and not known_arm(arm)]
    if unknown:
        raise SettingsError(unknown_arm(unknown[0]))
    named = ALL not in settings.arms and settings.arms not in (PRESETS[settings.preset].arms, SHORT["arms"])
    return settings, named or bool(arguments.arms and ALL not in arguments.arms)


if __name__ == "__main__":
    sys.exit(main())
