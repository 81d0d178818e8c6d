"""Assay's default: what the data can carry, chosen without the truth.

Estimators that know more about workers win where workers gave many votes and lose where they gave few or
share their mistakes; which is which cannot be seen from one of them. So the default asks three that differ in
what they believe (one coin a worker; a shrunken confusion table; knows-or-spams), tempers each, and takes the
mean of their posteriors: a label must convince more than one of them to beat what the others say. Where a
table of confusions is too large to hold (or there is no vote at all), the one-coin model answers alone.
"""

from __future__ import annotations

import numpy as np

from quality.aggregation.dawid_skene import fit_dawid_skene, fits_in_memory
from quality.aggregation.dependence import likeness
from quality.aggregation.mace import fit_mace
from quality.aggregation.one_coin import fit_one_coin
from quality.aggregation.posterior import DensePosterior, Fit
from quality.aggregation.votes import Votes


def fit_auto(votes: Votes) -> Fit:
    """The mean of the tempered posteriors of one-coin, Dawid-Skene and MACE; each is told in `notes`."""
    one = fit_one_coin(votes)
    if not len(votes.task) or not fits_in_memory(votes):
        return Fit("one_coin", one.posterior, one.blind, one.skill, one.iterations, one.converged)
    models = (fit_one_coin, fit_dawid_skene, fit_mace)
    fits = [one, *(model(votes) for model in models[1:])]
    alike = [likeness(votes, fit, model) for fit, model in zip(fits, models, strict=True)]
    tables = [fit.blind.tempered(value).dense().table for fit, value in zip(fits, alike, strict=True)]
    blind = DensePosterior(np.mean(tables, axis=0))
    labels = np.array([table.argmax(axis=1) for table in tables])
    disagree = float((labels != labels[0]).any(axis=0).mean()) if labels.size else 0.0
    return Fit(
        "auto",
        blind.clamped(votes),
        blind,
        np.mean([fit.skill for fit in fits], axis=0),
        max(fit.iterations for fit in fits),
        all(fit.converged for fit in fits),
        {"likeness": float(np.mean(alike)), "disagreement": disagree},
    )
