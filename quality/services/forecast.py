"""How many votes a round still takes and what they cost: `quality.forecast` over a pass, and what came of it.

A forecast counts votes on the round's ordinary tasks. Gold is given out on top, in its share, and is paid
for: the cost has it in. Each pass keeps its forecast (`QCPass.forecast`), so that it can be checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from annotation_site.models import Round
from quality.accuracy_forecast import Standing, forecast_accuracy, rival_of
from quality.forecast import USUAL, Forecast, Limits, Margin, forecast, room_of
from quality.models import QCPass
from quality.services.settling import Judged, Wish
from quality.stopping import ASK_AGAIN, Decision


def forecast_of(
    round: Round, judged: Judged, decision: Decision, plain: np.ndarray, n_labels: int
) -> dict[str, int] | None:
    """`votes`, `lo`, `hi` (90% interval) still to come, `tasks` that wait for them, `given` so far.

    None where none can be made: for a closed round, and before the preset's sample is there.
    """
    wish = Wish.of(round)
    if round.state == Round.State.CLOSED or (wish.preset and judged.margin is None):
        return None
    is_open = plain & (decision.state == ASK_AGAIN)
    most = judged.most
    if judged.available is not None:
        most = np.minimum(most, judged.given + np.maximum(judged.available, 0))
    new = is_open & (judged.given == 0)
    sure_to_come = new & (judged.least >= most)  # audited ones get all their votes
    fresh = int((new & ~sure_to_come).sum())
    if wish.expected_accuracy is None:
        found = _by_task(judged, most, is_open, fresh, n_labels)
    else:
        found = _by_category(judged, most, is_open, fresh, n_labels, plain, wish.least_gain)
    certain = int(most[sure_to_come].sum())
    return {
        "votes": _whole(found.votes) + certain,
        "lo": _whole(found.lo) + certain,
        "hi": _whole(found.hi) + certain,
        "tasks": int(is_open.sum()),
        "given": int(judged.given[plain].sum()),
    }


def _by_task(judged: Judged, most: np.ndarray, is_open: np.ndarray, fresh: int, n_labels: int) -> Forecast:
    """Where each task settles by itself."""
    voted, margin = judged.voted, judged.margin
    return forecast(
        judged.ahead.lead,
        judged.given[voted],
        judged.least[voted],
        most[voted],
        judged.wanted[voted],
        judged.ahead.risk.weight,
        n_labels,
        room_of(judged.ahead.risk),
        is_open=is_open[voted],
        fresh=fresh,
        usual=_usual(judged),
        margin=None if margin is None else Margin(margin.wanted[voted], margin.now[voted]),
    )


def _by_category(
    judged: Judged, most: np.ndarray, is_open: np.ndarray, fresh: int, n_labels: int, plain: np.ndarray,
    least_gain: float,
) -> Forecast:  # fmt: skip
    """Where a whole category stops at once. What is stated is the mean of two confidences (`gain.stated`)."""
    voted, ahead = judged.voted, judged.ahead
    category = np.unique(judged.label[voted].astype(str), return_inverse=True)[1]
    standing = Standing(
        lead=ahead.lead,
        rival=rival_of(ahead.risk, ahead.lead),
        room=room_of(ahead.risk),
        said=2.0 * judged.confidence[voted] - ahead.confidence,
        category=category,
        given=judged.given[voted],
        least=judged.least[voted],
        most=most[voted],
        target=judged.wanted[voted],
        closed=~plain[voted],
    )
    return forecast_accuracy(
        standing, ahead.risk.weight, n_labels, fresh=fresh, open_tasks=int(is_open.sum()),
        usual=_usual(judged), least_gain=least_gain,
    )  # fmt: skip


def _usual(judged: Judged) -> Limits:
    """What most tasks of the round want."""
    if not len(judged.given):
        return USUAL
    least, most, wanted = (np.median(x) for x in (judged.least, judged.most, judged.wanted))
    return Limits(int(least), int(most), float(wanted))


def _whole(votes: float) -> int:
    return int(np.round(votes))


def vote_price(round: Round) -> float:
    """What a vote on an ordinary task costs, the gold that is given out with it included."""
    return float(round.price) / (1.0 - round.gold_rate)


def priced(kept: dict[str, int], price: float) -> dict[str, float]:
    """A kept forecast with `cost`, `cost_lo`, `cost_hi`; `price`: of a vote (`vote_price`)."""
    ends = {"cost": kept["votes"], "cost_lo": kept["lo"], "cost_hi": kept["hi"]}
    return {**kept, **{name: round(votes * price, 4) for name, votes in ends.items()}}


def foretold(qc_pass: QCPass, price: float) -> dict[str, float] | None:
    """What a page says about the newest pass: `priced`; None where nothing waits or nothing can be said."""
    kept = qc_pass.forecast
    return priced(kept, price) if kept and kept["tasks"] else None


class Outcome(NamedTuple):
    """An earlier pass's forecast of the votes in all, and what it took (None: the round goes on)."""

    number: int
    lo: int
    hi: int
    took: int | None

    @property
    def held(self) -> bool | None:
        """Whether it took as many as the interval says."""
        return None if self.took is None else self.lo <= self.took <= self.hi


def outcomes(passes: Sequence[QCPass]) -> list[Outcome]:
    """What earlier passes foretold beside what it took, once nothing waits for votes any more; oldest first.

    Only the first forecast for each number of votes, and none that was made when nothing was open.
    """
    told = [made for made in sorted(passes, key=lambda p: p.number) if made.forecast]
    if not told:
        return []
    last: dict[str, Any] = told[-1].forecast
    took = last["given"] if last["tasks"] == 0 else None
    rows: dict[int, Outcome] = {}
    for made in told:
        kept = made.forecast
        if kept["tasks"]:
            given = kept["given"]
            rows.setdefault(given, Outcome(made.number, given + kept["lo"], given + kept["hi"], took))
    return list(rows.values())
