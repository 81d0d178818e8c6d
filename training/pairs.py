"""Train every (arm, seed) pair of a run, several at once where that is faster, and keep what each found."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from training import heads, networks
from training.arms import Labellings
from training.experiment import Bench, Machine, build, train_pair
from training.loop import DivergedError, Snapshots, predict, save_tensors
from training.settings import Settings
from training.store import PairResult, RunFolder, digest_of
from training.watching import RunWatch

Pair = tuple[str, int]
SIDE_BY_SIDE = 4
"""Whole nets that are trained at once on a CPU, at most: each needs memory for its batch."""


def run_pairs(
    bench: Bench, labellings: Labellings, settings: Settings, folder: RunFolder, machine: Machine
) -> dict[str, list[PairResult]]:
    """All pairs, seed by seed, so that an early end leaves the arms even; finished ones are read.

    On the CPU trainings go side by side and share out the threads: those that share one training mostly wait
    for each other. On two cores that other programs wanted too, two small nets at once took 190 pictures a
    second and 1,000 in a second of CPU time, one after the other with two threads 20 and 70; ResNet-18 for 32
    px 19 and 46 against 5 and 9.
    """
    pairs = [(arm, seed) for seed in range(settings.seeds) for arm in labellings.arms]
    sharing, ranks = machine.sharing, machine.ranks
    missing = ranks.told(lambda: [pair for pair in pairs if not folder.has(*pair)])
    if ranks.first:
        folder.plan(len(pairs))
    own = missing if sharing.world == ranks.world else missing[ranks.rank :: ranks.world]
    done = (len(pairs) - len(missing)) // (ranks.world // sharing.world)  # of this process's share
    curves = machine.tensorboard if sharing.first else None
    silent = not ranks.first
    watch = RunWatch(len(own) + done, settings.epochs, done, curves, silent=silent, folder=folder)
    wanted = _at_once(bench, settings, machine, len(pairs))
    at_once = ranks.told(lambda: folder.at_once(wanted))
    run = _Run(bench, labellings, settings, folder, machine, watch, at_once)
    try:
        run.train(own)
    finally:
        watch.close()
    ranks.wait()
    if not ranks.first:
        return {}
    found: dict[str, list[PairResult]] = {arm: [] for arm in labellings.arms}
    for arm, seed in pairs:
        result = folder.load(arm, seed)
        assert result is not None, "a finished pair was taken away"
        found[arm].append(result)
    return found


def _at_once(bench: Bench, settings: Settings, machine: Machine, pairs: int) -> int:
    """How many trainings go on side by side."""
    # Processes that share batches must take them in the same order, so their trainings come in turn.
    in_turn = machine.device.type != "cpu" or machine.sharing.world > 1
    if in_turn or bench.inputs.alone or settings.compile:
        return 1
    most = machine.threads if bench.kept_features else min(SIDE_BY_SIDE, pairs)
    return max(1, min(machine.threads, most))


@dataclass(frozen=True)
class _Run:
    """What training and storing a pair takes."""

    bench: Bench
    labellings: Labellings
    settings: Settings
    folder: RunFolder
    machine: Machine
    watch: RunWatch
    at_once: int

    def train(self, pairs: list[Pair]) -> None:
        """Train `pairs`, in this order as far as it goes."""
        in_groups = self.bench.kept_features and self.machine.device.type == "cpu" and self.bench.val is None
        in_groups = in_groups and self.machine.sharing.world == 1
        if self.at_once == 1 and not in_groups:
            for pair in pairs:
                self.one(pair)
            return
        apiece = max(1, self.machine.threads // self.at_once)
        pool = ThreadPoolExecutor(self.at_once, initializer=torch.set_num_threads, initargs=(apiece,))
        try:
            if in_groups and heads.suits(self.settings, self.bench.inputs):
                list(pool.map(self.several, self.groups(pairs)))
            else:
                list(pool.map(self.one, pairs))
        finally:
            pool.shutdown(cancel_futures=True)

    def groups(self, pairs: Iterable[Pair]) -> list[list[Pair]]:
        """Pairs of one seed that are taught the same pictures, `heads.TOGETHER` at most."""
        open_groups: dict[tuple[int, bytes | None], list[Pair]] = {}
        found: list[list[Pair]] = []
        for arm, seed in pairs:
            rows = self.labellings.targets(arm, seed).rows
            key = (seed, None if rows is None else rows.tobytes())
            group = open_groups.get(key)
            if group is None or len(group) == heads.TOGETHER:
                group = open_groups[key] = []
                found.append(group)
            group.append((arm, seed))
        return found

    def one(self, pair: Pair) -> None:
        """One pair from where it stands to its end, its weights and its result on disk."""
        arm, seed = pair
        watching = self.watch.pair(arm, seed)
        snapshots = self.snapshots(f"{arm}-{seed}")
        try:
            net, result = train_pair(
                self.bench,
                self.labellings.targets(arm, seed),
                self.settings,
                seed,
                snapshots=snapshots,
                watch=watching,
                sharing=self.machine.sharing,
            )
        except DivergedError as error:
            raise DivergedError(f"{arm}, seed {seed}: {error}") from None
        if self.machine.sharing.first:
            self.save(pair, net, result)
            snapshots.drop()
        watching.done()

    def several(self, group: list[Pair]) -> None:
        """The same for heads that are taught the same pictures in the same order.

        Their results do not depend on who is in the group; their snapshot does, and serves that group alone.
        """
        arms, seed = [arm for arm, _ in group], group[0][1]
        nets = [cast(nn.Sequential, build(self.bench, seed)) for _ in group]
        taught = [self.bench.taught_by(self.labellings.targets(arm, seed)) for arm in arms]
        watches = [self.watch.pair(arm, seed) for arm in arms]
        snapshots = self.snapshots(f"heads-{seed}-{digest_of(tuple(arms))}")
        fitted = heads.fit_heads(
            nets,
            self.bench.inputs,
            taught[0][0],
            [targets for _, targets in taught],
            self.settings,
            seed,
            names=[f"{arm}, seed {seed}" for arm in arms],
            pictures=len(self.bench.train),
            snapshots=snapshots,
            watches=watches,
        )
        for pair, net, own, watching in zip(group, nets, fitted, watches, strict=True):
            probabilities = predict(net, self.bench.tested, self.bench.test).numpy()
            self.save(pair, net, PairResult(probabilities, np.array(own.losses), own.seconds))
            watching.done()
        snapshots.drop()

    def snapshots(self, name: str) -> Snapshots:
        """Where a training that is under way is kept."""
        file = self.folder.snapshots / f"{name}.pt"
        return Snapshots(file, epochs=self.machine.save_epochs, writes=self.machine.sharing.first)

    def save(self, pair: Pair, net: nn.Module, result: PairResult) -> None:
        """The pair's last weights, then its result: with it the pair is finished."""
        arm, seed = pair
        weights = {name: value.cpu().contiguous() for name, value in networks.weights_of(net).items()}
        save_tensors(self.folder.checkpoints / f"{arm}-{seed}.pt", weights)
        self.folder.save(arm, seed, result)
