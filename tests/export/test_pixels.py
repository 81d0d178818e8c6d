"""Pictures as found or made smaller: upright, in their own format, the same bytes every time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from export import layout
from export.checks import check_release
from export.pixels import Pixels, release_picture
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import publish_release
from export.strip import clean_picture, kind_of, metadata_in
from tests.export.world import World, picture


def gradient(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])) % 256
    return Image.fromarray(ramp.astype(np.uint8)).convert(mode)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("mode", "form", "extension"),
    [
        ("RGB", "JPEG", "jpg"),
        ("L", "JPEG", "jpg"),
        ("CMYK", "JPEG", "jpg"),
        ("RGB", "PNG", "png"),
        ("P", "PNG", "png"),
        ("RGBA", "PNG", "png"),
        ("LA", "PNG", "png"),
        ("I;16", "PNG", "png"),
        ("1", "PNG", "png"),
        ("RGB", "WEBP", "webp"),
        ("RGBA", "WEBP", "webp"),
        ("RGB", "GIF", "png"),
        ("RGB", "TIFF", "png"),
    ],
)
def test_every_kind_is_made_small_and_keeps_its_name(mode: str, form: str, extension: str) -> None:
    source = gradient("L").convert("I;16") if mode == "I;16" else gradient(mode)
    data = saved(source, form)
    small = release_picture(data, Pixels(30, 80))
    assert (small.extension, small.width, small.height) == (extension, 30, 20)
    assert kind_of(small.data) == extension == clean_picture(data).extension
    assert opened(small.data).size == (30, 20)
    assert metadata_in(small.data) == []
    assert release_picture(data, Pixels(30, 80)) == small
    assert release_picture(data, Pixels(120)).data == clean_picture(data).data, "nothing is enlarged"


def test_transparency_and_profiles_survive() -> None:
    half = gradient("RGBA")
    half.putalpha(128)
    assert opened(release_picture(saved(half, "PNG"), Pixels(30)).data).getpixel((3, 3))[3] == 128
    see_through = gradient("P")
    see_through.info["transparency"] = 0
    assert opened(release_picture(saved(see_through, "PNG", transparency=0), Pixels(30)).data).mode == "RGBA"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    small = release_picture(saved(gradient(), "JPEG", icc_profile=profile), Pixels(30)).data
    assert opened(small).info["icc_profile"] == profile


def test_lossless_webp_stays_lossless_and_quality_counts() -> None:
    flat = saved(gradient(), "WEBP", lossless=True)
    assert b"VP8L" in release_picture(flat, Pixels(30)).data[:40]
    lossy = saved(gradient(), "WEBP", quality=90)
    assert b"VP8L" not in release_picture(lossy, Pixels(30)).data[:40]
    photo = picture(1, size=(64, 64))
    sizes = [len(release_picture(photo, Pixels(40, quality)).data) for quality in (20, 60, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_made_small_upright(orientation: int) -> None:
    small = release_picture(picture(5, orientation=orientation, size=(60, 40)), Pixels(30))
    assert (small.width, small.height) == ((30, 20) if orientation < 5 else (20, 30))


@given(st.integers(1, 200), st.integers(1, 200), st.integers(16, 150))
@settings(max_examples=40, deadline=None)
def test_no_side_is_longer_than_asked_and_the_shape_stays(width: int, height: int, side: int) -> None:
    small = release_picture(saved(Image.new("RGB", (width, height)), "PNG"), Pixels(side))
    assert max(small.width, small.height) == min(side, max(width, height))
    assert min(small.width, small.height) >= 1
    due = min(width, height) * max(small.width, small.height) / max(width, height)
    assert abs(min(small.width, small.height) - due) <= 1


@pytest.mark.django_db
def test_a_release_of_small_pictures_says_so_and_keeps_the_names(world: World, tmp_path: Path) -> None:
    big = world.add_image(picture(77, size=(90, 30)))
    webp = world.add_image(saved(gradient(), "WEBP"))
    for image in (big, webp):
        world.vote(image, ["owl", "owl", "owl"])
    whole = publish_release(world.dataset, "1.0.0", tmp_path).folder
    small = publish_release(world.dataset, "1.0.1", tmp_path, Wishes(longest_side=24, quality=70)).folder
    assert check_release(small) == []
    document = json.loads((small / layout.RELEASE).read_text())
    assert document["parameters"] == {
        "splits": "80/10/10",
        "min_confidence": 0.0,
        "min_votes": 1,
        "longest_side": 24,
        "quality": 70,
    }
    before, after = (pd.read_parquet(f / layout.MANIFEST).set_index("image") for f in (whole, small))
    assert (before["path"] == after["path"]).all()
    assert after.loc[big.sha256, ["width", "height"]].tolist() == [24, 8]
    changed = before.index[before["file_sha256"] != after["file_sha256"]]
    assert set(changed) == {big.sha256, webp.sha256}
    with pytest.raises(ReleaseRefused, match="with other parameters"):
        publish_release(world.dataset, "1.0.1", tmp_path / "b", Wishes(longest_side=24, quality=71))
    again = publish_release(world.dataset, "1.0.1", tmp_path / "b", Wishes(longest_side=24, quality=70))
    assert again.again
