"""People join and part duplicate groups: what holds whatever they do, and that dedup heeds them."""

from __future__ import annotations

import hashlib
import random
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.duplicates import Pair, Record, components
from ingest.models import Dataset, DuplicateDecision, DuplicateGroup, Image
from ingest.services import dedup
from ingest.services.dedup import group_duplicates
from ingest.services.duplicates import CannotChange, decisions, distance, join_groups, split_off
from ingest.splits import draw
from tests.ingest.test_dedup_service import put, scene

NAMES = count()


def make_dataset() -> Dataset:
    return Dataset.objects.create(name=f"d{next(NAMES)}", split_key="key", splits="60/20/20")


def add(dataset: Dataset, number: int) -> Image:
    sha = hashlib.sha256(f"{number}".encode()).hexdigest()
    return Image.objects.create(
        dataset=dataset, sha256=sha, phash=random.Random(number).getrandbits(62), hash_version=1,
        format="jpeg", width=100 + number, height=90, bytes=900,
    )  # fmt: skip


def run_dedup(dataset: Dataset, images: list[Image], copies: list[tuple[Image, Image]]) -> None:
    """What a run writes when the second look found these copies among new and old images."""
    fresh = [Record(i.sha256, i.phash_unsigned, i.width, i.height, i.bytes) for i in images]
    pairs = [Pair(a.sha256, b.sha256, "copy", "", 2, 1.0, 9, False) for a, b in copies]
    dedup._write(dataset, fresh, pairs)


def alone(dataset: Dataset, many: int) -> list[Image]:
    """Images each in a group of its own."""
    images = [add(dataset, number) for number in range(many)]
    run_dedup(dataset, images, [])
    for image in images:
        image.refresh_from_db()
    return images


def check(dataset: Dataset) -> None:
    """What must hold at any time."""
    groups = list(dataset.groups.all())
    images = list(dataset.images.all())
    assert all(image.group_id is not None for image in images)
    for group in groups:
        members = [image for image in images if image.group_id == group.pk]
        assert group.size == len(members) > 0
        first = next(image for image in members if image.pk == group.representative_id)
        assert group.widest == max(distance(first.phash, m.phash) for m in members)
    dataset.refresh_from_db()
    assert dataset.groups_found == len(groups)


def draws(dataset: Dataset) -> dict[int, float]:
    return dict(dataset.images.values_list("pk", "group__draw"))


# --- the rules, on any history ----------------------------------------------------------------------------


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_people_and_dedup_do(data):
    dataset = make_dataset()
    alone(dataset, 5)
    number = 5
    for _ in range(data.draw(st.integers(1, 7), label="steps")):
        before, images = draws(dataset), list(dataset.images.order_by("pk"))
        homes = dict(dataset.images.values_list("pk", "group"))
        joined, parted = decisions(dataset)
        step = data.draw(st.sampled_from(["join", "part", "dedup"]), label="step")
        if step == "join" and dataset.groups.count() > 1:
            ids = sorted(set(homes.values()))
            chosen = data.draw(st.lists(st.sampled_from(ids), min_size=2, max_size=3, unique=True))
            join_groups(dataset, chosen, "ada")
            lowest = min(before[pk] for pk in homes if homes[pk] in chosen)
            for pk, home in homes.items():
                assert draws(dataset)[pk] == (lowest if home in chosen else before[pk])
        elif step == "part":
            group = data.draw(st.sampled_from(sorted(set(homes.values()))))
            members = sorted(pk for pk, home in homes.items() if home == group)
            going = data.draw(st.sets(st.sampled_from(members), max_size=len(members)))
            if going and len(going) < len(members):
                split_off(dataset, group, going, "ada")
            assert draws(dataset) == before
        elif step == "dedup":
            new = [add(dataset, number + i) for i in range(data.draw(st.integers(1, 2)))]
            number += len(new)
            pool = [*images, *new]
            edges = data.draw(st.lists(st.tuples(st.sampled_from(new), st.sampled_from(pool)), max_size=5))
            run_dedup(dataset, new, [(a, b) for a, b in edges if a.pk != b.pk])
            homes = dict(dataset.images.values_list("sha256", "group"))
            assert all(homes[a] != homes[b] for a, b in parted)
            assert all(homes[a] == homes[b] for a, b in joined)
        after = draws(dataset)
        # The smallest draws are test: no picture ever goes to a less protected split.
        assert all(after[pk] <= was for pk, was in before.items())
        check(dataset)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=20),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=6),
)
def test_components_keep_apart_what_is_to_be_apart(edges, apart):
    named = [(str(a), str(b)) for a, b in edges if a != b]
    foes = [(str(a), str(b)) for a, b in apart if a != b]
    found = components(named, foes)
    whole = components(named)
    for group in found:
        assert not any(a in group and b in group for a, b in foes)
        assert any(set(group) <= set(bigger) for bigger in whole)
    if not any(a in g and b in g for g in whole for a, b in foes):
        assert found == whole


# --- joining ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_most_protected_group_and_its_representative_stay():
    dataset = make_dataset()
    images = alone(dataset, 6)
    images.sort(key=lambda i: draw("key", i.sha256))
    group = join_groups(dataset, [i.group_id for i in images[1:4]], "ada")
    assert group.representative == images[1]
    assert (group.draw, group.size) == (draw("key", images[1].sha256), 3)
    assert set(group.images.all()) == set(images[1:4])
    row = DuplicateDecision.objects.first()
    assert (row.same, row.by) == (True, "ada")
    check(dataset)


@pytest.mark.django_db
def test_what_cannot_be_joined():
    dataset, other = make_dataset(), make_dataset()
    one, two = alone(dataset, 2)
    theirs = alone(other, 1)[0]
    for ids in (
        [],
        [one.group_id],
        [one.group_id, one.group_id],
        [one.group_id, theirs.group_id],
        [1, 999999],
    ):
        with pytest.raises(CannotChange, match="at least two"):
            join_groups(dataset, ids, "ada")
    DuplicateGroup.objects.filter(pk=two.group_id).update(representative=None)
    with pytest.raises(CannotChange, match="taken down"):
        join_groups(dataset, [one.group_id, two.group_id], "ada")
    assert not DuplicateDecision.objects.exists()
    assert DuplicateGroup.objects.count() == 3


@pytest.mark.django_db
def test_joining_overrules_what_was_parted():
    dataset = make_dataset()
    a, b, c = alone(dataset, 3)
    group = join_groups(dataset, [i.group_id for i in (a, b, c)], "ada")
    other = split_off(dataset, group.pk, [c.pk], "ada")
    assert len(decisions(dataset)[1]) == 2
    join_groups(dataset, [group.pk, other.pk], "bob")
    assert decisions(dataset)[1] == []
    assert DuplicateDecision.objects.filter(same=False).count() == 2  # kept, though they count no more


# --- splitting --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_representative_goes_on_representing_its_part():
    dataset = make_dataset()
    images = alone(dataset, 4)
    group = join_groups(dataset, [i.group_id for i in images], "ada")
    first = group.representative
    rest = [i for i in images if i != first]
    new = split_off(dataset, group.pk, [first.pk, rest[0].pk], "ada")
    group.refresh_from_db()
    assert new.representative == first
    assert group.representative == max(rest[1:], key=lambda i: i.width)  # the one with most pixels
    assert (new.draw, new.size, group.size) == (group.draw, 2, 2)
    check(dataset)


@pytest.mark.django_db
def test_what_cannot_be_split_off():
    dataset, other = make_dataset(), make_dataset()
    a, b, c = alone(dataset, 3)
    theirs = alone(other, 1)[0]
    group = join_groups(dataset, [a.group_id, b.group_id], "ada")
    for ids, why in (([], "Choose"), ([c.pk], "Choose"), ([theirs.pk], "Choose"), ([a.pk, b.pk], "stay")):
        with pytest.raises(CannotChange, match=why):
            split_off(dataset, group.pk, ids, "ada")
    with pytest.raises(CannotChange, match="no such"):
        split_off(dataset, theirs.group_id, [theirs.pk], "ada")
    assert decisions(dataset) == ([tuple(sorted((a.sha256, b.sha256), key=[a.sha256, b.sha256].index))], [])


# --- dedup heeds them -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_new_copy_does_not_bring_together_what_a_person_parted(tmp_path):
    dataset = make_dataset()
    one, two = put(dataset, scene(3)), put(dataset, scene(3).resize((150, 150)))
    group_duplicates(dataset)
    one.refresh_from_db()
    split_off(dataset, one.group_id, [two.pk], "ada")
    third = put(dataset, scene(3).resize((170, 170)))  # a copy of both
    group_duplicates(dataset)
    homes = dict(dataset.images.values_list("pk", "group"))
    assert homes[one.pk] != homes[two.pk]
    assert homes[third.pk] in (homes[one.pk], homes[two.pk])
    check(dataset)


@pytest.mark.django_db
def test_dedup_from_the_start_joins_what_a_person_joined_and_parts_what_was_parted(tmp_path):
    dataset = make_dataset()
    images = [put(dataset, scene(1)), put(dataset, scene(2)), put(dataset, scene(2).resize((150, 150)))]
    group_duplicates(dataset)
    for image in images:
        image.refresh_from_db()
    split_off(dataset, images[1].group_id, [images[2].pk], "ada")
    join_groups(dataset, [i.group_id for i in images[:2]], "ada")
    Image.objects.update(group=None)
    DuplicateGroup.objects.all().delete()
    Dataset.objects.update(groups_found=0)
    group_duplicates(dataset)
    homes = [Image.objects.get(pk=i.pk).group_id for i in images]
    assert homes[0] == homes[1] != homes[2]
    check(dataset)


@pytest.mark.django_db
def test_without_decisions_the_order_of_pairs_means_nothing():
    for turn in (1, -1):
        dataset = make_dataset()
        images = [add(dataset, n) for n in range(6)]
        run_dedup(
            dataset, images, [(images[0], images[1]), (images[2], images[1]), (images[4], images[5])][::turn]
        )
        groups = {frozenset(g.images.values_list("sha256", flat=True)) for g in dataset.groups.all()}
        assert {len(g) for g in groups} == {3, 1, 2}
        check(dataset)
