"""Where gold goes, and in which order: without a database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annotation_site import strategy
from annotation_site.choices import CATEGORY_KEYS, choice_keys


@given(st.integers(0, 10**6), st.lists(st.integers(1, 40), min_size=1, max_size=10), st.floats(0, 1))
def test_how_a_worker_cuts_the_work_changes_nothing(given_before: int, sizes: list[int], rate: float) -> None:
    """Small batches or large ones: the same places are gold, so asking cleverly brings no other share."""
    whole = strategy.gold_count("s", 1, 2, given_before, sum(sizes), rate)
    parts, at = 0, given_before
    for size in sizes:
        parts += strategy.gold_count("s", 1, 2, at, size, rate)
        at += size
    assert parts == whole


def test_gold_depends_on_secret_round_and_worker() -> None:
    def places(*who: object) -> list[int]:
        return [n for n in range(400) if strategy.gold_count(*who, n, 1, 0.1)]

    base = places("s", 1, 1)
    assert base == places("s", 1, 1)
    assert all(base != places(*who) for who in (("t", 1, 1), ("s", 2, 1), ("s", 1, 2)))
    assert 20 < len(base) < 65


@given(st.integers(0, strategy.RANK_SPAN - 1), st.integers(0, strategy.RANK_SPAN - 1))
def test_a_position_tells_the_rank(rank: int, start: int) -> None:
    position = strategy.gold_position(rank, start)
    assert 0 <= position < strategy.RANK_SPAN
    assert (start + position) % strategy.RANK_SPAN == rank


@given(st.integers(0, 300), st.integers(0, 5))
def test_ranks_are_a_permutation_and_numbers_tell_nothing_of_them(count: int, seed: int) -> None:
    ranks, insertion = strategy.ranks_and_order(count, seed)
    assert sorted(ranks) == sorted(insertion) == list(range(count))
    assert strategy.ranks_and_order(count, seed) == (ranks, insertion)


@given(st.integers(0, 500), st.floats(0, 1), st.integers(0, 3))
def test_the_audit_sample_has_its_size(count: int, rate: float, seed: int) -> None:
    sample = strategy.audited(count, rate, seed)
    assert len(sample) == round(rate * count)
    assert sample <= set(range(count))


def test_every_choice_has_a_key_of_its_own_while_they_last() -> None:
    labels = [f"c{n}" for n in range(40)] + ["__none__", "__unsure__"]
    keys = choice_keys(labels)
    used = [key for key in keys.values() if key]
    assert len(used) == len(set(used)) == len(CATEGORY_KEYS) + 2
    assert (keys["c0"], keys["c9"], keys["c10"]) == ("1", "0", "a")
    assert (keys["__none__"], keys["__unsure__"]) == ("n", "u")
    assert choice_keys(["yes", "no", "unsure"]) == {"yes": "y", "no": "n", "unsure": "u"}
