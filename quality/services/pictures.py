"""A classifier's table about pictures as a table about a round's tasks, so that it can be one more voter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from annotation_site.models import NO, YES, Round
from ingest.services.images import representatives, resolve_images
from quality.aggregation import BadVotes
from quality.services.stored import category_keys, read_tasks

COLUMNS = ("task", "label", "probability")


class InRound(NamedTuple):
    """`table`: `task,label,probability`, the task as the votes table writes it. `unknown`: how many pictures
    of the classifier are in no task of the round."""

    table: pd.DataFrame
    unknown: int


def in_round(round: Round, table: pd.DataFrame) -> InRound:
    """Probabilities by picture as probabilities by task of the round, for `aggregate(..., pictures=...)`.

    A picture is named by its sha256, its path or URL; a copy speaks for its group, and where several copies
    do, the representative's own rows win. In a verify round the proposed category's probability is that of
    `yes`, and the rest that of `no`.

    Raises:
        BadVotes: a column is missing, or no picture of the table is in the round.
    """
    table = table.rename(
        columns={old: "task" for old in ("image", "item") if "task" not in table and old in table}
    )
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise BadVotes(f"pictures: no column {', '.join(missing)}")
    names = pd.unique(table["task"].astype(str)).tolist()
    tasks, image_of = read_tasks(round), _images(round, names)
    here = set(tasks["image"].tolist())
    unknown = sum(image_of.get(name) not in here for name in names)
    if unknown == len(names):
        raise BadVotes(f"pictures: none of {number_of(len(names), 'picture')} is in round {round.pk}")
    said = _said(table, image_of)
    keys = category_keys(round)
    asked = pd.DataFrame(
        {
            "task": tasks["id"].astype(str).astype(object),
            "image": tasks["image"],
            "proposed": [keys.get(category, "") for category in tasks["category"].tolist()],
        }
    )
    joined = asked.merge(said, on="image")
    if round.question == Round.Question.VERIFY:
        joined = _as_answers(joined)
    return InRound(joined[list(COLUMNS)].reset_index(drop=True), unknown)


def _images(round: Round, names: list[str]) -> dict[str, int]:
    """Name -> id of the image that stands for it; names of copies before those of their representatives."""
    found = resolve_images(round.dataset, names).found
    standing = representatives(found.values())
    own = [name for name in names if name in found and standing[found[name].pk].pk == found[name].pk]
    copies = [name for name in names if name in found and standing[found[name].pk].pk != found[name].pk]
    return {name: standing[found[name].pk].pk for name in (*copies, *own)}


def _said(table: pd.DataFrame, image_of: dict[str, int]) -> pd.DataFrame:
    """`image,label,probability`: of several names of one image, the last in `image_of` speaks for it."""
    speaker = {image: name for name, image in image_of.items()}
    name = table["task"].astype(str)
    said = table[["label", "probability"]].assign(image=name.map(image_of), label=table["label"].astype(str))
    return said[said["image"].map(speaker).eq(name)].astype({"image": np.int64})


def _as_answers(joined: pd.DataFrame) -> pd.DataFrame:
    """One `yes` and one `no` for each task: what the classifier says of the category proposed."""
    chance = pd.to_numeric(joined["probability"], errors="coerce")
    if not chance.between(0, 1 + 1e-6).all():
        bad = joined["probability"][~chance.between(0, 1 + 1e-6)].iloc[0]
        raise BadVotes(f"pictures: {bad} is no probability (0 to 1)")
    own = chance.where(joined["label"] == joined["proposed"], 0.0).groupby(joined["task"], sort=True)
    total = chance.groupby(joined["task"], sort=True).sum()
    yes = (own.sum() / total.where(total > 0, 1.0)).clip(0, 1)
    rows = [pd.DataFrame({"task": yes.index, "label": YES, "probability": yes.to_numpy()})]
    rows.append(pd.DataFrame({"task": yes.index, "label": NO, "probability": 1 - yes.to_numpy()}))
    return pd.concat(rows, ignore_index=True).sort_values(["task", "label"], ignore_index=True)
