"""A run's test answers, read from its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from training.arms import AUDIT
from training.trained import TrainedError, read_metrics

COLUMNS = ("arm", "seed", "image", "label", "predicted", "fold")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What a run said of its test pictures.

    `name`: what it is called beside the others. `labels`: image -> reference. `right`: arm -> bool[seeds,
    images], columns in the order of `labels`. `seeds`: arm -> the seeds of its rows.
    """

    name: str
    path: Path
    metrics: dict[str, Any]
    labels: dict[str, str]
    right: dict[str, np.ndarray]
    seeds: dict[str, tuple[int, ...]]

    @property
    def release(self) -> dict[str, Any]:
        """`name`, `version`, `fingerprint`."""
        found: dict[str, Any] = self.metrics["release"]
        return found


def open_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs, and name them apart: by version, by dataset and version, by folder, else by path.

    Raises:
        TrainedError: a folder that holds no finished run, or one that is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise TrainedError("a run is named twice; give the folders of different runs")
    metrics = [_metrics(path) for path in paths]
    names = _names(paths, [each["release"] for each in metrics])
    return [_open(*each) for each in zip(names, paths, metrics, strict=True)]


def _metrics(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise TrainedError(f"{path}: no such folder; give folders that training.retrain wrote")
    metrics = read_metrics(path)
    release = metrics.get("release")
    if not isinstance(release, dict) or not {"name", "version", "fingerprint"} <= set(release):
        raise TrainedError(f"{path / 'metrics.json'} names no release")
    return metrics


def _names(paths: Sequence[Path], releases: Sequence[dict[str, Any]]) -> list[str]:
    ways = [
        [str(release["version"]) for release in releases],
        [f"{release['name']} {release['version']}" for release in releases],
        [path.resolve().name for path in paths],
    ]
    if len({release["name"] for release in releases}) > 1:
        ways = ways[1:]
    return next((way for way in ways if max(Counter(way).values()) == 1), [str(path) for path in paths])


def _open(name: str, path: Path, metrics: dict[str, Any]) -> Run:
    file = path / "predictions.parquet"
    try:
        there = pq.read_schema(file).names
        if missing := [column for column in COLUMNS[:-1] if column not in there]:
            raise TrainedError(f"{file}: no column {', '.join(missing)}: not the predictions of a run")
        frame = pq.read_table(file, columns=[c for c in COLUMNS if c in there]).to_pandas()
    except FileNotFoundError:
        raise TrainedError(f"{file} is missing; the run's command writes it again") from None
    except (OSError, pa.ArrowException) as error:
        raise TrainedError(f"{file}: not a readable table: {' '.join(str(error).split())[:150]}") from None
    if "fold" in frame:
        frame = frame[frame["fold"] < 0]
    frame = frame[~frame["arm"].str.startswith(AUDIT)]
    if frame.empty:
        raise TrainedError(f"{file} judges no test picture")
    labels = dict(sorted(dict(zip(frame["image"], frame["label"], strict=True)).items()))
    arms = [arm for arm in metrics["arms"] if arm in set(frame["arm"])]
    tables = {arm: _table(file, frame[frame["arm"] == arm], list(labels)) for arm in arms}
    seeds = {arm: tuple(map(int, table.index)) for arm, table in tables.items()}
    return Run(name, path, metrics, labels, {arm: t.to_numpy() for arm, t in tables.items()}, seeds)


def _table(file: Path, rows: pd.DataFrame, images: list[str]) -> pd.DataFrame:
    """bool, seeds x images."""
    right = rows.assign(right=rows["label"] == rows["predicted"])
    try:
        table = right.pivot(index="seed", columns="image", values="right").reindex(columns=images)
    except ValueError:
        raise TrainedError(f"{file} answers a picture twice under the same arm and seed") from None
    if table.isna().any(axis=None):
        raise TrainedError(f"{file} lacks answers of some test pictures; run its command again")
    return table.astype(bool)
