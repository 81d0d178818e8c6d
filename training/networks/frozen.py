"""A head on a backbone that is not taught."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Scale features to mean 0 and deviation 1, by the train pictures' figures, kept with the weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """float[n, features] in, the same shape out."""
        return (x - self.mean) / self.deviation


def head(features: Tensor, classes: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """A linear head (`hidden` 0) or one hidden layer, over float[n, d] standardised by `features`."""
    width = features.shape[1]
    layers: list[nn.Module] = [Standardise(features.mean(0), features.std(0))]
    if hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(hidden or width, classes))


class OnFrozen(nn.Module):
    """A head over the features of a frozen backbone, for pictures that are changed in every epoch.

    Only the head counts as its weights: the backbone is the same in all pairs.
    """

    def __init__(self, backbone: nn.Module, top: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        self.top = top

    def forward(self, x: Tensor) -> Tensor:
        """float[n, 3, size, size], normalised, to float[n, classes]."""
        with torch.no_grad():
            features = self.backbone(x)
        return self.top(features.float())
