"""Networks that a run can train: heads on frozen features, a small net, and torchvision's models by name."""

from __future__ import annotations

from torch import Tensor, nn

FROZEN = "lite0"
SMALL = "small"


class NetworkError(ValueError):
    """A model name or size that cannot be built; the message is one line for the user."""


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


def head(features: Tensor, classes: int, hidden: int) -> nn.Module:
    """A linear head (`hidden` 0) or one hidden layer, over float[n, d] standardised by `features`."""
    width = features.shape[1]
    scale = Standardise(features.mean(0), features.std(0))
    if hidden == 0:
        return nn.Sequential(scale, nn.Linear(width, classes))
    return nn.Sequential(scale, nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def small_net(classes: int) -> nn.Module:
    """Four convolution blocks, some 400,000 weights: a baseline from scratch for pictures up to 64 px."""

    def block(fan_in: int, fan_out: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )

    return nn.Sequential(
        block(3, 32),
        block(32, 64),
        block(64, 128),
        block(128, 256),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, classes),
    )


def from_scratch(name: str, classes: int) -> nn.Module:
    """`small`, or a torchvision classification model by name without weights."""
    if name == SMALL:
        return small_net(classes)
    from torchvision import models

    if name not in models.list_models(module=models):
        raise NetworkError(
            f"unknown model {name!r}; known are {FROZEN}, {SMALL} and torchvision's classification models"
        )
    return models.get_model(name, weights=None, num_classes=classes)


def main_logits(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The class scores of a net that may also return auxiliary ones (Inception, GoogLeNet)."""
    return output if isinstance(output, Tensor) else output[0]
