"""What a release's votes tell: the same as quality's own figures on the same votes, whatever the batches."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from statistics import median

import pandas as pd
import pytest

from export import layout
from export.card import vote_statistics
from export.tables import TableWriter
from quality.agreement import alpha, ballots, kappa, observed
from quality.confusion import confusions

CATEGORIES = ("cat", "dog", "eel")


def write(folder: Path, images: int, seed: int = 1) -> tuple[pd.DataFrame, dict[str, str]]:
    """A manifest and votes as a release holds them; the votes and the categories by image."""
    rng = random.Random(seed)
    rows, votes = [], []
    for number in range(images):
        image = f"{number:064x}"
        rows.append({"image": image, "category": rng.choice(CATEGORIES)})
        for round in ("9", "10"):
            for worker in rng.sample(range(8), rng.randrange(4)):
                label = rng.choice([rows[-1]["category"]] * 3 + [*CATEGORIES, "__none__", "__unsure__"])
                votes.append(
                    {"image": image, "worker": f"w{worker}", "label": label, "round": round}
                    | {"seconds": rng.choice([None, rng.random() * 9])}
                )
        for proposed in ("cat", "dog"):
            votes += [
                {"image": image, "worker": f"v{n}", "label": rng.choice(["yes", "no", "unsure"])}
                | {"round": "11", "proposed": proposed, "seconds": 1.5}
                for n in range(rng.randrange(4))
            ]
    with (
        TableWriter(folder / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest,
        TableWriter(folder / layout.VOTES, layout.VOTES_SCHEMA) as table,
    ):
        manifest.add(rows)
        table.add(votes)
    return pd.DataFrame(votes), {row["image"]: row["category"] for row in rows}


@pytest.mark.parametrize("batch", [7, 50_000])
def test_the_figures_are_qualitys_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(vote_statistics, "BATCH", batch)
    votes, category = write(tmp_path, 60)
    found = vote_statistics.vote_statistics(tmp_path)
    assert found.votes == len(votes)
    assert found.workers == votes["worker"].nunique()
    asked = votes["proposed"].notna()
    votes["task"] = votes["image"] + votes["round"] + votes["proposed"].fillna("")
    for question, rows in (("classify", votes[~asked]), ("verify", votes[asked])):
        told = ballots(rows[["task", "worker", "label"]])
        mine = found.agreement[question]
        assert mine.tasks == len(told.tasks)
        assert mine.alpha == pytest.approx(alpha(told))
        assert mine.kappa == pytest.approx(kappa(told))
        assert mine.observed == pytest.approx(observed(told))
    classify = votes[~asked]
    due = confusions(ballots(classify[["task", "worker", "label"]]), vote_statistics.CONFUSED)
    assert [(r["first"], r["second"], r["tasks"]) for r in found.confused] == list(
        zip(due["first"], due["second"], due["tasks"], strict=True)
    )
    cells = Counter(zip(classify["image"].map(category), classify["label"], strict=True))
    assert found.matrix == dict(cells)
    for name, rows in votes.groupby("round"):
        mine = found.rounds[name]
        assert (mine.votes, mine.workers) == (len(rows), rows["worker"].nunique())
        per_round = alpha(ballots(rows[["task", "worker", "label"]]))
        assert mine.agreement.alpha == pytest.approx(per_round)
        assert mine.seconds == pytest.approx(median(rows["seconds"].dropna()), abs=0.006)
    assert list(found.rounds) == ["9", "10", "11"]


def test_a_release_without_votes_says_nothing(tmp_path: Path) -> None:
    with TableWriter(tmp_path / layout.MANIFEST, layout.MANIFEST_SCHEMA) as manifest:
        manifest.add([{"image": "0" * 64, "category": "cat"}])
    with TableWriter(tmp_path / layout.VOTES, layout.VOTES_SCHEMA):
        pass
    assert vote_statistics.vote_statistics(tmp_path) == vote_statistics.VoteStatistics()
