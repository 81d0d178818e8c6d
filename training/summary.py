"""metrics.json and predictions.parquet from what the pairs of a run found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from training import measures
from training.arms import NOISE, Labellings
from training.bootstrap import Bootstrap, Estimate, holm, smallest_difference
from training.curve import fit_curve
from training.store import PairResult

PRIMARY = ("consensus", "majority")
FEW_IMAGES = 300


@dataclass(frozen=True)
class TestSet:
    """The pictures that decide: ids and references, int64[n] class indices."""

    images: tuple[str, ...]
    truth: np.ndarray


def _seed_rows(results: Sequence[PairResult], test: TestSet, classes: int) -> list[dict[str, Any]]:
    rows = []
    for seed, result in enumerate(results):
        p = result.probabilities
        five = round(float(measures.hits(p, test.truth, 5).mean()), 6) if classes > 5 else None
        rows.append(
            {
                "seed": seed,
                "top1": round(float(measures.hits(p, test.truth).mean()), 6),
                "top5": five,
                "nll": round(measures.negative_log_likelihood(p, test.truth), 6),
                "ece": round(measures.expected_calibration_error(p, test.truth), 6),
                "seconds": round(result.seconds, 3),
            }
        )
    return rows


def _table(results: Sequence[PairResult], test: TestSet, k: int) -> np.ndarray:
    """float64[seeds, images]: 1 where the reference is among the k first."""
    return np.stack([measures.hits(r.probabilities, test.truth, k) for r in results]).astype(np.float64)


def _label_error(labellings: Labellings, arm: str, seeds: int) -> Estimate | None:
    """The arm's share of wrong labels on train pictures with a reference, over images and seeds."""
    errors = labellings.errors(arm, range(seeds))
    if errors is None:
        return None
    return Bootstrap(1, len(errors), key=1).mean(errors[None, :])


def summarise(
    labellings: Labellings, found: dict[str, list[PairResult]], test: TestSet, seeds: int
) -> dict[str, Any]:
    """The measured part of metrics.json: arms, primary contrast, smallest difference, curve, warnings."""
    classes = len(labellings.release.classes)
    bootstrap = Bootstrap(seeds, len(test.images))
    right = {arm: _table(results, test, 1) for arm, results in found.items()}
    top1 = {arm: bootstrap.mean(table) for arm, table in right.items()}
    errors = {arm: _label_error(labellings, arm, seeds) for arm in found}
    contrasts = _against(right, PRIMARY[1], bootstrap) if PRIMARY[1] in right else {}
    arms: dict[str, Any] = {}
    for arm, results in found.items():
        error = errors[arm]
        five = bootstrap.mean(_table(results, test, 5)).as_dict() if classes > 5 else None
        arms[arm] = {
            "n_train": len(labellings.images),
            "label_error": None if error is None else round(error.value, 6),
            "label_error_interval": None if error is None else error.as_dict(),
            "top1": top1[arm].as_dict(),
            "top5": five,
            "seeds": _seed_rows(results, test, classes),
            "minus_majority": contrasts[arm][1] if arm in contrasts else None,
        }
    known = {arm: error.value for arm, error in errors.items() if error is not None}
    primary, smallest = _primary(right, contrasts, bootstrap)
    return {
        "test_images": len(test.images),
        "arms": arms,
        "primary": primary,
        "smallest_difference": smallest,
        "curve": fit_curve(known, top1),
        "warnings": labellings.warnings + _warnings(labellings, contrasts, known, test, seeds),
    }


def _against(
    right: dict[str, np.ndarray], base: str, bootstrap: Bootstrap
) -> dict[str, tuple[Estimate, dict[str, float | None]]]:
    """Every other arm minus `base`: the difference, its p, and p by Holm among the secondary contrasts."""
    others = [arm for arm in right if arm != base]
    pairs = {arm: bootstrap.difference(right[arm], right[base]) for arm in others}
    secondary = [arm for arm in others if arm != PRIMARY[0]]
    adjusted = dict(zip(secondary, holm([pairs[arm][1] for arm in secondary]), strict=True))
    table: dict[str, tuple[Estimate, dict[str, float | None]]] = {}
    for arm, (difference, p) in pairs.items():
        held = adjusted.get(arm)
        row = {"p": round(p, 6), "p_holm": None if held is None else round(held, 6)}
        table[arm] = (difference, {**difference.as_dict(), **row})
    return table


def _primary(
    right: dict[str, np.ndarray],
    contrasts: dict[str, tuple[Estimate, dict[str, float | None]]],
    bootstrap: Bootstrap,
) -> tuple[dict[str, Any] | None, float | None]:
    """The contrast named before the run, and the smallest difference that a run like it could have seen."""
    if PRIMARY[0] in contrasts:
        difference, row = contrasts[PRIMARY[0]]
        named = {"contrast": "consensus minus majority", **row}
        return named, round(smallest_difference(difference.draws), 6)
    arms = list(right)
    if len(arms) < 2:
        return None, None
    difference, _ = bootstrap.difference(right[arms[0]], right[arms[1]])
    return None, round(smallest_difference(difference.draws), 6)


def _warnings(
    labellings: Labellings,
    contrasts: dict[str, tuple[Estimate, dict[str, float | None]]],
    known: dict[str, float],
    test: TestSet,
    seeds: int,
) -> list[str]:
    """What a reader must know before believing the figures."""
    lines = []
    if PRIMARY[0] in contrasts:
        difference = contrasts[PRIMARY[0]][0]
        if difference.lo <= 0 <= difference.hi:
            lines.append(
                "the data cannot tell consensus from majority: the interval of their difference "
                f"({difference.lo:+.3f} to {difference.hi:+.3f}) holds 0"
            )
    if seeds == 1:
        lines.append("one seed: the intervals hold the chance of the test images only, not of training")
    elif seeds < 5:
        lines.append(f"{seeds} seeds: intervals over so few are rough; 5 or more are advised")
    if len(test.images) < FEW_IMAGES:
        lines.append(f"only {len(test.images)} test images: intervals are wide")
    present = np.unique(test.truth)
    absent = [c for i, c in enumerate(labellings.release.classes) if i not in set(present.tolist())]
    if absent:
        lines.append(f"no test image of {', '.join(absent[:5])}")
    if not known:
        lines.append("no train picture has a reference: label errors are unknown and there is no curve")
    elif (labellings.reference < 0).any():
        judged = int((labellings.reference >= 0).sum())
        lines.append(f"label errors are measured on the {judged} train pictures that have a reference")
    if labellings.base_name == "consensus" and any(arm in NOISE for arm in labellings.arms):
        lines.append("noise was added to the consensus, not to references: its own errors come on top")
    return lines


def predictions(found: dict[str, list[PairResult]], test: TestSet, classes: Sequence[str]) -> pd.DataFrame:
    """One row per arm, seed and test image; probabilities in class order."""
    names = np.array(classes, dtype=object)
    parts = []
    for arm in sorted(found):
        for seed, result in enumerate(found[arm]):
            parts.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "seed": seed,
                        "image": list(test.images),
                        "label": names[test.truth],
                        "predicted": names[result.probabilities.argmax(axis=1)],
                        "probabilities": list(result.probabilities),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
