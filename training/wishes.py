"""What somebody asks of a run, checked before it is recorded: the trainer reads the same words later."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.arms.prepare import ALL, known_arm, unknown_arm
from training.presets import resolve
from training.settings import Settings, SettingsError

LONGEST_ARMS = 300
"""Characters in which the names of the arms must fit; "all" names them shorter."""


@dataclass(frozen=True)
class Wishes:
    """As a run keeps them; empty: the trainer's own. `arms`: parted by commas. `config`: the rest as TOML."""

    preset: str = ""
    arms: str = ""
    seeds: int | None = None
    config: str = ""


def read_wishes(flags: Mapping[str, Any], config: Path | None = None) -> Wishes:
    """What flags ask for over a TOML file.

    Args:
        flags: setting -> value, as `training.settings.flags_given` gives them.

    Raises:
        SettingsError: one line for the user.
    """
    checked(resolve(flags.get("preset"), config, dict(flags)))
    # What stands in the file is known to be readable from here on.
    given = {**(tomllib.loads(config.read_text(encoding="utf-8")) if config else {}), **flags}
    preset, seeds, arms = given.pop("preset", ""), given.pop("seeds", None), given.pop("arms", "")
    named = arms if isinstance(arms, str) else ",".join(arms)
    if len(named) > LONGEST_ARMS:
        raise SettingsError(f"the names of the arms are too long for a run; {ALL} names every one")
    return Wishes(preset, named, seeds, _toml(given))


def checked(settings: Settings) -> Settings:
    """These settings.

    Raises:
        SettingsError: an arm that there is not.
    """
    unknown = [arm for arm in settings.arms if arm != ALL and not known_arm(arm)]
    if unknown:
        raise SettingsError(unknown_arm(unknown[0]))
    return settings


def _toml(given: Mapping[str, Any]) -> str:
    """Settings, which are numbers, words, yes or no, and lists of words, as TOML; sorted."""
    return "".join(
        f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}\n"
        for key, value in sorted(given.items())
    )
