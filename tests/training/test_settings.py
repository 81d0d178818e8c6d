"""Settings: one field is a flag, a key of the TOML file and a line of the manual."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.training.conftest import make_release
from training.presets import PRESETS, resolve
from training.retrain import main, parser
from training.settings import Settings, SettingsError, cast, flags_given, manual

ROOT = Path(__file__).parents[2]
NAMES = [field.name for field in dataclasses.fields(Settings)]


def test_the_manual_holds_the_table_of_settings() -> None:
    assert manual(PRESETS) in (ROOT / "docs" / "guide.md").read_text(), (
        "docs/guide.md, Retraining: put in the output of training.settings.manual(PRESETS)"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_flag_and_a_key(name: str, tmp_path: Path) -> None:
    """Given on the command line or in the file, it arrives as it was given."""
    other = {
        **dataclasses.asdict(PRESETS["reference"]),
        **{
            "weights": "w.pt",
            "train": "last",
            "dropout": 0.25,
            "hidden": 7,
            "backbone_lr": 0.5,
            "momentum": 0.5,
        },
        **{
            "step_epochs": 3,
            "step_factor": 0.5,
            "l1": 0.1,
            "l2": 0.2,
            "clip": 1.5,
            "ema": 0.9,
            "patience": 2,
        },
        **{"balance": "weights", "label_smoothing": 0.1, "compile": True, "deterministic": True},
        **{"confidence": 0.5, "folds": 3, "seeds": 2, "arms": ("majority",), "warmup": 0.5},
    }[name]
    assert other != getattr(PRESETS["quick"], name)
    flag = "--" + name.replace("_", "-")
    if isinstance(other, bool):
        words = [flag if other else flag.replace("--", "--no-")]
    else:
        words = [flag, ",".join(other) if isinstance(other, tuple) else str(other)]
    asked = flags_given(parser().parse_args(["release", "-o", "run", *words]))
    assert asked == {name: other}
    if name == "preset":
        return
    config = tmp_path / "settings.toml"
    config.write_text(f"{name} = {json.dumps(other)}\n")
    assert getattr(resolve("quick", config, {}), name) == other
    assert getattr(resolve("quick", None, asked), name) == other


def test_flags_stand_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('preset = "cifar"\nepochs = 7\nlr = 1\naugment = ["flip", "erase=0.1"]\n')
    found = resolve(None, config, {"epochs": 3})
    assert (found.preset, found.model, found.epochs, found.lr) == ("cifar", "resnet18", 3, 1.0)
    assert found.augment == ("flip", "erase=0.1")
    short = resolve("reference", config, {}, short=True)
    assert (short.preset, short.epochs, short.size) == ("reference", 7, 32)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"epochs": 0}, "epochs must be 1 or more and at most 100000, not 0"),
        ({"lr": 0}, "lr must be above 0, not 0"),
        ({"lr": "fast"}, "setting lr must be float, not 'fast'"),
        ({"dropout": 1.0}, "dropout must be 0 or more and below 1, not 1"),
        ({"schedule": "linear"}, "schedule must be one of cosine, step, constant, not 'linear'"),
        ({"compile": 1}, "setting compile must be bool, not 1"),
        ({"arms": []}, "arms must name at least one arm"),
        ({"arms": ["majority", "majority"]}, "arms must not name an arm twice"),
        ({"learning_rate": 1.0}, "unknown setting 'learning_rate'; known are preset, model,"),
        ({"optimizer": "sgd", "momentum": 0.0}, "nesterov needs a momentum above 0; give --no-nesterov"),
    ],
)
def test_what_cannot_be_used_is_one_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(SettingsError) as error:
        resolve("quick", None, given)
    assert str(error.value).startswith(line)


def test_what_is_taught_by_default() -> None:
    """lite0 brings weights: its head alone. Others start from scratch, and so does it where it is told to."""
    assert PRESETS["quick"].head_only
    assert PRESETS["probe"].head_only
    assert not PRESETS["baseline"].head_only
    assert not Settings(weights="none").head_only
    assert not Settings(train="all").head_only
    assert Settings(model="resnet18", weights="w.pt", train="head").head_only


def test_types() -> None:
    assert cast("lr", 1) == 1.0
    assert cast("augment", "flip, shift=4") == ("flip", "shift=4")
    assert cast("augment", ["none"]) == cast("augment", "none") == ()
    for preset in PRESETS.values():
        preset.check()


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of some forty pictures."""
    return make_release(tmp_path_factory.mktemp("smallest") / "shapes-1.0.0", per_class=13)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_in_short(preset: str, smallest: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([str(smallest), "-o", str(run), "--preset", preset, "--short", "--threads", "1"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["preset"] == preset
    assert set(metrics["arms"]) == {"majority", "consensus"}
    assert metrics["settings"]["model"] == PRESETS[preset].model
