"""Bytes to picture, for bytes that nobody trusts.

What a file is, is sniffed from its first bytes and held against a list of formats; names and content types
are never asked. Size limits are read from the header before a pixel is decoded. A truncated file is refused,
not shown with a grey half. What comes out is always 8-bit sRGB-like RGB, upright, on white.

A decoder written in C can still crash or hang on hostile bytes: whoever decodes pictures of strangers runs
`open_picture` in a process that may die.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

# Pillow's own bomb check would only warn up to twice its limit; ours refuses, from the header.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Compressed text inside a PNG is never wanted; a small limit takes the point out of a text bomb.
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 20

MAX_SIDE = 65_500
"""Longest side in pixels: the JPEG format ends there, and no photo is longer."""

REASONS: dict[str, str] = {
    "empty": "no bytes at all",
    "not_an_image": "the bytes are no picture (a web page, a text, an unknown format)",
    "format_refused": "a picture or drawing of a kind that is never opened (SVG, EPS, WMF, PSD, HEIC, ...)",
    "truncated": "the file ends before its picture does",
    "corrupt": "the picture's data is damaged",
    "too_many_pixels": "more pixels than allowed, by its header",
    "too_small": "a side is shorter than allowed",
}
"""Every reason a picture can be refused for, with its meaning."""

_FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "AVIF": "avif",
}
_EXTENSIONS = {
    "jpeg": "jpg",
    "png": "png",
    "webp": "webp",
    "gif": "gif",
    "bmp": "bmp",
    "tiff": "tif",
    "avif": "avif",
}
_SRGB = ImageCms.createProfile("sRGB")


class RejectedPicture(ValueError):
    """A file that is not taken.

    Attributes:
        reason: a key of `REASONS`.
        detail: one line for people, at most 200 characters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        assert reason in REASONS, reason
        self.reason = reason
        self.detail = " ".join(detail.split())[:200]
        super().__init__(f"{reason}: {self.detail}")

    def __reduce__(self) -> tuple[type[RejectedPicture], tuple[str, str]]:
        # Exceptions are rebuilt from their arguments when they come back from a worker process.
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: 8-bit RGB, EXIF orientation applied, transparency on white, the first frame of an animation.
        width, height: pixels, after orientation.
        format: what the file is: jpeg, png, webp, gif, bmp, tiff or avif.
        animated: it has more than one frame (or page; a stereo JPEG's second view does not count).
    """

    image: Image.Image
    width: int
    height: int
    format: str
    animated: bool


def true_extension(format: str) -> str:
    """The file name ending, without the dot, of one of `Picture.format`'s values.

    Raises:
        KeyError: another format.
    """
    return _EXTENSIONS[format]


def open_picture(data: bytes, *, max_pixels: int = 100_000_000, min_side: int = 1) -> Picture:
    """Decode one picture.

    Args:
        data: the file's bytes, whole.
        max_pixels: most pixels (width times height) that are decoded; memory use is about 8 bytes a pixel.
        min_side: shortest side accepted, in pixels.

    Raises:
        RejectedPicture: with one of `REASONS`.
    """
    kind = _sniff(data)
    with warnings.catch_warnings():
        # Damaged EXIF and colour data only warn: no reason to lose a picture, nor to write on stderr.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=[kind]) as source:
                _check_size(source.size, max_pixels, min_side)
                _check_frame(source, max_pixels)
                animated = kind != "JPEG" and getattr(source, "is_animated", False)
                profile = source.info.get("icc_profile")
                source.load()
                _check_whole(kind, data)
                image = _to_rgb(_upright(source), profile)
                name = _FORMATS[source.format or kind]
        except RejectedPicture:
            raise
        except MemoryError:
            raise RejectedPicture("too_many_pixels", "decoding it takes more memory than there is") from None
        except UnidentifiedImageError:
            raise RejectedPicture("corrupt", f"its header says {kind}, but no {kind} can be read") from None
        except Image.DecompressionBombError as error:
            raise RejectedPicture("too_many_pixels", str(error)) from None
        except Exception as error:  # decoders raise nearly every kind on damaged bytes
            raise RejectedPicture(_reason_of(error), f"{kind}: {error}") from None
    return Picture(image, image.width, image.height, name, bool(animated))


def _sniff(data: bytes) -> str:
    """Pillow's name of the format, from the first bytes."""
    if not data:
        raise RejectedPicture("empty", "the file has no bytes")
    head = data[:32]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[:2] == b"BM" and len(data) > 26:
        return "BMP"
    if head[4:8] == b"ftyp" and b"avi" in data[8 : 8 + min(64, max(0, _u32(data) - 8))]:
        return "AVIF"
    refused = _refused_kind(data)
    if refused:
        raise RejectedPicture("format_refused", f"{refused} files are not opened")
    raise RejectedPicture("not_an_image", f"unknown content, starts with {bytes(head[:8])!r}")


def _refused_kind(data: bytes) -> str | None:
    """A kind that is known and never opened, for a better word than 'unknown'."""
    head = data[:16]
    marks = {
        b"8BPS": "PSD",
        b"%!PS": "EPS",
        b"\xc5\xd0\xd3\xc6": "EPS",
        b"%PDF": "PDF",
        b"\xd7\xcd\xc6\x9a": "WMF",
        b"\x01\0\x09\0": "WMF",
        b"\x01\0\0\0": "EMF",
        b"\0\0\x01\0": "ICO",
        b"\xff\x0a": "JPEG XL",
        b"\0\0\0\x0cJXL ": "JPEG XL",
        b"\0\0\0\x0cjP  ": "JPEG 2000",
        b"\xffO\xffQ": "JPEG 2000",
        b"\x01\xda": "SGI",
    }
    for mark, name in marks.items():
        if head.startswith(mark):
            return name
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "HEIC"
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in data[:4096].lower():
        return "SVG"
    return None


def _u32(data: bytes) -> int:
    return int(struct.unpack(">I", data[:4])[0]) if len(data) >= 4 else 0


def _check_size(size: tuple[int, int], max_pixels: int, min_side: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise RejectedPicture("corrupt", f"its header says {width} x {height} pixels")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise RejectedPicture("too_many_pixels", f"{width} x {height} pixels, at most {max_pixels} allowed")
    if min(width, height) < min_side:
        raise RejectedPicture("too_small", f"{width} x {height} pixels, the shorter side needs {min_side}")


def _check_frame(source: Image.Image, max_pixels: int) -> None:
    """A GIF's first frame may claim more than the canvas, and the decoder would allocate for the frame."""
    for tile in getattr(source, "tile", []):
        box = tile[1]
        if box is not None:
            _check_extent(box[2] - box[0], box[3] - box[1], source.size, max_pixels)


def _check_extent(width: int, height: int, canvas: tuple[int, int], max_pixels: int) -> None:
    if width * height > max_pixels or width > canvas[0] or height > canvas[1]:
        raise RejectedPicture("too_many_pixels", f"a frame of {width} x {height} on a {canvas} canvas")


def _check_whole(kind: str, data: bytes) -> None:
    """Decoders that stop at the last pixel do not notice a missing end; the end is looked for here."""
    if kind == "PNG":
        _check_png(data)
    elif kind == "WEBP" and len(data) < struct.unpack("<I", data[4:8])[0] + 8 - 1:
        raise RejectedPicture("truncated", "WebP: shorter than its header says")


def _check_png(data: bytes) -> None:
    """Walk the chunks up to IEND; the check sums of the pixel chunks are compared too."""
    position = 8
    while position + 12 <= len(data):
        length = _u32(data[position:])
        end = position + 12 + length
        if end > len(data):
            break
        name = data[position + 4 : position + 8]
        if name in (b"IHDR", b"PLTE", b"IDAT") and _u32(data[end - 4 :]) != zlib.crc32(
            data[position + 4 : end - 4]
        ):
            raise RejectedPicture("corrupt", f"PNG: wrong check sum in {name.decode()}")
        if name == b"IEND":
            return
        position = end
    raise RejectedPicture("truncated", "PNG: it ends before its IEND chunk")


def _upright(source: Image.Image) -> Image.Image:
    """EXIF orientation applied; damaged EXIF leaves the picture as it lies."""
    try:
        return ImageOps.exif_transpose(source)
    except Exception:
        return source.copy()


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """8-bit RGB of any mode: 16-bit scaled, transparency on white, colour profile to sRGB where it can be."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _scaled_grey(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = _on_white(image)
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    return _in_srgb(image, profile).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """A plain convert clips every grey above 255 to white. Scale: a 16-bit picture that fills its range by
    257, one that leaves it nearly empty (instruments store 10 or 12 bits) and wider kinds from darkest to
    lightest.
    """
    grey = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(grey.min()), float(grey.max())
    if low >= 0 and 4095 < high <= 65_535 and image.mode != "F":
        grey /= 257.0
    elif low < 0 or high > 255:
        grey = (grey - low) * (255.0 / ((high - low) or 1.0))
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert by the embedded profile; a profile that is damaged or for another mode is left out."""
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in (ImageCms.getProfileDescription(source) or "").lower():
            return image
        done = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return image
    return done if done is not None else image


def _reason_of(error: Exception) -> str:
    """Whether a decoder's complaint speaks of missing bytes."""
    words = str(error).lower()
    missing = ("truncated", "not enough", "image file is truncated", "unexpected end", "cut off", "premature")
    return "truncated" if isinstance(error, EOFError) or any(w in words for w in missing) else "corrupt"
