"""What a net is fed, the same for all pairs of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# rows of a batch and a random generator (None: evaluation, no augmentation) -> the net's input
Batches = Callable[[Tensor, torch.Generator | None], Tensor]
# input, targets and a random generator -> both mixed, the targets float[n, classes]
Mix = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Inputs:
    """`precision`: bf16 or fp32, what the net computes in. `alone`: no other thread trains meanwhile, so that
    layers which draw from torch's one global generator (dropout) can be given their draws by step."""

    batches: Batches
    classes: int
    precision: str = "fp32"
    mix: Mix | None = None
    alone: bool = True
