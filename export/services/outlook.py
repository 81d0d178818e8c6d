"""How fast people vote, and when and at what cost the open rounds end: a few hundred rows, at any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from annotation_site.models import Assignment, Round
from ingest.models import Dataset
from quality.models import QCPass
from quality.services.forecast import vote_price
from quality.services.report import round_votes

DAYS = 14
"""Days that are shown, today included."""
RECENT = 7
"""Whole days that the pace is the mean of."""
PROBES = 64
SAMPLE = 400
"""Batches that are read; of more, every so many-th one stands for those around it."""


@dataclass(frozen=True)
class Throughput:
    """Votes of the last `DAYS` days, oldest first. `sampled`: estimated from a sample of the batches."""

    days: list[tuple[date, int]]
    sampled: bool

    @property
    def votes(self) -> int:
        """In all these days."""
        return sum(n for _, n in self.days)

    @property
    def per_day(self) -> float:
        """Mean of the last whole days, from the first one with votes on; today's where there is no other."""
        whole = self.days[-RECENT - 1 : -1]
        first = next((place for place, (_, n) in enumerate(whole) if n), None)
        if first is None:
            return float(self.days[-1][1])
        counted = whole[first:]
        return sum(n for _, n in counted) / len(counted)


@dataclass(frozen=True)
class Outlook:
    """What the open rounds still take. `lo`, `hi`: votes, a 90% interval where `foretold`, else bounds."""

    votes: int
    lo: int
    hi: int
    cost: float
    cost_lo: float
    cost_hi: float
    spent: float
    days: float | None
    days_lo: float | None
    days_hi: float | None
    foretold: bool


def throughput(dataset: Dataset, now: datetime | None = None) -> Throughput:
    """Votes a day, from the batches that were finished (imported votes came in none).

    Batches are numbered in the order in which they were given out, so that the first one of the window is
    found by halving, and every n-th of the window is a fair sample of it.
    """
    now = now or timezone.now()
    today = timezone.localdate(now)
    dates = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    begin = timezone.make_aware(datetime.combine(dates[0], datetime.min.time()))
    every = Assignment.objects.order_by("pk")
    last = every.values_list("pk", flat=True).last() or 0
    first = _first_since(begin, last)
    span = max(0, last - first + 1)
    step = -(-span // SAMPLE) if span else 1
    done = Assignment.objects.filter(state=Assignment.State.DONE, round__dataset=dataset)
    if step == 1:
        rows = done.filter(pk__gte=first)
    else:
        rows = done.filter(pk__in=list(range(first + step // 2, last + 1, step)))
    votes: Counter[date] = Counter()
    for created, tasks in rows.values_list("created", "tasks_given"):
        votes[timezone.localdate(created)] += step * tasks
    return Throughput([(day, votes[day]) for day in dates], step > 1)


def _first_since(begin: datetime, last: int) -> int:
    """The lowest number of a batch given out at `begin` or later; last + 1 where there is none."""
    low, high = 1, last + 1
    while high - low > PROBES:  # many places at once: a query takes longer to make than to answer
        step = (high - low) // PROBES
        rows = Assignment.objects.filter(pk__in=range(low + step, high, step)).order_by("pk")
        found = list(rows.values_list("pk", "created"))
        before = max((pk + 1 for pk, created in found if created < begin), default=low)
        after = min((pk for pk, created in found if created >= begin), default=high)
        if (before, after) == (low, high):
            break  # numbers were left out here
        low, high = before, max(before, after)
    while low < high:
        middle = (low + high) // 2
        there = Assignment.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "created").first()
        if there is None or there[1] >= begin:
            high = middle
        else:
            low = there[0] + 1
    return low


def outlook(dataset: Dataset, rounds: Sequence[Round], pace: float) -> Outlook | None:
    """What the rounds that are not closed still take at `pace` votes a day; None where nothing waits.

    A round that had a pass has its forecast, less the votes that came since. Before, its bounds: the least
    and the most votes of every task that waits.
    """
    going = [r for r in rounds if r.state != Round.State.CLOSED and not r.is_repeat]
    every = round_votes(rounds)
    newest: dict[int, QCPass] = {}
    for made in QCPass.objects.filter(round__in=going).order_by("round", "number"):
        newest[made.round_id] = made
    sums, costs, foretold = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], True
    for round in going:
        left, known = _left(round, newest.get(round.pk), every[round.pk])
        foretold &= known
        for place, votes in enumerate(left):
            sums[place] += votes
            costs[place] += votes * vote_price(round)
    if not sums[2]:
        return None
    spent = sum(float(r.price) * every[r.pk] for r in rounds)
    days = [votes / pace if pace else None for votes in sums]
    return Outlook(
        votes=int(sums[0]),
        lo=int(sums[1]),
        hi=int(sums[2]),
        cost=costs[0],
        cost_lo=costs[1],
        cost_hi=costs[2],
        spent=spent,
        days=days[0],
        days_lo=days[1],
        days_hi=days[2],
        foretold=foretold,
    )


def _left(round: Round, made: QCPass | None, votes: int) -> tuple[tuple[float, float, float], bool]:
    """(votes, lo, hi) still to come, and whether a pass foretold them."""
    if made is not None and made.forecast:
        kept, since = made.forecast, votes - made.votes
        return (
            max(0.0, kept["votes"] - since), max(0.0, kept["lo"] - since), max(0.0, kept["hi"] - since)
        ), True  # fmt: skip
    waiting = max(0, round.tasks_total - round.tasks_settled - round.tasks_exhausted)
    given = votes if made is None else 0
    least = max(0, waiting * round.votes_min - given)
    return (float(least), float(least), float(max(0, waiting * round.votes_max - given))), False
