"""From the names of a setting to what is asked, with one clear line where a name or number is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from training.augment.augmentation import Augmentation
from training.augment.plan import Plan, Span


class AugmentError(ValueError):
    """A name or number that means nothing; the message is one line that lists what is known."""


def parse(names: tuple[str, ...]) -> Augmentation:
    """What `names` ask for, in any order, such as ("flip", "shift=4", "mixup=0.2"); see the package.

    Raises `AugmentError` for an unknown name, a number out of range, or a name that is given twice.
    """
    asked: dict[str, Any] = {}
    for text in names:
        name, given, value = text.strip().partition("=")
        if name not in _FORMS:
            raise AugmentError(f"unknown augmentation {text!r}; known are {KNOWN}")
        form, read = _FORMS[name]
        try:
            found = read(value if given else None)
        except ValueError:
            raise AugmentError(f"augmentation {text!r} is no {form}; known are {KNOWN}") from None
        for field in _COLOURS if name == "colour" else (name,):
            if field in asked:
                raise AugmentError(f"augmentation {field} is asked for twice, the second time as {text!r}")
            asked[field] = found
    return Augmentation(Plan(**asked))


def _bare(text: str | None) -> bool:
    if text is not None:
        raise ValueError
    return True


def _whole(low: int, high: int) -> Callable[[str | None], int]:
    def read(text: str | None) -> int:
        return int(_within(float(int(text or "")), low, high))

    return read


def _number(low: float, high: float) -> Callable[[str | None], float]:
    return lambda text: _within(float(text or ""), low, high)


def _span(low: float, high: float, default: Span | None = None) -> Callable[[str | None], Span]:
    def read(text: str | None) -> Span:
        if text is None and default is not None:
            return default
        least, parted, most = (text or "").partition(":")
        if not parted or float(least) > float(most):
            raise ValueError
        return _within(float(least), low, high), _within(float(most), low, high)

    return read


def _operations(text: str | None) -> tuple[int, int]:
    number, _, magnitude = (text or "").partition(":")
    return _whole(1, 14)(number), _whole(0, 30)(magnitude)


def _within(value: float, low: float, high: float) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError
    return value


_COLOURS = ("brightness", "contrast", "saturation")
_FORMS: dict[str, tuple[str, Callable[[str | None], Any]]] = {
    "flip": ("flip", _bare),
    "vflip": ("vflip", _bare),
    "shift": ("shift=PX (1 to 512)", _whole(1, 512)),
    "crop": ("crop[=LOW:HIGH] (0.01 to 1)", _span(0.01, 1.0, (0.08, 1.0))),
    "rotate": ("rotate=DEG (up to 180)", _number(0.0, 180.0)),
    "scale": ("scale=LOW:HIGH (0.1 to 10)", _span(0.1, 10.0)),
    "colour": ("colour=S (up to 1)", _number(0.0, 1.0)),
    **{name: (f"{name}=S (up to 1)", _number(0.0, 1.0)) for name in _COLOURS},
    "hue": ("hue=S (up to 0.5)", _number(0.0, 0.5)),
    "greyscale": ("greyscale=P (up to 1)", _number(0.0, 1.0)),
    "randaugment": ("randaugment=N:M (1 to 14, 0 to 30)", _operations),
    "erase": ("erase=P (up to 1)", _number(0.0, 1.0)),
    "mixup": ("mixup=ALPHA (0.01 to 100)", _number(0.01, 100.0)),
    "cutmix": ("cutmix=ALPHA (0.01 to 100)", _number(0.01, 100.0)),
}
KNOWN = ", ".join(form for form, _ in _FORMS.values())
"""All forms, as messages and help list them."""
