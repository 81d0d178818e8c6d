"""A fast net for small pictures."""

from __future__ import annotations

from torch import nn


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
