"""One whole run: open the release, train what is missing, write the results."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from annotation_site.figures import number_of
from ingest.progress import progress as bar
from training import results
from training.arms import AUDIT, ArmError, Labellings
from training.arms.prepare import default_arms, prepare
from training.cache import Pictures, open_pictures
from training.ranks import ALONE, Ranks, connect
from training.release import Release, ReleaseError, open_release
from training.settings import AUTO, CHANGEABLE, Settings, SettingsError
from training.store import RunFolder, StoreError, digest_of, write_atomically
from training.trained import BACKBONE, Trained

if TYPE_CHECKING:
    from training.arms.cleaning import Doubts
    from training.augment import Augmentation
    from training.experiment import Bench, Machine
    from training.networks import Recipe


class DeviceError(SettingsError):
    """A device that this process cannot have, though others may."""


def retrain(arguments: argparse.Namespace, settings: Settings, named: bool, ranks: Ranks) -> dict[str, Any]:
    """The whole run; what is finished already is taken over.

    Args:
        arguments: as `training.retrain` parses them, `threads` and `command` among them.
        named: the user named the arms, so each of them must be possible.
        ranks: the processes that work on the run. Only the first one writes.

    Returns:
        The metrics; of processes other than the first, nothing.

    Raises:
        ReleaseError, SettingsError, ArmError, StoreError, NetworkError, BackboneError: unusable input.
        DownloadError, DivergedError, ShortOfMemory, RankLost, OSError: it failed.
    """
    started = time.monotonic()
    verify = ranks.first and not arguments.no_verify
    release = open_release(arguments.release, verify=verify, workers=arguments.threads)
    warnings: list[str] = []
    if not named:
        settings, warnings = _possible(release, settings)

    import torch  # after the input was found usable: loading it takes seconds

    from training import experiment, networks, pairs, report
    from training.statistics import summary

    machine = _machine(arguments, settings, ranks)
    augmentation = _augmentation(settings)
    labellings = prepare(release, settings.arms, confidence=settings.confidence)
    connect(ranks, machine.device)
    recipe = ranks.in_turn(lambda: networks.recipe_for(settings, len(release.classes)))
    folder, cache = RunFolder(arguments.output), arguments.cache or arguments.output / "cache"
    identity = _identity(release, settings, machine, recipe.digest, torch.__version__)
    ranks.told(lambda: _begin(folder, identity, recipe, arguments.restart))
    pictures = ranks.in_turn(
        lambda: open_pictures(
            release, augmentation.stored_size(settings.size), cache, machine.threads, progress
        )
    )
    if not pictures.readable.all():
        labellings = _of_readable(release, settings, pictures)
    warnings += _picture_warnings(pictures)
    ranks.told(lambda: _guard_images(folder, labellings))
    rows, test = _test_set(release, pictures.readable, warnings)
    bench = ranks.in_turn(
        lambda: experiment.set_up(
            release, pictures, labellings, rows, settings, augmentation, recipe, machine, cache, progress
        )
    )
    bench = _with_val(bench, release, pictures, settings, machine, warnings)
    labellings, doubts = _cleaned(bench, labellings, settings, folder, ranks, named, arguments.suspects)
    labellings.check(settings.seeds)
    found = pairs.run_pairs(bench, labellings, settings, folder, machine)
    if not ranks.first:
        return {}
    measured = summary.summarise(labellings, found, test, settings.seeds, progress)
    metrics = results.metrics(release, settings, machine, measured, test.images)
    metrics["warnings"] = warnings + results.notes(found, settings) + metrics["warnings"]
    metrics |= {"command": arguments.command, "seconds": round(time.monotonic() - started, 1)}
    main = {arm: results for arm, results in found.items() if not arm.startswith(AUDIT)}
    precision = metrics["environment"]["precision"]
    run = Trained(folder.path, release.classes, settings, precision, dict.fromkeys(main, (0,)))
    page = report.render(
        metrics,
        release,
        main,
        test,
        pictures.pixels[rows],
        report.heat(run, release, main, test, pictures.pixels[rows], machine.device, arguments.gradcam),
        report.suspects(doubts, labellings, pictures.pixels, bench.train, arguments.output),
    )
    table = summary.predictions(found, test, release.classes, doubts, labellings.images)
    results.write(folder, metrics, table, page)
    return metrics


def _begin(folder: RunFolder, identity: dict[str, Any], recipe: Recipe, restart: bool) -> None:
    """Take the folder for this run."""
    folder.begin(identity, restart)
    _keep_backbone(folder, recipe)


def progress(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """A bar on stderr, where a person watches."""
    return bar(items, total=total, what=what)


def _machine(arguments: argparse.Namespace, settings: Settings, ranks: Ranks) -> Machine:
    """The device and processes that compute the run, made ready."""
    import torch

    from training import experiment
    from training.watching import check_tensorboard

    torch.set_num_threads(arguments.threads)
    try:
        device = experiment.pick_device(arguments.device, ranks.local)
    except ValueError as error:
        raise DeviceError(str(error)) from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    experiment.be_deterministic(settings.deterministic)
    if arguments.tensorboard:
        check_tensorboard()
    if arguments.checkpoint_every < 0:
        raise SettingsError("--checkpoint-every must be 0 or more")
    if arguments.gradcam < 0:
        raise SettingsError("--gradcam must be 0 or more")
    sharing = ranks if arguments.distribute == "batch" else ALONE
    experiment.check_batch(settings, sharing)
    return experiment.Machine(
        device, arguments.threads, ranks, sharing, arguments.checkpoint_every, arguments.tensorboard
    )


def _with_val(
    bench: Bench,
    release: Release,
    pictures: Pictures,
    settings: Settings,
    machine: Machine,
    warnings: list[str],
) -> Bench:
    """The bench with what early stopping and TensorBoard measure by, where either is asked for."""
    from training.experiment import validation

    if not (settings.patience or machine.tensorboard):
        return bench
    val, warning = validation(release, pictures.readable, bench.device)
    if settings.patience and val is None:
        raise SettingsError(f"patience needs readable val pictures, and {release.path} has none")
    if settings.patience and warning:
        warnings.append(warning)
    return dataclasses.replace(bench, val=val)


def _cleaned(
    bench: Bench,
    labellings: Labellings,
    settings: Settings,
    folder: RunFolder,
    ranks: Ranks,
    named: bool,
    asked: bool,
) -> tuple[Labellings, Doubts | None]:
    """The labellings with what confident learning flags, and its doubts, where an arm needs or the user
    `asked` for them."""
    from training.arms import cleaning

    needed = any(arm.startswith("cleaned") for arm in labellings.arms)
    if not (needed or asked):
        return labellings, None
    # The first process judges; the others read what it wrote.
    doubts = ranks.in_turn(lambda: cleaning.find_doubts(bench, labellings, settings, folder, progress))
    if not needed:
        return labellings, doubts
    return labellings.with_flagged(doubts.flagged, lenient=not named), doubts


def _augmentation(settings: Settings) -> Augmentation:
    """What is done to pictures in training."""
    from training.augment import AugmentError, parse

    try:
        return parse(settings.augment)
    except AugmentError as error:
        raise SettingsError(str(error)) from None


def _picture_warnings(pictures: Pictures) -> list[str]:
    """What is to be said of the cache, and of pictures that are none."""
    bad = int((~pictures.readable).sum())
    left_out = [f"left out, because it cannot be decoded: {number_of(bad, 'picture')}"] if bad else []
    return ([pictures.note] if pictures.note else []) + left_out


def _possible(release: Release, settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with the arms that this release can give, and why others are left out."""
    arms, warnings = default_arms(release, settings.arms, settings.confidence)
    if not arms:
        raise ArmError(f"no arm can be made from {release.path}: {'; '.join(warnings)}")
    return dataclasses.replace(settings, arms=tuple(arms)), warnings


def _identity(
    release: Release, settings: Settings, machine: Machine, weights: str, version: str
) -> dict[str, Any]:
    """What must be the same for finished pairs to be taken over: more arms or seeds may come later."""
    fixed = {key: value for key, value in dataclasses.asdict(settings).items() if key not in CHANGEABLE}
    shared = {"sharing": machine.sharing.world} if machine.sharing.world > 1 else {}
    return {
        "release": release.fingerprint,
        **fixed,
        "weights": weights,
        "device": machine.device.type,
        "threads": machine.threads,
        "torch": version,
        **shared,
    }


def _keep_backbone(folder: RunFolder, recipe: Recipe) -> None:
    """The weights below the heads, which checkpoints lack: the file that they came from may go away."""
    from training.loop import save_tensors

    if recipe.taught == "head" and recipe.digest != AUTO:
        save_tensors(folder.path / BACKBONE, recipe.state)


def _guard_images(folder: RunFolder, labellings: Labellings) -> None:
    """Finished pairs count only if they were trained on the same pictures as this run's arms can use."""
    file, now = folder.path / "train-images", digest_of(labellings.images)
    if file.is_file() and file.read_text() != now and any(folder.results.iterdir()):
        raise StoreError(
            f"{folder.path} was trained on other pictures than these arms can all use; "
            "choose another folder, or --restart to replace it"
        )
    write_atomically(file, now.encode())


def _of_readable(release: Release, settings: Settings, pictures: Pictures) -> Labellings:
    """The arms on the train pictures that can be decoded."""
    marks = pictures.readable[(release.manifest["split"] == "train").to_numpy(dtype=bool)]
    try:
        return prepare(release, settings.arms, marks, settings.confidence)
    except ArmError as error:
        bad = number_of(int((~marks).sum()), "train picture")
        raise ArmError(f"{error}; cannot be decoded: {bad}") from None


def _test_set(release: Release, readable: np.ndarray, warnings: list[str]) -> tuple[np.ndarray, Any]:
    """Rows of the manifest to test on, and their references; what is left out goes into `warnings`."""
    from training.statistics.summary import TestSet

    inside = (release.manifest["split"] == "test").to_numpy(dtype=bool)
    truth = release.manifest["reference"].map(release.class_index()).fillna(-1).to_numpy(dtype=np.int64)
    usable = inside & (truth >= 0) & readable
    unreferenced = int((inside & (truth < 0)).sum())
    if unreferenced:
        left = number_of(unreferenced, "test image")
        warnings.append(f"left out, with no reference among the classes: {left}")
    rows = np.flatnonzero(usable)
    if len(rows) == 0:
        raise ReleaseError(f"{release.path}: no readable test picture with a reference is left")
    return rows, TestSet(tuple(release.manifest["image"].iloc[rows]), truth[rows])
