"""Out-of-fold probabilities: what a linear head says of pictures that it was not taught.

Multinomial logistic regression on frozen features. Every picture is judged by a head that saw neither it nor
a copy of it, so that its own votes cannot speak through the classifier (Goh, Tkachenko & Mueller 2022,
"CROWDLAB", section 2; Northcutt et al. 2021, "Confident learning", section 3.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import log_softmax

from annotation_site.figures import number_of

DECAYS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""L2 penalties that are tried, strongest first; weights are of standardised features."""
PASSES = 60
"""Steps of L-BFGS for each penalty; every one starts where the stronger penalty ended."""

Wrap = Callable[[Iterable[Any], int, str], Iterable[Any]]


class HeadError(ValueError):
    """Labels that no head can be taught from; the message is one line for the user."""


@dataclass(frozen=True)
class Judged:
    """`probabilities`: float64[n, classes]. `decay`: the penalty that foretold the labels best, and `loss`,
    its cross-entropy against labels that it had not seen, in nats."""

    probabilities: np.ndarray
    decay: float
    loss: float


def fold_of(groups: Sequence[str], folds: int) -> np.ndarray:
    """int64[n]: the fold of each picture, the same for all of a group, of nearly equal sizes.

    Groups go, in the order of a hash of their names and the large ones first, to the smallest fold.
    """
    names, inverse, sizes = np.unique(np.array(groups, dtype=object), return_inverse=True, return_counts=True)
    keys = [hashlib.sha256(str(name).encode()).digest() for name in names]
    order = sorted(range(len(names)), key=lambda i: (-sizes[i], keys[i]))
    filled, fold = np.zeros(folds, np.int64), np.zeros(len(names), np.int64)
    for i in order:
        fold[i] = int(filled.argmin())
        filled[fold[i]] += sizes[i]
    return fold[inverse]


def out_of_fold(
    features: np.ndarray,
    targets: np.ndarray,
    groups: Sequence[str],
    *,
    folds: int,
    device: torch.device,
    progress: Wrap,
) -> Judged:
    """Judge every picture by a head that was taught the other folds.

    Args:
        features: float32[n, d].
        targets: float[n, classes], each row a distribution: soft labels, or ones and zeros.
        groups: n names; pictures of one group share a fold.
        folds: 2 or more.

    Raises:
        HeadError: fewer groups than folds, or fewer than two classes.
    """
    if targets.shape[1] < 2:
        raise HeadError(f"the labels name {targets.shape[1]} class; a classifier needs at least 2")
    if len(set(groups)) < folds:
        held = number_of(len(set(groups)), "labelled picture or group", "labelled pictures or groups")
        raise HeadError(f"too few for {folds} folds: {held}")
    fold = fold_of(groups, folds)
    x, y = torch.from_numpy(features).to(device), torch.from_numpy(targets.astype(np.float32)).to(device)
    found = np.zeros((len(DECAYS), *targets.shape))

    def judge(number: int) -> int:
        inside = torch.from_numpy(fold == number).to(device)
        for place, scores in enumerate(_path(x[~inside], y[~inside], x[inside])):
            found[place, fold == number] = scores
        return number

    # Folds go side by side, one thread each: threads that share matrices this small wait for each other (five
    # folds of 2,700 pictures on two busy cores: 383 s shared, 44 s even with a single thread).
    threads = torch.get_num_threads()
    workers = threads if device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in progress(pool.map(judge, range(folds)), folds, "heads"):
            pass
    torch.set_num_threads(threads)
    losses = -(targets * np.log(np.maximum(found, 1e-12))).sum(axis=2).mean(axis=1)
    best = int(losses.argmin())
    return Judged(found[best], DECAYS[best], float(losses[best]))


def _path(x: torch.Tensor, y: torch.Tensor, seen: torch.Tensor) -> Iterable[np.ndarray]:
    """Probabilities of `seen` (float64[m, classes]) by heads taught (x, y), one for each of `DECAYS`."""
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-3)
    x, seen = (x - mean) / deviation, (seen - mean) / deviation
    weight = torch.zeros(x.shape[1], y.shape[1], device=x.device, requires_grad=True)
    # The start is the labels' own shares: what a head with no features would say.
    bias = y.mean(0).clamp_min(1e-4).log().detach().requires_grad_()
    for decay in DECAYS:
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=PASSES, line_search_fn="strong_wolfe")

        def loss(decay: float = decay, optimiser: torch.optim.LBFGS = optimiser) -> torch.Tensor:
            optimiser.zero_grad()
            value = -(y * log_softmax(x @ weight + bias, 1)).sum(1).mean() + decay / 2 * weight.square().sum()
            value.backward()
            return value

        optimiser.step(loss)
        with torch.inference_mode():
            yield (seen @ weight + bias).double().softmax(1).cpu().numpy()
