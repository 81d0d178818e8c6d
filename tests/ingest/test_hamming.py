"""The search finds exactly what brute force finds, each pair once, equal hashes and every radius included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import hamming
from ingest.hamming import chunk_widths, join, self_join


def plain_pairs(a, b, radius, *, same):
    return [
        [i, j]
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if (not same or i < j) and (int(x) ^ int(y)).bit_count() <= radius
    ]


@st.composite
def clustered(draw):
    """Hashes around a few centres, so that every distance up to 20 occurs, equal ones too."""
    seed = draw(st.integers(0, 2**32 - 1))
    count = draw(st.integers(0, 60))
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, 4, dtype=np.uint64)
    values = centres[rng.integers(0, 4, count)]
    for _ in range(draw(st.integers(0, 14))):
        values = values ^ (np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64))
    return values


@settings(max_examples=60, deadline=None)
@given(values=clustered(), radius=st.integers(0, 20))
def test_self_join_is_exact_both_ways(values, radius):
    want = plain_pairs(values, values, radius, same=True)
    assert self_join(values, radius).tolist() == want
    for widths in ([10, 11, 10, 11, 11, 11], [6, 6, 6, 6, 8, 8, 8, 8, 8]):
        assert compiled(values, values, radius, widths, same=True) == want


@settings(max_examples=60, deadline=None)
@given(new=clustered(), old=clustered(), radius=st.integers(0, 20))
def test_join_is_exact_both_ways(new, old, radius):
    old = np.concatenate([old, new[::2]])
    want = plain_pairs(new, old, radius, same=False)
    assert join(new, old, radius).tolist() == want
    assert compiled(new, old, radius, [10, 11, 10, 11, 11, 11], same=False) == want


@settings(max_examples=40, deadline=None)
@given(new=clustered(), old=clustered(), radius=st.integers(0, 11), block=st.sampled_from([1, 7, 1 << 18]))
def test_the_light_search_finds_the_same(new, old, radius, block):
    old = np.concatenate([old, new[::2]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "SMALL", -1)
        patch.setattr(hamming, "BLOCK", block)
        patch.setattr(hamming, "_search", None)
        # Below 60 new ones each is compared with all; more of the same changes nothing but the way.
        many = np.concatenate([new, np.full(61, np.uint64(0))])
        found = [pair for pair in join(many, old, radius, light=True).tolist() if pair[0] < len(new)]
    assert found == plain_pairs(new, old, radius, same=False)


def compiled(a, b, radius, widths, *, same):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "SMALL", -1)
        patch.setattr(hamming, "chunk_widths", lambda count, radius: widths)
        return (
            self_join(a, radius) if same else hamming._ordered(hamming._search(a, b, radius, same=False))
        ).tolist()


def test_chunks_of_the_real_width_agree_with_brute_force(monkeypatch):
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2**64, 6000, dtype=np.uint64)
    values[3000:] = values[:3000]
    for _ in range(8):
        values[3000:] ^= np.uint64(1) << rng.integers(0, 64, 3000, dtype=np.uint64)
    brute = self_join(values, 8)
    assert len(brute) >= 2900
    monkeypatch.setattr(hamming, "SMALL", -1)
    assert np.array_equal(self_join(values, 8), brute)
    new = values[:300] ^ np.uint64(5)
    assert np.array_equal(hamming._ordered(hamming._search(new, values, 8, same=False)), join(new, values, 8))


@pytest.mark.parametrize("count", [10, 10**4, 10**6, 14_000_000])
@pytest.mark.parametrize("radius", [0, 3, 8, 12, 20])
def test_chunks_cover_all_64_bits(count, radius):
    widths = chunk_widths(count, radius)
    assert sum(widths) == 64
    assert max(widths) <= 24


def test_nothing_and_one_hash_have_no_pairs():
    assert self_join(np.zeros(0, np.uint64), 8).shape == (0, 2)
    assert self_join(np.zeros(1, np.uint64), 8).shape == (0, 2)
    assert join(np.zeros(0, np.uint64), np.zeros(3, np.uint64), 8).shape == (0, 2)
    assert self_join(np.zeros(3, np.uint64), 0).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert self_join(np.zeros(3, np.uint64), 0).dtype == np.int64


@pytest.mark.parametrize("bad", [np.zeros((2, 2), np.uint64), np.zeros(2, np.int64), np.zeros(2)])
def test_other_than_unsigned_hashes_are_refused(bad):
    with pytest.raises(ValueError, match="unsigned"):
        self_join(bad, 8)


@pytest.mark.parametrize("radius", [-1, 65])
def test_a_radius_outside_the_hash_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        self_join(np.zeros(2, np.uint64), radius)
