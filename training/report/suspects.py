"""The train pictures whose labels look most wrong to nets that were not taught them."""

from __future__ import annotations

import shlex
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from annotation_site.figures import number_of
from training.report import plots
from training.report.page_parts import note, percent, section

if TYPE_CHECKING:
    from training.arms import Labellings
    from training.arms.cleaning import Doubts

MOST = 24
TITLE = "Labels that look wrong"
NONE = "Not shown: no net of this run judged train pictures that it was not taught."
HOW = (
    "<p>The flag <code>--suspects</code> adds such nets to this run, as the arm <code>cleaned</code> does: "
    "the same command with it goes on from here.</p>"
)


def gallery(
    doubts: Doubts | None, labellings: Labellings, pixels: np.ndarray, rows: np.ndarray, run: str
) -> str:
    """The report's section.

    Args:
        pixels: uint8[pictures, size, size, 3]; `rows`: int64[n], where those of `labellings` stand.
        run: the run's folder, for the command that asks for more votes.
    """
    if doubts is None:
        return section(TITLE, NONE, HOW)
    issues = doubts.issues.reset_index(drop=True)
    worst = issues[issues["flagged"]].sort_values("rank").index[:MOST]
    count = int(doubts.flagged.sum())
    words = (
        f"Confident learning doubts the consensus of {count:,} of {number_of(len(issues), 'train picture')}, "
        "by nets that were taught neither the picture nor a copy of it."
    )
    if not count:
        return section(TITLE, words)
    names = labellings.release.class_names
    cards = [_card(labellings, doubts, int(row), pixels[rows[row]], names) for row in worst]
    command = shlex.join(["python", "manage.py", "request_votes", labellings.release.name, "--from-run", run])
    ask = f"<p>To ask for another vote on each of them:</p><pre>{escape(command)}</pre>"
    first = f"The {len(worst)} most doubtful, the worst first" if count > len(worst) else "The worst first"
    how = f"{first}; percentages are what the net gives to the label, and to its own guess."
    return section(TITLE, words, f'<div class="cards">{"".join(cards)}</div>', note(how), ask)


def _card(labellings: Labellings, doubts: Doubts, row: int, pixels: np.ndarray, names: dict[str, str]) -> str:
    """One picture: its label and the nets' belief in it, what they say instead, and its votes."""
    issue, classes = doubts.issues.iloc[row], labellings.release.classes
    label, suggested = str(issue["label"]), str(issue["suggested"])
    guessed = float(doubts.probabilities[row, classes.index(suggested)])
    counts = labellings.ballots.counts[row]
    order = np.argsort(-counts, kind="stable")
    votes = ", ".join(f"{names[classes[at]]} {counts[at]}" for at in order if counts[at]) or "none"
    image = labellings.images[row]
    lines = (
        f"<b>{escape(names[label])}</b> {percent(float(issue['self_confidence']), 0)}",
        f"rather {escape(names[suggested])} {percent(guessed, 0)}",
        f"votes: {escape(votes)}",
        f'<span class="soft">{escape(image[:12])}</span>',
    )
    picture = f'<img src="{plots.thumbnail(pixels)}" alt="{escape(names[label])}" title="{escape(image)}">'
    return f"<figure>{picture}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"
