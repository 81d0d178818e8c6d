"""The rules of who is released where, on plain data; and over random histories of merging groups."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from export.selection import (
    Decision,
    Filters,
    Member,
    Opinion,
    decide,
    given_split,
    opinion_of,
    released_members,
    soft_labels,
)
from export.split_file import moved_draw
from ingest.splits import SPLITS, Shares, split_of
from quality.opinion import Finding

SHARES = Shares.parse("50/30/20")
# All splits alike often, and their edges.
draws = st.sampled_from([0.0, 0.1, 0.19999, 0.2, 0.35, 0.49999, 0.5, 0.75, 0.99999])
# Each step adds an image in a new group, merges two groups, takes one down, or publishes (test open or not).
adds = st.tuples(st.just("add"), draws)
numbers = st.integers(0, 11)
merges = st.tuples(st.just("merge"), numbers, numbers, numbers)
steps = st.tuples(
    st.lists(adds, min_size=2, max_size=6),
    st.lists(
        st.one_of(
            adds,
            merges,
            merges,
            st.tuples(st.just("take down"), numbers),
            st.tuples(st.just("publish"), st.booleans()),
        ),
        min_size=4,
        max_size=30,
    ),
).map(lambda parts: parts[0] + parts[1])


@given(steps, st.dictionaries(st.integers(0, 6), st.sampled_from(SPLITS), max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_history_moves_a_picture_or_lets_a_group_straddle(
    history: list[tuple], given_splits: dict[int, str]
) -> None:
    groups: list[dict] = []
    earlier: dict[int, set[str]] = {}
    releases: list[dict[int, str]] = []
    gone: set[int] = set()
    images = 0
    for step in [*history, ("publish", True)]:
        if step[0] == "add":
            groups.append({"draw": step[1], "members": [images], "representative": images})
            images += 1
        elif step[0] == "merge" and len(groups) > 1:
            a = groups.pop(step[1] % len(groups))
            b = groups[step[2] % len(groups)]
            b["members"] += a["members"]
            b["draw"] = min(a["draw"], b["draw"])
            b["representative"] = b["members"][step[3] % len(b["members"])]
        elif step[0] == "take down" and releases and releases[-1]:
            image = sorted(releases[-1])[step[1] % len(releases[-1])]
            gone.add(image)
            releases.append({i: split for i, split in releases[-1].items() if i != image})
        elif step[0] == "publish":
            first = not releases
            released = publish(groups, earlier, given_splits, gone, first=first, test_open=first or step[1])
            if first:
                check_given(groups, given_splits, released)
            elif not step[1]:
                assert in_test(released) <= in_test(releases[-1]), "test grew within a major version"
            for image, split in released.items():
                earlier.setdefault(image, set()).add(split)
            releases.append(released)
    for image, splits in earlier.items():
        assert len(splits) == 1, f"image {image} moved"
        assert given_splits.get(image, *splits) in splits, "a named image is where it was named for"
    for before, after in itertools.pairwise(releases):
        assert in_test(before) - after.keys() <= gone, "a test picture left test"
    assert not gone & releases[-1].keys(), "what was taken down came back"
    for group in groups:
        stands = {i: releases[-1][i] for i in group["members"] if i in releases[-1]}
        assert len(set(stands.values())) <= 1, "a group straddles"
        if gone & set(group["members"]):
            assert set(stands.values()) <= {"test"}, "a copy took the place of what was taken down"


def in_test(release: dict[int, str]) -> set[int]:
    return {image for image, split in release.items() if split == "test"}


def check_given(groups: list[dict], given_splits: dict[int, str], released: dict[int, str]) -> None:
    """Of copies that a split file names for several splits the most protected is released, and there."""
    for group in groups:
        named = {i: given_splits[i] for i in group["members"] if i in given_splits}
        if named:
            wanted = max(named.values(), key=SPLITS.index)
            (image,) = released.keys() & set(group["members"])
            assert (named.get(image), released[image]) == (wanted, wanted)


def publish(
    groups: list[dict],
    earlier: dict[int, set[str]],
    given_splits: dict[int, str],
    gone: set[int],
    *,
    first: bool,
    test_open: bool,
) -> dict[int, str]:
    """One release, as the export makes it: a split file comes with the first and moves the draws."""
    released = {}
    for group in groups:
        members = [
            Member(i, f"{i:03d}", frozenset(earlier.get(i, ())), given_splits.get(i), i in gone)
            for i in group["members"]
        ]
        named = given_split(members) if first else None
        if named:
            group["draw"] = moved_draw(group["draw"], named, SHARES)
        split = split_of(group["draw"], SHARES)
        placed = released_members(split, members, group["representative"], test_open=test_open)
        released |= dict.fromkeys(placed.members, placed.split)
        assert bool(placed.members) != bool(placed.reason)
        assert len(placed.members) <= 1 or placed.split == "test"
    return released


def test_the_representative_is_released_unless_it_stood_elsewhere() -> None:
    a, b = Member(1, "aa"), Member(2, "bb", frozenset({"val"}))
    assert released_members("train", [a, b], 1).members == (1,)
    assert released_members("train", [a, b], 2).members == (1,)
    assert released_members("train", [b], 2).reason == "held_back"
    assert released_members("test", [a], 1, test_open=False).reason == "test_closed"


def test_test_takes_the_reference_and_keeps_what_it_had() -> None:
    crowd = Opinion("owl", 0.8, {"owl": 0.8, "finch": 0.2})
    assert decide("test", crowd, 3, "finch", Filters()) == Decision("finch", 0.2)
    assert decide("test", crowd, 3, None, Filters()).reason == "no_reference"
    assert decide("test", crowd, 3, "__none__", Filters()).reason == "reference_none"
    assert decide("test", crowd, 3, None, Filters(), kept_category="owl").category == "owl"
    assert decide("test", crowd, 3, "__none__", Filters(), kept_category="owl").category == "owl"
    assert decide("train", crowd, 3, "finch", Filters()) == Decision("owl", 0.8)
    assert decide("train", crowd, 3, "__none__", Filters()).reason == "reference_none"
    assert decide("train", crowd, 3, None, Filters(min_confidence=0.81)).reason == "unsure"
    assert decide("val", crowd, 3, None, Filters(min_votes=4)).reason == "few_votes"


def test_the_newest_round_that_says_something_speaks() -> None:
    old = Finding(1, "owl", 0.9, {"owl": 0.9, "__none__": 0.1})
    yes = Finding(2, "yes", 0.7, {"yes": 0.7, "no": 0.3}, proposed="finch")
    no = Finding(2, "no", 0.8, {"no": 0.8}, proposed="owl")
    assert opinion_of([old]).label == "owl"
    assert opinion_of([old, yes]) == Opinion("finch", 0.7, {"finch": 0.7}, verified=True)
    assert opinion_of([old, no]).label is None
    assert opinion_of([no]).label is None
    assert opinion_of([]) == Opinion()


def test_soft_labels_are_over_categories_alone() -> None:
    crowd = Opinion("owl", 0.6, {"owl": 0.6, "finch": 0.2, "__none__": 0.2})
    assert soft_labels(crowd) == {"finch": 0.25, "owl": 0.75}
    assert soft_labels(Opinion("owl", 0.6, {"owl": 0.6}, verified=True)) == {"owl": 0.6}
    assert soft_labels(Opinion("__none__", 1.0, {"__none__": 1.0})) == {}
