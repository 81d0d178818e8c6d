"""The peer of `training_speed`: torchvision's references/classification/train.py by its defaults.

Written anew after its documented recipe: Pillow's pictures from an ImageFolder, each cropped at random,
scaled and flipped, a DataLoader with worker processes and batches of 32, fp32 in torch's usual memory format,
SGD with momentum, and loss, top-1 and top-5 accuracy read back after every step for its metric logger. One
thing differs: 2 workers instead of 16, as the machines measured on have 2 cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

BATCH, WORKERS, TOP = 32, 2, 5
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Taken:
    """What some pictures took: seconds by the clock, and CPU seconds of all processes."""

    pictures: int
    wall: float
    cpu: float


def loader(folder: Path, size: int, pictures: int, seed: int) -> DataLoader[Any]:
    """Batches (float[32, 3, size, size], int64[32]) of `pictures` of the folder's, drawn at random."""
    steps = v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, DEVIATION),
        ]
    )
    dataset = ImageFolder(str(folder), steps)
    chance = torch.Generator().manual_seed(seed)
    sampler = RandomSampler(
        dataset, replacement=pictures > len(dataset), num_samples=pictures, generator=chance
    )
    return DataLoader(dataset, BATCH, sampler=sampler, num_workers=WORKERS, drop_last=True)


def trained(net: nn.Module, batches: Iterator[Any], device: torch.device) -> Iterator[int]:
    """Train on each batch; gives how many pictures it had."""
    net.train()
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    logged = {"loss": 0.0, "top1": 0.0, "top5": 0.0}
    for pictures, labels in batches:
        x, y = pictures.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        scores = net(x)
        loss = loss_of(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logged["loss"] += loss.item()
        for name, value in zip(("top1", "top5"), hits(scores, y), strict=True):
            logged[name] += value.item()
        yield len(y)


@torch.inference_mode()
def hits(scores: Tensor, labels: Tensor) -> list[Tensor]:
    """Percent right by the best guess, and by the best five."""
    best = scores.topk(min(TOP, scores.shape[1]), 1).indices == labels[:, None]
    return [best[:, :count].any(1).float().mean() * 100 for count in (1, TOP)]


def measured(batches: DataLoader[Any], net: nn.Module | None, device: torch.device, warm: int) -> Taken:
    """Go through the loader, training `net` if there is one; the first `warm` batches are not counted.

    The workers' start is not counted either: in training on a whole data set it is spread over an epoch.
    """
    source = iter(batches)
    workers = [worker.pid for worker in source._workers]
    steps = trained(net, source, device) if net is not None else (len(labels) for _, labels in source)
    pictures, wall, cpu = 0, 0.0, 0.0
    for number, size in enumerate(steps):
        if number + 1 == warm:
            wall, cpu = time.perf_counter(), cpu_seconds(workers)
        elif number >= warm:
            pictures += size
        if number + 1 == len(batches):
            taken = Taken(pictures, time.perf_counter() - wall, cpu_seconds(workers) - cpu)
    return taken


def cpu_seconds(others: list[int]) -> float:
    """CPU seconds of this process and of some that it started and that still run."""
    own = sum(os.times()[:2])
    ticks = os.sysconf("SC_CLK_TCK")
    for pid in others:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own += (int(fields[11]) + int(fields[12])) / ticks
    return own
