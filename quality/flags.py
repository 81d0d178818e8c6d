"""Every pattern of answers that a person should look at, each with its evidence in a sentence.

`random`, `constant` (quality.spam), `copying` (quality.copying), `too_fast`, `even_pace` (quality.pace).
Their chances of a false alarm are in those files; of all honest workers at most 2% are ever flagged, at
whatever number of votes one looks. Flags take neither work nor pay from anyone: `quality.policy` proposes, a
person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from annotation_site.figures import number_of
from quality.alarm import FEWEST_VOTES
from quality.copying import Copies, find_copies
from quality.pace import Pace, even_paced, quick
from quality.peers import Ballots
from quality.spam import CONSTANT_SHARE, Blindness, weigh_blindness

SUSPECT = 0.05
"""Whoever is among the fastest is flagged at this false-alarm rate of `random`: a tenth are that fast, so
together that is rarer than 1 in 200."""
MANY_PARTNERS = 3
"""Partners named in a sentence on copying."""


class Flag(NamedTuple):
    """A pattern worth a look: a slug for tables, and a sentence with the figures for people."""

    worker: str
    slug: str
    evidence: str


def find_flags(names: Sequence[str], ballots: Ballots, pace: Pace | None = None) -> list[Flag]:
    """All flags, by worker in order of code, then as listed at the top of this file.

    Args:
        names: of the workers, by code.
    """
    if ballots.n_labels < 2 or not len(ballots.task):
        return []
    blind = weigh_blindness(ballots)
    enough = blind.n >= FEWEST_VOTES
    found: list[tuple[int, str, str]] = []
    for w in np.flatnonzero(blind.evidence >= blind.line).tolist():
        given = max(int(blind.given[w]), 1)
        slug = "constant" if blind.times[w] >= CONSTANT_SHARE * given else "random"
        found.append((int(w), slug, _constant(blind, w) if slug == "constant" else _random(blind, w)))
    found += _copying(names, find_copies(ballots, blind.forecast.kappa, blind.forecast.base))
    if pace is not None:
        poor = enough & (blind.evidence >= -np.log(SUSPECT))
        middle = float(np.nanmedian(pace.seconds))
        found += [
            (int(w), "too_fast", _too_fast(pace, blind, w, middle))
            for w in np.flatnonzero(quick(pace) & poor).tolist()
        ]
        found += [(int(w), "even_pace", _even(pace, w)) for w in np.flatnonzero(even_paced(pace)).tolist()]
    return [Flag(names[w], slug, words) for w, slug, words in sorted(found, key=lambda row: row[0])]


def _constant(blind: Blindness, w: int) -> str:
    common = blind.forecast.base[blind.favourite[w]]
    return (
        f"gave one and the same answer {blind.times[w]} of {blind.given[w]} times; that answer is "
        f"{common:.0%} of the crowd's ({_odds(blind, w)})"
    )


def _random(blind: Blindness, w: int) -> str:
    return (
        f"agrees with the others on {blind.agree[w]:.0%} of {blind.n[w]} votes; answering with the pictures "
        f"unseen would give {blind.expected[w]:.0%}, the crowd has {blind.crowd:.0%} ({_odds(blind, w)})"
    )


def _odds(blind: Blindness, w: int) -> str:
    odds = float(np.exp(min(blind.evidence[w], 14.0)))
    figure = "over a million" if odds > 1e6 else f"{odds:,.0f}"
    return f"{figure} times likelier from somebody who does not look than from an honest worker of this crowd"


def _copying(names: Sequence[str], copies: Copies) -> list[tuple[int, str, str]]:
    """One flag for each worker of a pair, naming the others: who copied whom, answers do not tell."""
    told: dict[int, list[str]] = {}
    for a, b, shared, agreed, odd, same, expected in zip(*(c.tolist() for c in copies), strict=True):
        for one, other in ((a, b), (b, a)):
            told.setdefault(one, []).append(
                f"gave {agreed} of {shared} answers like {names[other]}, {same} of {odd} where others say "
                f"something else ({expected:.1f} expected); who copied from whom, answers do not tell"
            )
    flags = []
    for w, lines in told.items():
        more = len(lines) - MANY_PARTNERS
        tail = [f"and so with {number_of(more, 'more worker')}"] if more > 0 else []
        flags.append((w, "copying", "; ".join(lines[:MANY_PARTNERS] + tail)))
    return flags


def _too_fast(pace: Pace, blind: Blindness, w: int, middle: float) -> str:
    return (
        f"takes {pace.seconds[w]:.1f} s a vote where the middle worker takes {middle:.1f} s, and agrees with "
        f"the others on {blind.agree[w]:.0%} of votes where the crowd does on {blind.crowd:.0%}"
    )


def _even(pace: Pace, w: int) -> str:
    return (
        f"takes nearly the same time for every vote: {pace.n[w]} times spread by {pace.spread[w]:.0%} around "
        f"{pace.seconds[w]:.1f} s; people's spread by 20% and more"
    )
