"""How often each worker was right on gold, for their own page: see `annotation_site.services.agreement`."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from annotation_site.models import Round, Worker
from annotation_site.services.agreement import keep_agreement
from quality.services.stored import ABSTAIN, slices


def keep_own_agreement(round: Round, votes: pd.DataFrame, known: Mapping[int, str]) -> None:
    """Keep (answers on gold, right ones) of each worker, from a pass's votes and its known labels.

    "Can't tell" is no answer. What came after the round closed is left out: somebody who sees the figure then
    must not be able to move it.
    """
    asked = votes[votes["gold"] & votes["task"].isin(list(known)) & ~votes["label"].isin(ABSTAIN)]
    if round.closed is not None:
        asked = asked[asked["created"] <= pd.Timestamp(round.closed)]
    right = asked["label"] == asked["task"].map(known)
    counted = right.groupby(asked["worker"]).agg(["size", "sum"])
    id_of: dict[str, int] = {}
    for codes in slices(counted.index):
        id_of |= dict(Worker.objects.filter(code__in=codes).values_list("code", "pk"))
    keep_agreement(round, {id_of[code]: (int(n), int(r)) for code, n, r in counted.itertuples()})
