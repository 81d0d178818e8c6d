"""Camera data goes, pixels stay."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from export.strip import clean_picture, kind_of, metadata_in
from ingest.decode import RejectedPicture
from tests.export.world import picture

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(form: str, orientation: int = 1, **options: object) -> bytes:
    """A picture with everything in it that a camera and an editor leave behind."""
    image = Image.open(io.BytesIO(picture(7, "PNG", size=(24, 16)))).convert("RGB")
    exif = Image.Exif()
    exif[0x010F] = "SECRET maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    image.save(out, form, exif=exif, icc_profile=PROFILE, **options)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)


def profile_of(data: bytes) -> bytes | None:
    with Image.open(io.BytesIO(data)) as image:
        return image.info.get("icc_profile")


def text_chunks() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "SECRET")
    info.add_itxt("XML:com.adobe.xmp", "SECRET")
    return info


FILES = {
    "jpg": encoded("JPEG", comment=b"SECRET", xmp=b"SECRET") + b"SECRET trailer",
    "png": encoded("PNG", pnginfo=text_chunks()) + b"SECRET trailer",
    "webp": encoded("WEBP", lossless=True, xmp=b"SECRET"),
}


@pytest.mark.parametrize("kind", FILES)
def test_pixels_and_colours_stay_bit_for_bit(kind: str) -> None:
    data = FILES[kind]
    assert b"SECRET" in data
    assert metadata_in(data)
    clean = clean_picture(data)
    assert clean.extension == kind
    assert b"SECRET" not in clean.data
    assert metadata_in(clean.data) == []
    assert (pixels(clean.data) == pixels(data)).all()
    assert profile_of(clean.data) == PROFILE
    assert (clean.width, clean.height) == (24, 16)
    assert clean_picture(clean.data).data == clean.data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_on_its_side_is_turned(kind: str, orientation: int) -> None:
    data = encoded(kind, orientation)
    clean = clean_picture(data)
    assert metadata_in(clean.data) == []
    with Image.open(io.BytesIO(clean.data)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (clean.width, clean.height)
    assert (clean.width, clean.height) == ((24, 16) if orientation < 5 else (16, 24))
    difference = np.abs(pixels(clean.data) - pixels(data))
    # Encoding a JPEG again costs a little; a wrong turn of noise would cost some 80 levels.
    assert difference.mean() < (25 if kind == "JPEG" else 0.01)
    assert profile_of(clean.data) == PROFILE


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_on_its_side_by_xmp_alone_is_turned(kind: str) -> None:
    options: dict[str, object] = {"xmp": XMP, "lossless": True}
    if kind == "PNG":
        told = PngImagePlugin.PngInfo()
        told.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": told}
    image, out = Image.new("RGB", (24, 16), "teal"), io.BytesIO()
    image.save(out, kind, **options)
    clean = clean_picture(out.getvalue())
    assert (clean.width, clean.height) == (16, 24)
    assert metadata_in(clean.data) == []


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_png(form: str) -> None:
    data = encoded(form)
    clean = clean_picture(data)
    assert clean.extension == "png"
    assert kind_of(clean.data) == "png"
    assert metadata_in(clean.data) == []
    assert b"SECRET" not in clean.data


def test_an_animation_becomes_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    clean = clean_picture(out.getvalue())
    assert clean.extension == "png"
    assert tuple(pixels(clean.data)[0, 0]) == (255, 0, 0)


def test_grey_and_cmyk_jpegs_survive() -> None:
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        Image.new(mode, (16, 12), 90 if mode == "L" else (10, 20, 30, 40)).save(out, "JPEG")
        clean = clean_picture(out.getvalue())
        assert clean.extension == "jpg"
        assert (pixels(clean.data) == pixels(out.getvalue())).all()


def test_what_is_no_picture_is_refused() -> None:
    for data in (b"", b"<html>", b"\xff\xd8\xff", FILES["jpg"][:300], FILES["png"][:60], FILES["webp"][:40]):
        with pytest.raises(RejectedPicture):
            clean_picture(data)


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=120, deadline=None)
def test_damaged_bytes_are_refused_or_clean(kind: str, data: st.DataObject) -> None:
    broken = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        clean = clean_picture(bytes(broken))
    except RejectedPicture:
        return
    assert metadata_in(clean.data) == []
