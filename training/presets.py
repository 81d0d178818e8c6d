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
from pathlib import Path
from typing import Any

from training.settings import DEFAULT_ARMS, Settings, SettingsError, cast

LONG_ARMS = (
    *("one_vote", "majority", "dawid_skene", "consensus", "soft_posterior", "soft_votes", "confident"),
    *("cleaned", "cleaned_control", *DEFAULT_ARMS[3:]),
    *("noise_crowd_10", "noise_crowd_20", "noise_crowd_40"),
)
SHORT: dict[str, Any] = {"epochs": 2, "size": 32, "batch": 16, "seeds": 1, "arms": ("majority", "consensus")}
"""What `--short` makes of a preset: enough to see that it runs on this machine and release."""

PRESETS = {
    "quick": Settings(),
    "probe": Settings(preset="probe", hidden=0),
    "baseline": Settings(
        preset="baseline",
        model="resnet18",
        hidden=0,
        epochs=60,
        batch=64,
        optimizer="sgd",
        lr=0.05,
        weight_decay=5e-4,
        augment=("flip", "shift=8"),
        arms=LONG_ARMS,
    ),
    "cifar": Settings(
        preset="cifar",
        model="resnet18",
        stem="cifar",
        size=32,
        hidden=0,
        epochs=60,
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-4,
        augment=("flip", "shift=4"),
    ),
    "reference": Settings(
        preset="reference",
        model="resnet18",
        stem="imagenet",
        size=224,
        hidden=0,
        epochs=90,
        batch=256,
        optimizer="sgd",
        lr=0.1,
        nesterov=False,
        schedule="step",
        warmup=0.0,
        weight_decay=1e-4,
        decay_all=True,
        augment=("crop", "flip"),
        precision="fp32",
    ),
}
"""`quick`: a frozen backbone under a small head, minutes on two cores. `probe`: the same under a linear head.
`baseline`: a ResNet-18 from scratch, under nearly all labellings. `cifar`: a ResNet-18 whose stem suits 32
px. `reference`: what torchvision's references/classification/train.py does by default, whose 8 GPUs take 32
pictures each; on fewer pictures a step, lower lr likewise."""


def resolve(preset: str | None, config: Path | None, flags: dict[str, Any], short: bool = False) -> Settings:
    """The settings of a run: the preset's, `SHORT` if asked, then the TOML file's, then `flags`.

    Raises:
        SettingsError: one line for the user.
    """
    given = _read(config) if config else {}
    name = preset or given.get("preset") or "quick"
    if name not in PRESETS:
        raise SettingsError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    given |= flags
    given["preset"] = name
    known = {key: cast(key, value) for key, value in given.items()}
    settings = dataclasses.replace(PRESETS[name], **(SHORT if short else {}) | known)
    settings.check()
    return settings


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config} cannot be read as TOML: {error}") from None
