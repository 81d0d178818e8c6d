"""Settings of a run: presets, a TOML file over them, flags over both.

`quick` was chosen by measurement: which model tells the labellings apart best within a minute or two on 2
CPU cores? Data: 1,586 train and 674 test photos of 10 kinds of clothing, four simulated votes each,
mistakes shared between workers (one vote is wrong for 31.5%, the majority for 17.5%, the consensus for
12.7%), 5 seeds an arm. Differences are points of test accuracy, with half the interval; "ratio" is the
first divided by the second, 1 being just enough to tell consensus from majority. Seconds are those
of training 7 arms x 5 seeds on cores shared with other work, without mirrored views; from 12 runs where 3
seeds are named. Features cost 7 s more at 128 px, 10 s at 160 px.

| model | reference | consensus - majority | ratio | reference - consensus | seconds for 35 runs |
|---|---|---|---|---|---|
| lite0, 128 px, hidden 256, 30 epochs (`quick`) | 75.5% | 4.5 +- 2.4 | 1.9 | 3.9 +- 2.5 | 36 |
| lite0, 128 px, hidden 256, 60 epochs, no decay      | 75.7% | 4.4 +- 2.3 | 1.9 | 4.7 +- 2.4 | 91 |
| lite0, 160 px, hidden 256, 60 epochs, no decay      | 77.7% | 2.5 +- 2.2 | 1.1 | 5.0 +- 2.4 | 79 |
| lite0, 128 px, linear, 30 epochs                    | 74.7% | 2.9 +- 2.0 | 1.4 | 5.0 +- 2.3 | 12 |
| lite0, 128 px, linear, 100 epochs, lr 0.01, no decay | 74.9% | 4.4 +- 2.9 | 1.5 | 9.0 +- 2.9 | 48 |
| lite0, 160 px, linear, 100 epochs, lr 0.01, no decay | 75.8% | 5.2 +- 2.8 | 1.9 | 6.6 +- 2.7 | 30 |
| lite0, 128 px, last block trained too, 3 seeds      | 78.9% | 3.7 +- 2.9 | 1.3 | 4.7 +- 2.7 | 260 |
| small net from scratch, 64 px, 15 epochs, 3 seeds   | 63.2% | 2.3 +- 2.3 | 1.0 | 3.8 +- 2.2 | 1,700 |

The frozen backbone wins by far for the time; a hidden layer follows wrong labels further than a decayed
linear head and so shows them better, without the loss of accuracy that the undecayed linear head pays. The
ratio's own standard error is 0.5: neighbours in the table are no different.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_ARMS = (
    "one_vote",
    "majority",
    "consensus",
    "reference",
    "noise_sym_10",
    "noise_sym_20",
    "noise_sym_40",
)


class SettingsError(ValueError):
    """A setting that cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run computes, apart from the release, the device and the threads.

    `model`: `lite0` (frozen EfficientNet-lite0 under a head), `small` (a small net from scratch) or the name
    of a torchvision classification model, from scratch. `size`: pixels. `hidden`: units of the head's hidden
    layer, 0 for a linear head. `warmup`: share of the steps. `shift`: pixels of random shift in training.
    `confidence`: pictures below it leave the arm `confident`. `folds`: parts for the arm `cleaned`. `arms`:
    names of `training.arms`, or `all` that the release can give.
    """

    preset: str = "quick"
    model: str = "lite0"
    size: int = 128
    hidden: int = 256
    epochs: int = 30
    batch: int = 128
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    label_smoothing: float = 0.0
    flip: bool = True
    shift: int = 0
    precision: str = "auto"
    confidence: float = 0.9
    folds: int = 5
    seeds: int = 5
    arms: tuple[str, ...] = DEFAULT_ARMS


PRESETS = {
    "quick": Settings(),
    "baseline": Settings(
        preset="baseline",
        model="resnet18",
        hidden=0,
        epochs=60,
        batch=64,
        optimizer="sgd",
        lr=0.05,
        weight_decay=5e-4,
        shift=8,
        arms=(
            *(
                "one_vote",
                "majority",
                "dawid_skene",
                "consensus",
                "soft_posterior",
                "soft_votes",
                "confident",
            ),
            *("cleaned", "cleaned_control", *DEFAULT_ARMS[3:]),
            *("noise_crowd_10", "noise_crowd_20", "noise_crowd_40"),
        ),
    ),
}
OPTIMIZERS = ("adamw", "adam", "sgd")
PRECISIONS = ("auto", "bf16", "fp32")


def resolve(preset: str | None, config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings of a run: the preset's, under the TOML file's, under flags that are not None."""
    given = _read(config) if config else {}
    name = preset or given.pop("preset", None) or "quick"
    given.pop("preset", None)
    if name not in PRESETS:
        raise SettingsError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    given |= {key: value for key, value in flags.items() if value is not None}
    types = {item.name: type(getattr(PRESETS["quick"], item.name)) for item in dataclasses.fields(Settings)}
    for key, value in given.items():
        if key not in types:
            raise SettingsError(f"unknown setting {key!r}; known are {', '.join(types)}")
        given[key] = _cast(key, value, types[key])
    settings = dataclasses.replace(PRESETS[name], **given)
    _check(settings)
    return settings


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config} cannot be read as TOML: {error}") from None


def _cast(key: str, value: Any, kind: type) -> Any:
    """Check a setting's type; whole numbers stand for floats, lists for tuples."""
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if type(value) is not kind:
        raise SettingsError(f"setting {key} must be {kind.__name__}, not {value!r}")
    return value


def _check(settings: Settings) -> None:
    """Ranges, with one line for the first that is broken."""
    rules = (
        (16 <= settings.size <= 1024, "size must be from 16 to 1024 pixels"),
        (settings.hidden >= 0, "hidden must be 0 or more"),
        (settings.epochs >= 1, "epochs must be 1 or more"),
        (settings.batch >= 2, "batch must be 2 or more"),
        (settings.lr > 0, "lr must be above 0"),
        (settings.weight_decay >= 0, "weight_decay must be 0 or more"),
        (0 <= settings.warmup < 1, "warmup must be from 0 to below 1"),
        (0 <= settings.label_smoothing < 1, "label_smoothing must be from 0 to below 1"),
        (settings.shift >= 0, "shift must be 0 or more"),
        (0 < settings.confidence <= 1, "confidence must be above 0 and at most 1"),
        (2 <= settings.folds <= 100, "folds must be from 2 to 100"),
        (1 <= settings.seeds <= 1000, "seeds must be from 1 to 1000"),
        (settings.optimizer in OPTIMIZERS, f"optimizer must be one of {', '.join(OPTIMIZERS)}"),
        (settings.precision in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}"),
        (len(settings.arms) > 0, "arms must name at least one arm"),
        (len(set(settings.arms)) == len(settings.arms), "arms must not name an arm twice"),
    )
    for holds, message in rules:
        if not holds:
            raise SettingsError(message)
