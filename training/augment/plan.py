"""What is asked of augmentation: plain numbers, checked by `training.augment.names`."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """One number or span for each name of `training.augment`; the defaults change nothing.

    `shift`: pixels. `rotate`: degrees. `crop`: shares of the area. `randaugment`: operations, magnitude.
    """

    flip: bool = False
    vflip: bool = False
    shift: int = 0
    crop: Span | None = None
    rotate: float = 0.0
    scale: Span = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    greyscale: float = 0.0
    randaugment: tuple[int, int] | None = None
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
