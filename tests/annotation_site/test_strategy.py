"""Where gold goes, and in which order: without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_site import strategy
from annotation_site.choices import choice_keys, needs_search


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


@pytest.mark.parametrize("count", [3, 33, 34, 36])
def test_every_choice_has_a_key_of_its_own_while_they_last(count: int) -> None:
    labels = [f"c{n}" for n in range(count)] + ["__none__", "__unsure__"]
    keys = choice_keys(labels)
    assert not needs_search(labels)
    assert len(set(keys.values())) == count + 2
    assert "" not in keys.values()
    assert (keys["c0"], keys["c2"]) == ("1", "3")
    assert (keys["__none__"], keys["__unsure__"]) == (("n", "u") if count <= 33 else ("-", "."))
    assert choice_keys(["yes", "no", "unsure"]) == {"yes": "y", "no": "n", "unsure": "u"}


def test_more_categories_than_keys_are_searched_for() -> None:
    labels = [f"c{n}" for n in range(37)] + ["__none__", "__unsure__"]
    assert needs_search(labels)
    assert {label: key for label, key in choice_keys(labels).items() if key} == {
        "__none__": "-",
        "__unsure__": ".",
    }


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 3))
def test_one_category_comes_after_the_other_each_in_its_order(categories: list[int], seed: int) -> None:
    ranks, _ = strategy.ranks_and_order(len(categories), seed)
    moved = strategy.by_category(ranks, categories)
    assert sorted(moved) == list(range(len(categories)))
    by_rank = [categories[place] for place in sorted(range(len(moved)), key=moved.__getitem__)]
    runs = [category for place, category in enumerate(by_rank) if by_rank[place - 1 : place] != [category]]
    assert len(runs) == len(set(runs)) == len(set(categories))
    for one in set(categories):
        mine = [place for place, category in enumerate(categories) if category == one]
        assert sorted(mine, key=ranks.__getitem__) == sorted(mine, key=moved.__getitem__)
    assert runs == sorted(
        runs, key=lambda c: min(r for r, k in zip(ranks, categories, strict=True) if k == c)
    )
