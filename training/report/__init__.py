"""report.html: one self-contained page for people; the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from annotation_site.figures import number_of
from training.release import Release
from training.report import findings, gradcam, plots
from training.report import suspects as doubtful
from training.report.page_parts import figure, interval, listing, percent, table
from training.statistics import measures
from training.statistics.bootstrap import Bootstrap
from training.statistics.summary import TestSet
from training.store import PairResult
from training.trained import Trained, preferred

if TYPE_CHECKING:
    import torch

    from training.arms import Labellings
    from training.arms.cleaning import Doubts

CSS = """
:root{color-scheme:light;--ink:#1c1e21;--soft:#5f6570;--line:#d9dce1;--accent:#1f5fbf}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:#fff;margin:0 auto;
  max-width:880px;padding:32px 24px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}h2{font-size:18px;margin:40px 0 8px}
h3{font-size:14px;margin:16px 0 4px}code{white-space:nowrap}
dl{columns:3;column-gap:24px;font-size:13px;margin:8px 0}dl.wide{columns:1}
dl div{display:flex;justify-content:space-between;gap:8px;border-bottom:1px solid var(--line);
  padding:3px 0;break-inside:avoid}dd{margin:0;overflow-wrap:anywhere;text-align:right}
p{margin:8px 0;max-width:68ch}.soft{color:var(--soft)}.answer{font-size:18px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;width:100%}
th,td{padding:6px 8px 6px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600}tr.main td{font-weight:600}
img.plot{max-width:100%;height:auto;display:block}figure{margin:8px 0}
.warn{border-left:3px solid #b26a00;padding:2px 12px;margin:8px 0}
.cards,.cams{display:flex;flex-wrap:wrap;gap:12px}.cards figure{width:116px;margin:0}
.cam{display:flex;gap:4px}.cam figure{width:96px;margin:0}
.cam img,.cards img{width:96px;height:96px;background:#777}
.cams figcaption,.cards figcaption{font-size:12px;line-height:1.35;overflow-wrap:anywhere}
.row{display:flex;flex-wrap:wrap;gap:8px;align-items:center}.row img{width:72px;height:72px;background:#777}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{white-space:pre-wrap;overflow-wrap:anywhere;
  background:#f5f6f7;padding:12px}
@media print{body{padding:0;max-width:none;font-size:11pt}dl{font-size:8pt;break-inside:avoid}
  h2,h3,p:has(+.row),p:has(+figure){break-after:avoid}
  table{font-size:7.5pt}th,td{padding:4px 5px 4px 0}
  figure,tr,.row,.cam{break-inside:avoid}pre,.warn{break-inside:avoid}}
"""
WORST = 6
EXAMPLES = 8


def render(
    metrics: dict[str, Any],
    release: Release,
    found: dict[str, list[PairResult]],
    test: TestSet,
    pixels: np.ndarray,
    heated: str = "",
    doubted: str = "",
) -> str:
    """The page as text.

    Args:
        pixels: uint8[test images, size, size, 3].
        heated, doubted: what `heat` and `suspects` gave.
    """
    shown = preferred(found)
    names = [release.class_names[category] for category in release.classes]
    probabilities = np.mean([result.probabilities for result in found[shown]], axis=0)
    predicted = np.concatenate([result.probabilities.argmax(axis=1) for result in found[shown]])
    matrix = measures.confusion(predicted, np.tile(test.truth, len(found[shown])), len(names))
    parts = [
        findings.opening(metrics),
        findings.label_error_cost(metrics),
        findings.next_votes(metrics),
        findings.arms(metrics),
        findings.noisy_test(metrics),
        _per_category(matrix, names, shown, found[shown], test),
        _confusions(matrix, names, shown, probabilities.argmax(axis=1), test, pixels),
        heated,
        doubted,
        _calibration(metrics, found, test),
        _training(metrics, found),
        _provenance(metrics),
    ]
    title = f"What the labels of {release.name} {release.version} are worth"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{CSS}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def heat(
    run: Trained,
    release: Release,
    found: dict[str, list[PairResult]],
    test: TestSet,
    pixels: np.ndarray,
    device: torch.device,
    most: int,
) -> str:
    """The section with heat maps of `most` test pictures, whose `pixels` these are."""
    arm = preferred(found)
    names = [release.class_names[category] for category in release.classes]
    return gradcam.gallery(run, arm, names, test.truth, pixels, found[arm][0].probabilities, device, most)


def suspects(
    doubts: Doubts | None, labellings: Labellings, pixels: np.ndarray, train: torch.Tensor, run: Path
) -> str:
    """The section with doubtful labels. `pixels`: of the whole release; `train`: the train pictures' rows."""
    return doubtful.gallery(doubts, labellings, pixels, train.cpu().numpy(), run.as_posix())


def _per_category(
    matrix: np.ndarray, names: Sequence[str], arm: str, results: Sequence[PairResult], test: TestSet
) -> str:
    """Figures of each category; recall with its interval over its test images and the seeds."""
    precision, _, f1 = measures.per_category(matrix)
    right = np.stack([measures.hits(result.probabilities, test.truth) for result in results])
    rows = []
    for index, name in enumerate(names):
        own = right[:, test.truth == index]
        recall = Bootstrap(len(own), own.shape[1]).accuracy(own).as_dict() if own.size else None
        figures = (percent(float(precision[index])), interval(recall), percent(float(f1[index])))
        rows.append([name, str(own.shape[1]), *figures])
    head = ("category", "test images", "precision", "recall", "F1")
    return f"<h2>Each category, trained on {escape(arm)}</h2>{table(head, rows)}"


def _confusions(
    matrix: np.ndarray, names: Sequence[str], arm: str, voted: np.ndarray, test: TestSet, pixels: np.ndarray
) -> str:
    """The matrix over all seeds, and pictures that the seeds' mean prediction takes for the wrong class."""
    wrong = matrix - np.diag(np.diag(matrix))
    blocks = []
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:WORST]:
        true, taken = divmod(int(flat), len(names))
        if wrong[true, taken] == 0:
            break
        where = np.flatnonzero((test.truth == true) & (voted == taken))[:EXAMPLES]
        images = "".join(
            f'<img src="{plots.thumbnail(pixels[i])}" alt="{escape(names[true])}">' for i in where
        )
        share = wrong[true, taken] / matrix[true].sum()
        blocks.append(
            f"<p>{escape(names[true])} taken for {escape(names[taken])}: {percent(float(share))}</p>"
            f'<div class="row">{images}</div>'
        )
    plot = figure(plots.confusion(matrix, names), "Confusion matrix, percent of each reference class")
    return f"<h2>What is taken for what, trained on {escape(arm)}</h2>{plot}{''.join(blocks)}"


def _calibration(metrics: dict[str, Any], found: dict[str, list[PairResult]], test: TestSet) -> str:
    lines = {}
    for arm in [a for a in ("consensus", "one_vote") if a in found] or list(found)[:1]:
        stacked = np.concatenate([result.probabilities for result in found[arm]])
        lines[arm] = measures.reliability(stacked, np.tile(test.truth, len(found[arm])))
    rows = [
        [arm, interval(row["ece"]), "{value:.3f} ({lo:.3f} to {hi:.3f})".format(**row["nll"])]
        for arm, row in metrics["arms"].items()
    ]
    plot = figure(plots.reliability(lines), "Accuracy against confidence")
    text = "<p>On the dotted line a confidence of 80% is right in 80% of cases.</p>"
    return f"<h2>Does it know when it is wrong?</h2>{text}{plot}{table(('arm', 'ECE', 'NLL, nats'), rows)}"


def _training(metrics: dict[str, Any], found: dict[str, list[PairResult]]) -> str:
    means = {arm: _mean_by_epoch([each.losses for each in results]) for arm, results in found.items()}
    spent = sum(result.seconds for results in found.values() for result in results)
    runs = sum(len(results) for results in found.values())
    text = (
        f"{runs} trainings took {spent:.0f} s, {spent / runs:.1f} s each; this invocation took "
        f"{metrics['seconds']:.0f} s with reading and decoding, "
        f"on {number_of(metrics['environment']['threads'], 'CPU thread')}."
    )
    plot = figure(plots.losses(means), "Training loss by epoch")
    val = {
        arm: _mean_by_epoch([each.val.reshape(-1, 2)[:, 1] for each in results])
        for arm, results in found.items()
    }
    if measured := {arm: values for arm, values in val.items() if len(values)}:
        plot += figure(plots.accuracies(measured), "Accuracy on val pictures by epoch")
    return f"<h2>Training and its cost</h2><p>{text}</p>{plot}"


def _mean_by_epoch(lines: Sequence[np.ndarray]) -> np.ndarray:
    """float[epochs], over the seeds that came so far: early stopping ends them apart."""
    table = np.full((len(lines), max(map(len, lines))), np.nan)
    for row, line in zip(table, lines, strict=True):
        row[: len(line)] = line
    return np.nanmean(table, axis=0)


def _provenance(metrics: dict[str, Any]) -> str:
    """The command, and all that the figures depend on besides."""
    release = metrics["release"]
    facts = {"release": f"{release['name']} {release['version']}", **_of_release(metrics["release_facts"])}
    facts |= {"fingerprint": release["fingerprint"]}
    around = {key: value for key, value in metrics["environment"].items() if value is not None}
    settings = {key: value for key, value in metrics["settings"].items() if key != "arms"}
    return (
        f"<h2>How to repeat it</h2><pre>{escape(metrics['command'])}</pre>"
        f"{listing(facts, 1)}<h3>Environment</h3>{listing(around)}<h3>Settings</h3>{listing(settings)}"
    )


def _of_release(facts: dict[str, Any]) -> dict[str, str]:
    """How large the release is, and what its votes cost where people were paid."""
    splits = ", ".join(f"{count:,} {split}" for split, count in facts["pictures"].items())
    told = {"pictures": splits, "votes": f"{facts['votes']:,}"}
    if facts["cost"] and "usd" in facts["cost"]:
        told["cost of the votes"] = f"{facts['cost']['usd']:,.2f} USD"
    return told
