"""How a batch is put together: how many gold tasks, at which places. Pure functions of secrets and counts.

A worker who knew which tasks are gold could answer only those well. So gold has the same fields as any task,
comes at places that nobody can work out without the site's secret, and each worker meets it in an order of
their own.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
RANK_SPAN = 2**31 - 1
"""No rank is higher: the column is a signed 32-bit number."""


def _fraction(secret: str, *parts: object) -> float:
    """A number in [0, 1) that is always the same for the same parts, and unknown without the secret."""
    text = ":".join(map(str, parts)).encode()
    digest = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def gold_count(secret: str, round_id: int, worker_id: int, given: int, size: int, rate: float) -> int:
    """How many of the next `size` tasks are gold.

    Args:
        given: tasks that the worker got in this round so far; each place is drawn once, by its number.
        rate: share of gold, 0 to 1.
    """
    places = range(given, given + size)
    return sum(_fraction(secret, "gold", round_id, worker_id, place) < rate for place in places)


def more_gold_count(
    secret: str, round_id: int, worker_id: int, given: int, size: int, usual: int, left: int
) -> int:
    """How many of the next `size` tasks are gold beside the `usual` ones, of `left` that a worker is to get.

    With them gold is at most half of the batch. Of single tasks every other one is, by a draw that nobody
    can foresee.
    """
    half = size // 2
    if size == 1:
        half = int(_fraction(secret, "more gold", round_id, worker_id, given) < 0.5)
    return min(left, max(half - usual, 0))


def gold_start(secret: str, round_id: int, worker_id: int, tasks_total: int) -> int:
    """The rank from which this worker meets the gold tasks: everyone starts elsewhere."""
    return int(_fraction(secret, "gold start", round_id, worker_id) * max(1, tasks_total))


def gold_position(rank: int, start: int) -> int:
    """How far a gold task of this rank lies along a worker's own order, which begins at `start`."""
    return (rank - start) % RANK_SPAN


def mixed(secret: str, round_id: int, worker_id: int, given: int, tasks: Sequence[T]) -> list[T]:
    """The tasks of a batch in the order in which they are shown: shuffled, the same on every call."""
    order = list(tasks)
    random.Random(f"{_fraction(secret, 'order', round_id, worker_id, given)}").shuffle(order)
    return order


def ranks_and_order(count: int, seed: int) -> tuple[list[int], list[int]]:
    """The random order of a round of `count` tasks.

    Returns:
        `ranks`: a permutation of 0 … count-1, the place of each task in claim order; and `insertion`,
        another, the order in which rows are made: a task's number betrays neither its rank nor gold.
    """
    rng = random.Random(f"round order {seed}")
    ranks, insertion = list(range(count)), list(range(count))
    rng.shuffle(ranks)
    rng.shuffle(insertion)
    return ranks, insertion


STEPS, STRIDE = 20, 10_000
"""Turns of a round that asks about unsure tasks first: how many steps of confidence, and how far apart.

Each place that is taken moves a task by one; no task has as many as lie between two steps.
"""


def first_turn(order: str) -> int | None:
    """The turn of a task that nobody has seen, by the round's order.

    finish: none, tasks come by rank alone, so that one after the other gets all its votes. spread: the number
    of votes and leases, so that every task gets its first before any gets its second. unsure: by the
    confidence of the last pass, and what no pass has seen comes first.
    """
    return {"finish": None, "spread": 0, "unsure": STRIDE}[order]


def turn_of(confidence: float) -> int:
    """The turn of a task of an `unsure` round; the surer, the later."""
    return STRIDE * (2 + min(STEPS - 1, int(STEPS * min(max(confidence, 0.0), 1.0))))


def with_first(ranks: Sequence[int], places: Sequence[int]) -> list[int]:
    """The same order, but for the tasks at `places`: they come before all others, in the order they had."""
    chosen = set(places)
    order = sorted(range(len(ranks)), key=lambda place: (place not in chosen, ranks[place]))
    moved = [0] * len(ranks)
    for rank, place in enumerate(order):
        moved[place] = rank
    return moved


def by_category(ranks: Sequence[int], categories: Sequence[object]) -> list[int]:
    """The same order, but for tasks of one category, which come together: a grid asks about one category.

    Categories come in the order of their first tasks, tasks of a category in the order that they had.
    """
    first: dict[object, int] = {}
    for rank, category in zip(ranks, categories, strict=True):
        first[category] = min(rank, first.get(category, rank))
    order = sorted(range(len(ranks)), key=lambda place: (first[categories[place]], ranks[place]))
    moved = [0] * len(ranks)
    for rank, place in enumerate(order):
        moved[place] = rank
    return moved


def audited(count: int, rate: float, seed: int) -> set[int]:
    """A random sample of round(rate * count) of the numbers 0 … count-1."""
    return set(random.Random(f"audit {seed}").sample(range(count), round(rate * count)))
