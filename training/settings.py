"""What a user can set of a run. One field here is a flag of the command, a key of the TOML file, a line of
the manual and, but for `CHANGEABLE`, part of what makes two runs the same."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

AUTO = "auto"
NONE = "none"
OPTIMIZERS = ("adamw", "adam", "sgd")
PRECISIONS = (AUTO, "bf16", "fp32")
SCHEDULES = ("cosine", "step", "constant")
BALANCES = (NONE, "weights", "oversample", "undersample")
TRAINED = (AUTO, "all", "head", "last")
STEMS = (AUTO, "cifar", "imagenet")
CHANGEABLE = ("preset", "arms", "seeds")
"""Settings that a run which goes on may have others of: finished trainings stay what they are."""
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


def _set(default: Any, words: str, *, span: str = "", names: tuple[str, ...] = ()) -> Any:
    """A field: what it does, and what it may be: one of `names`, or within `span`, such as "(0, 1]"."""
    return dataclasses.field(default=default, metadata={"words": words, "span": span, "names": names})


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run computes, apart from the release, the device and the threads."""

    preset: str = _set("quick", "settings to start from")
    model: str = _set(
        "lite0", "lite0 (EfficientNet-lite0), small (a small net) or a torchvision classification model"
    )
    weights: str = _set(
        AUTO, "to start from: a file of weights, a torchvision enum, none; auto: lite0 brings its own"
    )
    train: str = _set(
        AUTO, "what is taught: all, the last stage, or the head alone; auto: head for lite0", names=TRAINED
    )
    stem: str = _set(
        AUTO, "of ResNets: cifar is 3x3 without pooling; auto: the weights', else cifar to 64 px", names=STEMS
    )
    size: int = _set(128, "pixels; pictures are scaled and cropped to it", span="[16, 1024]")
    hidden: int = _set(256, "hidden units of the head where it alone is taught, 0: linear", span="[0, 65536]")
    dropout: float | None = _set(
        None, "share dropped before the last layer (default: the model's)", span="[0, 1)"
    )
    epochs: int = _set(30, "times that each picture is shown", span="[1, 100000]")
    batch: int = _set(128, "pictures a step, over all GPUs together", span="[2, 65536]")
    optimizer: str = _set("adamw", "rule of the steps", names=OPTIMIZERS)
    lr: float = _set(1e-3, "learning rate", span="(0, inf)")
    backbone_lr: float = _set(1.0, "learning rate of all but the head, as a share of lr", span="(0, 100]")
    momentum: float = _set(0.9, "of sgd", span="[0, 1)")
    nesterov: bool = _set(True, "Nesterov's momentum for sgd")
    schedule: str = _set("cosine", "of the learning rate", names=SCHEDULES)
    warmup: float = _set(0.05, "share of the steps in which the learning rate rises", span="[0, 1)")
    step_epochs: int = _set(30, "schedule step: epochs between two falls", span="[1, 100000]")
    step_factor: float = _set(0.1, "schedule step: what the learning rate is multiplied by", span="(0, 1]")
    weight_decay: float = _set(0.01, "as the optimizer does it", span="[0, inf)")
    decay_all: bool = _set(False, "decay biases and normalisation too, not only weights")
    l1: float = _set(0.0, "penalty on the sum of the weights' sizes", span="[0, inf)")
    l2: float = _set(0.0, "penalty on half the sum of the weights' squares", span="[0, inf)")
    clip: float = _set(0.0, "largest norm of the gradient, 0: any", span="[0, inf)")
    ema: float = _set(
        0.0, "decay of a moving average of the weights, which is tested then; 0: none", span="[0, 1)"
    )
    patience: int = _set(
        0, "epochs without a better val loss before it stops, at the best; 0: never", span="[0, 100000]"
    )
    balance: str = _set(NONE, "of uneven classes: weights in the loss, or drawing", names=BALANCES)
    label_smoothing: float = _set(0.0, "share of each label spread over all classes", span="[0, 1)")
    augment: tuple[str, ...] = _set(("flip",), "changes of pictures in training, such as flip,shift=4; none")
    precision: str = _set(AUTO, "auto: bf16 where the processor has it", names=PRECISIONS)
    compile: bool = _set(False, "torch.compile the net")
    deterministic: bool = _set(False, "the same bits on a GPU too, slower; a CPU needs no asking")
    confidence: float = _set(0.9, "arm confident: pictures below it are left out", span="(0, 1]")
    folds: int = _set(5, "arm cleaned: parts of the train split", span="[2, 100]")
    seeds: int = _set(5, "runs of each arm", span="[1, 1000]")
    arms: tuple[str, ...] = _set(DEFAULT_ARMS, "labellings to compare, or all")

    def check(self) -> None:
        """Raise `SettingsError` with one line for the first setting that cannot be used."""
        for field in dataclasses.fields(self):
            value, span, names = getattr(self, field.name), field.metadata["span"], field.metadata["names"]
            if names and value not in names:
                raise SettingsError(f"{field.name} must be one of {', '.join(names)}, not {value!r}")
            if span and value is not None and not _within(value, span):
                raise SettingsError(f"{field.name} must be {_in_words(span)}, not {value:g}")
        if not self.arms:
            raise SettingsError("arms must name at least one arm")
        if len(set(self.arms)) < len(self.arms):
            raise SettingsError("arms must not name an arm twice")
        if self.nesterov and self.optimizer == "sgd" and not self.momentum:
            raise SettingsError("nesterov needs a momentum above 0; give --no-nesterov")

    @property
    def head_only(self) -> bool:
        """Whether the backbone is frozen and only a head on it is taught."""
        by_itself = self.model == "lite0" and self.weights != NONE
        return self.train == "head" or (self.train == AUTO and by_itself)


def cast(key: str, value: Any) -> Any:
    """A setting's value as its type asks: whole numbers stand for floats, lists or `a,b` for tuples.

    Raises:
        SettingsError: no such setting, or a value of another type.
    """
    kinds = _kinds()
    if key not in kinds:
        raise SettingsError(f"unknown setting {key!r}; known are {', '.join(kinds)}")
    kind = kinds[key]
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, str):
        return _names(value)
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return _names(",".join(value))
    if type(value) is not kind:
        raise SettingsError(f"setting {key} must be {kind.__name__}, not {value!r}")
    return value


def add_flags(parser: argparse._ActionsContainer, defaults: Settings) -> None:
    """A flag for each setting; what is not given is None."""
    for field in dataclasses.fields(Settings):
        kind, flag = _kinds()[field.name], "--" + field.name.replace("_", "-")
        default = getattr(defaults, field.name)
        if field.name == "arms" or default is None:
            words = field.metadata["words"]
        else:
            words = f"{_allowed(field)}{field.metadata['words']}; default {_spelt(default)}"
        words = words.replace("%", "%%")
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=words)
            continue
        convert = _names if kind is tuple else kind
        parser.add_argument(flag, type=convert, default=None, metavar=_METAVARS[kind], help=words)


def flags_given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line."""
    named = {field.name: getattr(arguments, field.name, None) for field in dataclasses.fields(Settings)}
    return {key: value for key, value in named.items() if value is not None}


def manual(presets: dict[str, Settings]) -> str:
    """The manual's table of settings, in Markdown: what each does, and its value in each preset."""
    lines = [f"| setting | {' | '.join(presets)} | what it does |", "|---" * (len(presets) + 2) + "|"]
    for field in dataclasses.fields(Settings):
        if field.name in ("preset", "arms"):
            continue
        values = (_spelt(getattr(settings, field.name)) for settings in presets.values())
        words = f"{_allowed(field)}{field.metadata['words']}".replace("|", "\\|")
        lines.append(f"| `{field.name}` | {' | '.join(values)} | {words} |")
    return "\n".join(lines) + "\n"


_METAVARS = {int: "N", float: "X", str: "NAME", tuple: "A,B"}


def _kinds() -> dict[str, type]:
    """Setting -> int, float, bool, str or tuple."""
    kinds = {}
    for name, hint in get_type_hints(Settings).items():
        first = get_args(hint)[0] if isinstance(hint, UnionType) else hint
        kinds[name] = first if isinstance(first, type) and not get_args(first) else tuple
    return kinds


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return () if names == (NONE,) else names


def _allowed(field: dataclasses.Field[Any]) -> str:
    return f"{', '.join(field.metadata['names'])}: " if field.metadata["names"] else ""


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value) or NONE
    return "the model's" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _ends(span: str) -> tuple[float, float]:
    low, high = span[1:-1].split(", ")
    return float(low), float(high)


def _within(value: float, span: str) -> bool:
    low, high = _ends(span)
    above = value >= low if span[0] == "[" else value > low
    return above and (value <= high if span[-1] == "]" else value < high)


def _in_words(span: str) -> str:
    low, high = _ends(span)
    least = f"{low:g} or more" if span[0] == "[" else f"above {low:g}"
    if high == float("inf"):
        return least
    return f"{least} and {'at most' if span[-1] == ']' else 'below'} {high:g}"
