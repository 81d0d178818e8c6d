"""Votes in, labels out: one algorithm a file, plain tables on both sides, no database.

from quality.aggregation import aggregate
result = aggregate(frame, method="dawid_skene", gold=gold)
result.consensus, result.workers, result.posteriors, result.summary
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from quality.aggregation.accuracy import estimated_accuracy
from quality.aggregation.auto import fit_auto
from quality.aggregation.dawid_skene import fit_dawid_skene
from quality.aggregation.dependence import likeness, usual_likeness
from quality.aggregation.glad import fit_glad
from quality.aggregation.mace import fit_mace
from quality.aggregation.majority import fit_majority
from quality.aggregation.one_coin import fit_one_coin
from quality.aggregation.pictures import warnings_of, with_pictures
from quality.aggregation.posterior import Fit
from quality.aggregation.result import Result
from quality.aggregation.votes import BadVotes, Votes, clean_votes
from quality.aggregation.wawa import fit_wawa
from quality.aggregation.zbs import fit_zbs

_FITS: dict[str, Callable[[Votes], Fit]] = {
    "auto": fit_auto,
    "majority": fit_majority,
    "wawa": fit_wawa,
    "zbs": fit_zbs,
    "one_coin": fit_one_coin,
    "dawid_skene": fit_dawid_skene,
    "glad": fit_glad,
    "mace": fit_mace,
}
METHODS = tuple(_FITS)
MUCH_DISAGREEMENT = 0.1

__all__ = ["METHODS", "BadVotes", "Result", "aggregate"]


def aggregate(
    frame: pd.DataFrame,
    method: str = "auto",
    gold: pd.DataFrame | None = None,
    *,
    labels: Iterable[str] | None = None,
    pictures: pd.DataFrame | None = None,
) -> Result:
    """Settle every task that had a vote.

    Args:
        frame: `task` (or `item`, `image`), `worker`, `label`; the last row of a worker on a task counts. A
            column `audit` says which tasks were drawn at random and asked about whatever the votes said: from
            them the default learns how alike the workers' mistakes are (`dependence`).
        method: one of METHODS.
        gold: `task,label`; a gold task's consensus is its gold label, with confidence 1.
        labels: all labels that could be chosen, where that is known: a label that nobody has chosen yet still
            matters to how sure one is.
        pictures: `task,label,probability`: what a classifier says of each task's picture, out of fold; it
            becomes one more voter (`quality.aggregation.pictures`), and the method `...+pictures`.

    Returns:
        Result. Confidence is a share of (weighted) votes for majority, wawa and zbs; for the models it is the
        posterior probability, tempered because workers share mistakes (`dependence`).

    Raises:
        BadVotes: a column is missing, the method is unknown, or there are too many votes for it.
    """
    if method not in _FITS:
        raise BadVotes(f"unknown method {method!r} (known: {', '.join(METHODS)})")
    votes = clean_votes(frame, gold, labels)
    fit = _FITS[method](votes)
    alike = likeness(votes, fit, _FITS[method])
    if pictures is not None:
        fit = with_pictures(votes, replace(fit, blind=fit.blind.tempered(alike)), pictures)
    posterior = fit.blind.tempered(alike).clamped(votes)
    summary = _summary(votes, fit, alike)
    known = votes.gold >= 0
    untold = posterior
    if known.any():
        plain = replace(votes, gold=np.full_like(votes.gold, -1))
        untold = _FITS[method](plain).blind.tempered(usual_likeness(len(votes.labels)))
    summary["label_accuracy"] = estimated_accuracy(votes, posterior, untold, fit.foreseen_right)
    return Result(votes, fit, posterior, summary, frame)


def _summary(votes: Votes, fit: Fit, alike: float) -> dict[str, Any]:
    warnings = [*votes.warnings, *warnings_of(fit)]
    if not fit.converged:
        warnings.append(f"{fit.method} had not come to rest after {fit.iterations} passes")
    disagreement = fit.notes.get("disagreement", 0.0)
    if isinstance(disagreement, float) and disagreement > MUCH_DISAGREEMENT:
        warnings.append(
            f"the models disagree on {disagreement:.0%} of the tasks; gold would tell who is right"
        )
    silent = int((votes.per_task == 0).sum())
    if silent:
        warnings.append(f"with abstentions alone: {number_of(silent, 'task')}; its label is a guess")
    if len(votes.labels) == 1:
        warnings.append("only one label was ever chosen: confidence says nothing")
    if not len(votes.tasks):
        warnings.append("there is no usable vote")
    return {
        "tasks": len(votes.tasks),
        "votes_read": votes.read,
        "votes_used": int(votes.given.sum()),
        "abstained": votes.abstained,
        "dropped": dict(votes.dropped),
        "method": fit.method,
        "workers": len(votes.workers),
        "labels": len(votes.labels),
        "gold": int((votes.gold >= 0).sum()),
        "iterations": fit.iterations,
        "converged": fit.converged,
        "weights": fit.notes.get("weights"),
        "likeness": fit.notes.get("likeness", alike),
        **({"pictures": fit.notes["pictures"]} if "pictures" in fit.notes else {}),
        "warnings": warnings,
    }
