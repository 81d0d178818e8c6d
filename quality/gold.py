"""Gold: which settled images may screen workers, and whether an answer has leaked. Pure.

Gold from settled images screens workers only: its answers are the crowd's, so it proves nothing of accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

LEAST_CONFIDENCE = 0.95
"""Honest posteriors of small crowds hardly pass this: five who agree on everything leave 0.97."""
THIRDS = ("easy", "middle", "hard")
LEAK_ALARM = 0.01
"""Probability that a look at gold that has not leaked names anything at all (Holm over the items)."""
SHUFFLES, MOST_SHUFFLES, FEWEST_BEATEN = 1000, 40_000, 10
MOST_CELLS = 20_000_000
FEWEST_ANSWERS = 16
"""Answers on an item before a change can be seen; as many as FEWEST_SIDE before and after."""
FEWEST_SIDE = 5
FIRST_VOTES = 4
"""Practice is told in steps: two from here to three times as many votes, two more to seven times, …"""
FEWEST_PLAIN = 50
"""Answers on other pictures from which the gain by a step of practice is read."""


def choose_settled(candidates: pd.DataFrame, wanted: int, seed: int = 0) -> pd.DataFrame:
    """Pick `wanted` images as fresh gold: the same number of each class and of each third of difficulty.

    Difficulty is how many votes an image took to settle, then how unsure it stayed. A class or third with
    too few gives its places to the others. All are hard enough to be worth asking and sure enough to be
    right: rows below LEAST_CONFIDENCE are never taken.

    Args:
        candidates: `image,label,confidence,votes`, one row an image.
        seed: of the random choice within a cell; equal input gives equal gold.

    Returns:
        The chosen rows with a column `difficulty` (one of THIRDS), in order of image; fewer than `wanted`
        where there are not as many.
    """
    sure = candidates[candidates["confidence"] >= LEAST_CONFIDENCE].sort_values("image", ignore_index=True)
    if not len(sure) or wanted < 1:
        return sure.head(0).assign(difficulty=pd.Series(dtype=object))
    hard = sure.sort_values(["votes", "confidence"], ascending=[True, False], kind="stable").index
    third = np.empty(len(sure), np.int64)
    third[hard] = np.arange(len(sure)) * len(THIRDS) // len(sure)
    draw = np.random.default_rng(seed).random(len(sure))
    sure = sure.assign(difficulty=np.array(THIRDS, dtype=object)[third], third=third, draw=draw)
    # Deal like cards: the first of every class and third, then the second of each, until there are enough.
    within = sure.sort_values("draw").groupby(["label", "third"], sort=False).cumcount()
    sure["turn"] = within.reindex(sure.index)
    sure["per_class"] = sure.sort_values(["turn", "draw"]).groupby("label", sort=False).cumcount()
    sure["per_third"] = (
        sure.sort_values(["turn", "per_class", "draw"]).groupby("third", sort=False).cumcount()
    )
    chosen = sure.sort_values(["per_class", "turn", "per_third", "draw"]).head(wanted)
    return chosen.sort_values("image")[[*candidates.columns, "difficulty"]].reset_index(drop=True)


class Leak(NamedTuple):
    """A gold item (or all gold: `ALL_GOLD`) whose answers changed, and since when.

    `p`: probability of such a change without a leak, corrected for all items; `since`: row of the votes in
    order, counted on that item, from which it changed; `before`, `after`: share right.
    """

    task: str
    kind: str
    p: float
    since: int
    answers: int
    before: float
    after: float
    evidence: str


ALL_GOLD = "*"


def leaks(frame: pd.DataFrame, alarm: float = LEAK_ALARM) -> list[Leak]:
    """Gold that everyone suddenly knows: answers get right (or fast) from some moment on.

    For each item, and for all gold together, each answer is compared with what its worker usually does, at
    this point of practice (share right on other gold and agreement with consensus elsewhere; time taken), and
    with the item's own mean. The largest standardised rise between any two parts of the sequence is held
    against the same for shuffled sequences (a permutation test of a change point: Antoch & Hušková 2001), so
    the false-alarm rate needs no further model: without a change every order is equally likely. Items are
    corrected by Holm (1979).

    Args:
        frame: votes in the order given: `task,worker,right` (1, 0, or NaN where nothing is known), `gold`
            (bool), optionally `seconds`. Rows that are no gold tell what each worker is like.
        alarm: probability that anything is named although nothing leaked.

    Returns:
        Leaks, the surest first.
    """
    rows = frame.reset_index(drop=True)
    gold = rows[rows["gold"].astype(bool) & rows["right"].notna()]
    if not len(gold):
        return []
    surprise = _beyond_practice(rows, gold, rows["right"].astype(float))
    faster = _faster(rows, gold)
    series: list[tuple[str, str, np.ndarray, pd.Series]] = []
    for task, part in [*gold.groupby("task", sort=True), (ALL_GOLD, gold)]:
        series.append((str(task), "answers", surprise[part.index].to_numpy(), part["right"]))
        if faster is not None:
            pace = faster[part.index]
            series.append((str(task), "speed", pace[pace.notna()].to_numpy(), part["right"][pace.notna()]))
    tried = [(row, _rise(row[2], place)) for place, row in enumerate(series) if len(row[2]) >= FEWEST_ANSWERS]
    tried = sorted(tried, key=lambda pair: pair[1][0])
    found = []
    for place, ((task, kind, _, right), (p, since)) in enumerate(tried):
        corrected = p * (len(tried) - place)
        if corrected > alarm:
            break
        found.append(_leak(task, kind, min(corrected, 1.0), since, right.astype(float).to_numpy()))
    return found


def _beyond_practice(rows: pd.DataFrame, gold: pd.DataFrame, value: pd.Series) -> pd.Series:
    """What a gold answer has above what its worker usually has, and has after so much practice.

    People get better and faster with every picture, and a crowd that starts together does so together: no
    leak. How much is seen in the answers that are no gold, or, where these are too few, in all other gold.
    """
    told = pd.DataFrame({"value": value, "worker": rows["worker"]})
    before = rows.groupby("worker").cumcount()
    told["practice"] = (2 * np.log2(before / FIRST_VOTES + 1)).astype(np.int64)
    told["gold"] = rows["gold"].astype(bool)
    told = told[value.notna()]
    total = told.groupby("worker")["value"].agg(["sum", "count"]).reindex(told["worker"]).set_axis(told.index)
    mean = float(told["value"].mean())
    own = told["value"]
    told["rest"] = own - (total["sum"] - own + 4 * mean) / (total["count"] - 1 + 4)
    plain = told[~told["gold"]].groupby("practice")["rest"].agg(["mean", "count"])
    mine = told.loc[gold.index.intersection(told.index)]
    curve = plain["mean"].where(plain["count"] >= FEWEST_PLAIN).reindex(mine["practice"]).set_axis(mine.index)
    others = mine.groupby("practice")["rest"].agg(["sum", "count"]).reindex(mine["practice"])
    others = others.set_axis(mine.index)
    among_gold = (others["sum"] - mine["rest"]) / (others["count"] - 1).clip(lower=1)
    return (mine["rest"] - curve.fillna(among_gold)).reindex(gold.index)


def _faster(rows: pd.DataFrame, gold: pd.DataFrame) -> pd.Series | None:
    """How much faster than usual each gold answer came, in log seconds."""
    if "seconds" not in rows.columns:
        return None
    seconds = pd.to_numeric(rows["seconds"], errors="coerce")
    log = np.log(seconds.where(seconds > 0))
    return None if log[gold.index].isna().all() else _beyond_practice(rows, gold, -log)


def _rise(series: np.ndarray, seed: int) -> tuple[float, int]:
    """The p-value of the largest rise of the mean at any moment, and where it is."""
    rng = np.random.default_rng(seed)
    n = len(series)
    split = np.arange(FEWEST_SIDE, n - FEWEST_SIDE + 1)
    scale = np.sqrt(n / (split * (n - split)))

    def rises(table: np.ndarray) -> np.ndarray:
        behind = np.cumsum(table - table.mean(axis=1, keepdims=True), axis=1)[:, split - 1]
        return -behind * scale

    seen = rises(series[None, :])[0]
    most = max(1, 2_000_000 // n)
    beaten = done = 0
    # Where hardly a shuffle comes near, more of them tell how rare that is: there may be many items.
    while done < SHUFFLES or (beaten < FEWEST_BEATEN and done * n < MOST_CELLS and done < MOST_SHUFFLES):
        shuffled = rng.permuted(np.broadcast_to(series, (min(most, SHUFFLES), n)), axis=1)
        beaten += int((rises(shuffled).max(axis=1) >= seen.max() - 1e-12).sum())
        done += len(shuffled)
    return (beaten + 1) / (done + 1), int(split[int(np.argmax(seen))])


def _leak(task: str, kind: str, p: float, since: int, right: np.ndarray) -> Leak:
    before, after = float(right[:since].mean()), float(right[since:].mean())
    what = "all gold together" if task == ALL_GOLD else f"gold {task}"
    changed = "is answered right" if kind == "answers" else "is answered much faster; right"
    words = (
        f"{what} {changed} by {after:.0%} since answer {since + 1} of {len(right)}, by {before:.0%} before; "
        f"without a leak that happens with probability {p:.1%}"
    )
    return Leak(task, kind, p, since, len(right), before, after, words)
