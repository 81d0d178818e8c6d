"""A picture's bytes without camera data, location, comments or hidden second pictures.

JPEG, PNG and WebP keep their pixels bit for bit: only segments on a list of wanted ones are copied, so an
unknown kind of metadata never slips through. Where EXIF says that the picture lies on its side, it is
re-encoded upright, because most training code never reads EXIF. Every other format, every animation and
every file whose structure cannot be followed becomes a PNG of its first frame.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps, JpegImagePlugin

from ingest.decode import RejectedPicture, open_picture

_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_JPEG_PIXELS = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF} - {0xC8}
_PNG_KEPT = {
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"cHRM",
    b"gAMA",
    b"iCCP",
    b"sBIT",
    b"sRGB",
    b"cICP",
}
_PNG_KEPT |= {b"bKGD", b"pHYs", b"hIST", b"sPLT", b"mDCV", b"cLLI"}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}
_ORIENTED = {
    "jpg": (b"Exif\0\0", b"tiff:Orientation"),
    "png": (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp"),
    "webp": (b"EXIF", b"XMP "),
}
"""What stands in the bytes of a picture that says which way up it is, in EXIF or in XMP."""
_EXIF_FLAG, _XMP_FLAG, _ANIMATION_FLAG = 0x08, 0x04, 0x02
_PILLOW = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
_KIND_OF = {form: kind for kind, form in _PILLOW.items()}
KINDS = tuple(_PILLOW)
"""What a released picture can be, by the ending of its name."""


class _Tangled(ValueError):
    """The file's structure cannot be followed; it will be re-encoded."""


@dataclass(frozen=True)
class Cleaned:
    """A picture fit for release. `width` and `height` are pixels as stored, which is upright."""

    data: bytes
    extension: str
    width: int
    height: int


def clean_picture(data: bytes) -> Cleaned:
    """Strip a picture; the same bytes always give the same bytes.

    Raises:
        RejectedPicture: the bytes cannot be decoded at all.
    """
    kind = kind_of(data)
    try:
        if kind and not _animated(data, kind):
            if _orientation(data, kind) != 1:
                return _measured(*_upright(data, kind))
            return _measured(_STRIPPERS[kind](data), kind)
    except (_Tangled, OSError, struct.error, SyntaxError, ValueError, IndexError):
        pass  # damaged in a way that the decoder below may still forgive
    picture = open_picture(data)
    return _measured(encoded(picture.image, "PNG", optimize=False, compress_level=6), "png")


def kind_of(data: bytes) -> str | None:
    """`jpg`, `png` or `webp` by the first bytes, else None."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def metadata_in(data: bytes) -> list[str]:
    """Names of the parts of a JPEG, PNG or WebP that a release must not carry; empty when it is clean."""
    kind = kind_of(data)
    try:
        if kind == "jpg":
            return [name for name, _, kept in _jpeg_parts(data) if not kept]
        if kind == "png":
            return [
                f"{name.decode('latin-1')} chunk" for name, _ in _png_chunks(data) if name not in _PNG_KEPT
            ]
        if kind == "webp":
            return [f"{n.decode('latin-1')} chunk" for n, _ in webp_chunks(data) if n not in _WEBP_KEPT]
    except (_Tangled, struct.error, IndexError):
        return ["a structure that cannot be followed"]
    return ["a format that releases do not hold"]


def _measured(data: bytes, extension: str) -> Cleaned:
    """Decode what will be released once, whole: a picture that cannot be opened must not leave the house."""
    try:
        with Image.open(io.BytesIO(data), formats=[_PILLOW[extension]]) as image:
            width, height = image.size
            image.load()
    except Exception as error:  # decoders raise nearly every kind on damaged bytes
        raise RejectedPicture("corrupt", f"{extension}: {error}") from None
    return Cleaned(data, extension, width, height)


def _animated(data: bytes, kind: str) -> bool:
    """An animated WebP. (An animated PNG loses its extra frames with its chunks.)"""
    return kind == "webp" and any(name in (b"ANIM", b"ANMF") for name, _ in webp_chunks(data))


def _orientation(data: bytes, kind: str) -> int:
    """EXIF orientation 1 … 8; damaged or missing EXIF counts as upright."""
    if not any(mark in data for mark in _ORIENTED[kind]):
        return 1  # most pictures of the web; opening them to read this would cost as much as stripping them
    with Image.open(io.BytesIO(data), formats=[_PILLOW[kind]]) as image:
        try:
            value = image.getexif().get(0x0112, 1)
        except Exception:
            return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _upright(data: bytes, kind: str) -> tuple[bytes, str]:
    """Turned by its orientation and encoded again: JPEG with its own tables, the others without loss."""
    with Image.open(io.BytesIO(data), formats=[_PILLOW[kind]]) as image:
        profile = image.info.get("icc_profile")
        turned = ImageOps.exif_transpose(image)
        if kind != "jpg" or not isinstance(image, JpegImagePlugin.JpegImageFile):
            return encoded(turned, "PNG", icc_profile=profile, optimize=False, compress_level=6), "png"
        sampling = JpegImagePlugin.get_sampling(image)
        # Only 4:4:4 and 4:2:0 mean the same after a quarter turn.
        options = {"qtables": image.quantization, "subsampling": sampling if sampling in (0, 2) else 0}
        return encoded(turned, "JPEG", icc_profile=profile, **options), "jpg"


def encoded(image: Image.Image, form: str, icc_profile: bytes | None = None, **options: object) -> bytes:
    """A picture as JPEG, PNG or WEBP with nothing but its pixels and its colour profile."""
    for key in ("exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp"):
        image.info.pop(key, None)
    out = io.BytesIO()
    image.save(out, form, icc_profile=icc_profile or None, exif=b"", **options)
    return _STRIPPERS[_KIND_OF[form]](out.getvalue())


# --- JPEG -----------------------------------------------------------------------------------------
def _jpeg_parts(data: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """(name, bytes, wanted) of every part; a scan carries its data, fill bytes are passed over."""
    yield "SOI", data[:2], True
    at = 2
    while True:
        at = _next_marker(data, at)
        marker = data[at + 1]
        if marker == 0xD9:
            yield "EOI", data[at : at + 2], True
            if at + 2 < len(data):
                yield "bytes after the end", data[at + 2 :], False
            return
        if marker in _JPEG_STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise _Tangled("JPEG segment beyond the end")
        body = data[at + 4 : end]
        if marker == 0xDA:
            scan_end = _scan_end(data, end)
            yield "SOS", data[at:scan_end], True
            at = scan_end
            continue
        yield _jpeg_name(marker), data[at:end], _jpeg_wanted(marker, body)
        at = end


def _next_marker(data: bytes, at: int) -> int:
    """Position of the 0xFF before the next marker's code; fill bytes are passed over."""
    if at + 1 >= len(data) or data[at] != 0xFF:
        raise _Tangled("JPEG marker expected")
    while data[at + 1] == 0xFF:
        at += 1
        if at + 1 >= len(data):
            raise _Tangled("JPEG without an end")
    return at


def _scan_end(data: bytes, at: int) -> int:
    """Where a scan's data ends: the first marker that is neither a stuffed zero nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _Tangled("JPEG without an end")
        code = data[at + 1]
        if code == 0 or 0xD0 <= code <= 0xD7:
            at += 2
        elif code == 0xFF:
            at += 1
        else:
            return at


def _jpeg_name(marker: int) -> str:
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    return "COM" if marker == 0xFE else f"0x{marker:02X}"


def _jpeg_wanted(marker: int, body: bytes) -> bool:
    """Pixels, the plain JFIF header, the colour profile and Adobe's colour transform; nothing else."""
    if marker in _JPEG_PIXELS:
        return True
    if marker == 0xE0:
        return body[:5] == b"JFIF\0" and len(body) == 14  # longer: it holds a thumbnail
    if marker == 0xE2:
        return body[:12] == b"ICC_PROFILE\0"
    return marker == 0xEE and body[:5] == b"Adobe"


def _strip_jpeg(data: bytes) -> bytes:
    return b"".join(part for _, part, kept in _jpeg_parts(data) if kept)


# --- PNG ------------------------------------------------------------------------------------------
def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk) up to IEND; what stands behind it is called `tail`."""
    at = 8
    while True:
        if at + 12 > len(data):
            raise _Tangled("PNG without an end")
        (length,) = struct.unpack(">I", data[at : at + 4])
        end = at + 12 + length
        if end > len(data):
            raise _Tangled("PNG chunk beyond the end")
        name = data[at + 4 : at + 8]
        yield name, data[at:end]
        at = end
        if name == b"IEND":
            break
    if at < len(data):
        yield b"tail", data[at:]


def _strip_png(data: bytes) -> bytes:
    kept = [chunk for name, chunk in _png_chunks(data) if name in _PNG_KEPT]
    return data[:8] + b"".join(_without_name(c) if c[4:8] == b"iCCP" else c for c in kept)


def _without_name(chunk: bytes) -> bytes:
    """A colour profile's free-text name could hold anything; every profile is called the same."""
    _, _, rest = chunk[8:-4].partition(b"\0")
    body = b"iCCPICC profile\0" + rest
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


# --- WebP -----------------------------------------------------------------------------------------
def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk with its padding) inside the RIFF; what stands behind it is called `tail`."""
    (size,) = struct.unpack("<I", data[4:8])
    if size + 8 > len(data) + 1:
        raise _Tangled("WebP shorter than its header says")
    stop, at = min(size + 8, len(data)), 12
    while at + 8 <= stop:
        (length,) = struct.unpack("<I", data[at + 4 : at + 8])
        end = at + 8 + length
        if end > stop:
            raise _Tangled("WebP chunk beyond the end")
        padded = min(end + (length & 1), stop)
        yield data[at : at + 4], data[at:padded]
        at = padded
    if stop < len(data):
        yield b"tail", data[stop:]


def _strip_webp(data: bytes) -> bytes:
    kept = [chunk for name, chunk in webp_chunks(data) if name in _WEBP_KEPT]
    clean = b"".join(_without_flags(chunk) if chunk[:4] == b"VP8X" else chunk for chunk in kept)
    return b"RIFF" + struct.pack("<I", len(clean) + 4) + b"WEBP" + clean


def _without_flags(chunk: bytes) -> bytes:
    """The extended header must not promise the EXIF and XMP chunks that were left out."""
    return chunk[:8] + bytes([chunk[8] & ~(_EXIF_FLAG | _XMP_FLAG | _ANIMATION_FLAG)]) + chunk[9:]


_STRIPPERS = {"jpg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}
