"""metrics.json and predictions.parquet from what the pairs of a run found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from training.arms import AUDIT, NOISE, Labellings
from training.statistics import measures
from training.statistics.bootstrap import Bootstrap, Estimate
from training.statistics.contrasts import PRIMARY, Contrasts, contrast, warnings_of
from training.statistics.curve import Cost, fit_curve, in_words, label_error_costs
from training.statistics.label_error import LabelErrors, label_errors
from training.statistics.next_votes import next_votes
from training.statistics.noisy_test import noisy_test
from training.store import PairResult

if TYPE_CHECKING:
    from training.arms.cleaning import Doubts

FEW_IMAGES = 300
Wrap = Callable[[Iterable[Any], int, str], Iterable[Any]]
OUT_OF_FOLD = "out_of_fold"


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
                "nll": round(float(measures.log_losses(p, test.truth).mean()), 6),
                "ece": round(measures.expected_calibration_error(p, test.truth), 6),
                "seconds": round(result.seconds, 3),
            }
        )
    return rows


def _table(results: Sequence[PairResult], test: TestSet, k: int) -> np.ndarray:
    """float64[seeds, images]: 1 where the reference is among the k first."""
    return np.stack([measures.hits(r.probabilities, test.truth, k) for r in results]).astype(np.float64)


def summarise(
    labellings: Labellings,
    found: dict[str, list[PairResult]],
    test: TestSet,
    seeds: int,
    progress: Wrap,
) -> dict[str, Any]:
    """The measured part of metrics.json: arms, contrasts, curve, costs, next votes, noisy test, warnings."""
    classes = len(labellings.release.classes)
    bootstrap = Bootstrap(seeds, len(test.images))
    right = {arm: _table(results, test, 1) for arm, results in found.items()}
    top1 = {arm: bootstrap.accuracy(table) for arm, table in right.items()}
    errors = label_errors(labellings, seeds)
    contrasts = contrast(right, bootstrap)
    rows: dict[str, Any] = {}
    for arm, results in progress(found.items(), len(found), "figures"):
        five = bootstrap.accuracy(_table(results, test, 5)).as_dict() if classes > 5 else None
        against = contrasts.between(arm, PRIMARY[1])
        rows[arm] = {
            "n_train": _size(labellings, arm),
            **_error_of(errors, arm),
            "top1": top1[arm].as_dict(),
            "top5": five,
            **_calibration(results, test, bootstrap),
            "seeds": _seed_rows(results, test, classes),
            "minus_majority": None if against is None else against.as_dict(),
        }
    main = {arm: estimate for arm, estimate in top1.items() if not arm.startswith(AUDIT)}
    costs = label_error_costs(errors.by_arm, main, labellings.base_name, errors.exact)
    told = {cost.kind: cost.slope for cost in costs}
    predicted = {
        arm: np.stack([r.probabilities.argmax(axis=1) for r in results])
        for arm, results in found.items()
        if arm in main
    }
    return {
        "test_images": len(test.images),
        "arms": {arm: row for arm, row in rows.items() if arm in main},
        "audit": _audit(labellings, rows, contrasts),
        **_contrast_rows(contrasts),
        "label_error_basis": errors.basis or None,
        "curve": fit_curve(errors.by_arm, main, errors.exact),
        "label_error_cost": _cost_rows(costs),
        "next_votes": next_votes(labellings, told.get("votes", told.get("all"))),
        "noisy_test": noisy_test(labellings.release, test.images, test.truth, predicted),
        "warnings": labellings.warnings + _warnings(labellings, contrasts, errors, test, seeds),
    }


def _calibration(results: Sequence[PairResult], test: TestSet, bootstrap: Bootstrap) -> dict[str, Any]:
    """Likelihood and calibration with their intervals."""
    losses = np.stack([measures.log_losses(r.probabilities, test.truth) for r in results])
    gaps = np.stack([measures.calibration_gaps(r.probabilities, test.truth) for r in results])
    return {
        "nll": bootstrap.mean(losses).as_dict(),
        "ece": bootstrap.calibration_error(gaps).as_dict(),
    }


def _size(labellings: Labellings, arm: str) -> int:
    rows = labellings.targets(arm, 0).rows
    return len(labellings.images) if rows is None else len(rows)


def _error_of(errors: LabelErrors, arm: str) -> dict[str, Any]:
    found: Estimate | None = errors.by_arm.get(arm)
    return {
        "label_error": None if found is None else round(found.value, 6),
        "label_error_interval": None if found is None else found.as_dict(),
    }


def _audit(labellings: Labellings, rows: Mapping[str, Any], contrasts: Contrasts) -> dict[str, Any] | None:
    """The evaluation on the random audit share: more votes than every picture has."""
    arms = [arm for arm in rows if arm.startswith(AUDIT)]
    if not arms:
        return None
    against = {arm: contrasts.between(arm, arms[0]) for arm in arms}
    return {
        "n_train": len(labellings.audit),
        "against": arms[0].removeprefix(AUDIT),
        "arms": {
            arm.removeprefix(AUDIT): {
                **{key: value for key, value in rows[arm].items() if key != "minus_majority"},
                "difference": None if found is None else found.as_dict(),
            }
            for arm, found in against.items()
        },
    }


def _contrast_rows(contrasts: Contrasts) -> dict[str, Any]:
    primary = contrasts.primary
    named = None if primary is None else {"contrast": "consensus minus majority", **primary.as_dict()}
    return {
        "primary": named,
        "contrasts": [
            {"contrast": f"{c.one} minus {c.other}", **c.as_dict(), "told_apart": c.told_apart}
            for c in contrasts.found
        ],
        "smallest_difference": contrasts.smallest_difference,
    }


def _cost_rows(costs: Sequence[Cost]) -> dict[str, Any]:
    by_kind = {cost.kind: {**cost.slope.as_dict(), "arms": list(cost.arms)} for cost in costs}
    return {"by_kind": by_kind, "words": in_words(costs)}


def _warnings(
    labellings: Labellings, contrasts: Contrasts, errors: LabelErrors, test: TestSet, seeds: int
) -> list[str]:
    """What a reader must know before believing the figures."""
    lines = warnings_of(contrasts)
    if seeds == 1:
        lines.append("one seed: the intervals hold the chance of the test images only, not of training")
    elif seeds < 5:
        lines.append(f"{seeds} seeds: intervals over so few are wide; 5 or more are advised")
    if len(test.images) < FEW_IMAGES:
        lines.append(f"only {number_of(len(test.images), 'test image')}: intervals are wide")
    present = np.unique(test.truth)
    absent = [c for i, c in enumerate(labellings.release.classes) if i not in set(present.tolist())]
    if absent:
        lines.append(f"no test image of {', '.join(absent[:5])}")
    if not errors.basis:
        lines.append("no train picture has a reference: label errors are unknown and there is no curve")
    elif not errors.exact:
        lines.append(f"label errors rest on {errors.basis}")
    if labellings.base_name == "consensus" and any(arm in NOISE for arm in labellings.arms):
        lines.append("noise was added to the consensus, not to references: its own errors come on top")
    return lines


def predictions(
    found: dict[str, list[PairResult]],
    test: TestSet,
    classes: Sequence[str],
    doubts: Doubts | None = None,
    train: Sequence[str] = (),
) -> pd.DataFrame:
    """One row per arm, seed and test image; probabilities in class order; `fold` is -1.

    With `doubts` also one row for each train picture (`train`), as arm `out_of_fold`: `label` is the
    consensus that was taught, `fold` the part that the model which judges it had been kept from.
    """
    names = np.array(classes, dtype=object)
    parts = []
    for arm in sorted(found):
        for seed, result in enumerate(found[arm]):
            parts.append(_rows(arm, seed, test.images, names[test.truth], names, result.probabilities, -1))
    if doubts is not None:
        chance = doubts.probabilities.astype(np.float32)
        parts.append(_rows(OUT_OF_FOLD, 0, train, names[doubts.labels], names, chance, doubts.fold))
    return pd.concat(parts, ignore_index=True)


def _rows(
    arm: str,
    seed: int,
    images: Sequence[str],
    labels: np.ndarray,
    names: np.ndarray,
    chance: np.ndarray,
    fold: np.ndarray | int,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": arm,
            "seed": seed,
            "image": list(images),
            "label": labels,
            "predicted": names[chance.argmax(axis=1)],
            "probabilities": list(chance),
            "fold": fold,
        }
    )
