"""The hash is imagehash's phash bit for bit, and stays near when a picture is resized or recompressed."""

import io

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ingest.fingerprint import distance, from_hex, phash, phash_cuts, phash_mirrored, to_hex


def scene(seed, size=(160, 120)):
    """Smooth colours with a few hard edges, as a photo has."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    for _ in range(12):
        x, y = rng.integers(0, size[0] - 30), rng.integers(0, size[1] - 30)
        w, h = rng.integers(8, 30, 2)
        image.paste(tuple(int(c) for c in rng.integers(0, 255, 3)), (x, y, x + w, y + h))
    return image


@pytest.mark.parametrize("seed", range(40))
def test_equals_imagehash_bit_for_bit(seed):
    image = scene(seed, (100 + 13 * seed, 400 - 7 * seed))
    assert to_hex(phash(image)) == str(imagehash.phash(image))
    assert phash(image.convert("L")) == phash(image)


@pytest.mark.parametrize("seed", range(10))
def test_copies_stay_near_and_others_far(seed):
    image = scene(seed)
    out = io.BytesIO()
    image.resize((90, 68), Image.Resampling.BICUBIC).save(out, "JPEG", quality=40)
    assert distance(phash(image), phash(Image.open(out))) <= 8
    assert distance(phash(image), phash(scene(seed + 100))) > 12


@pytest.mark.parametrize("seed", range(10))
def test_mirrored_hash_is_the_hash_of_the_mirrored_picture(seed):
    image = scene(seed)
    assert distance(phash_mirrored(image), phash(ImageOps.mirror(image))) <= 2
    assert distance(phash_mirrored(image), phash(image)) > 12


def test_a_cut_has_nearly_the_hash_of_the_cropped_file():
    image = scene(3)
    (cut,) = phash_cuts(image, [(0.1, 0.05, 0.0, 0.1)])
    assert distance(cut, phash(image.crop((16, 6, 160, 108)))) <= 2
    large = scene(3, (3200, 2400))
    (cut,) = phash_cuts(large, [(0.1, 0.05, 0.0, 0.1)])
    assert distance(cut, phash(large.crop((320, 120, 3200, 2160)))) <= 4


def test_flat_pictures_share_one_steady_hash():
    hashes = {
        phash(Image.new("RGB", size, colour)) for size in ((9, 9), (500, 3)) for colour in ("white", "blue")
    }
    assert hashes == {1 << 63}


@given(st.integers(0, 2**64 - 1))
def test_hex_round_trip(value):
    assert from_hex(to_hex(value)) == value
    assert len(to_hex(value)) == 16


@pytest.mark.parametrize("bad", ["", "12", "g" * 16, "0x" + "1" * 14, "1" * 17, "+" + "1" * 15])
def test_only_16_hex_digits_are_read(bad):
    with pytest.raises(ValueError, match="hex"):
        from_hex(bad)


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_only_unsigned_64_bits_are_written(bad):
    with pytest.raises(ValueError, match="unsigned"):
        to_hex(bad)
