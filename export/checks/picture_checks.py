"""What can be wrong with one released picture."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from export import layout
from export.strip import kind_of, metadata_in

_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


def picture_faults(data: bytes, path: str, size: tuple[int, int] | None) -> list[tuple[str, str]]:
    """(rule, detail) of everything wrong with a picture's bytes.

    Args:
        path: its place in the folder; the ending must be the true one.
        size: (width, height) by the manifest, None where the manifest does not know it.
    """
    faults, found = examine_picture(data, path)
    if found is not None and size is not None and found != tuple(size):
        faults.append(("picture", f"is {found[0]} x {found[1]}, the manifest says {size[0]} x {size[1]}"))
    return faults


def examine_picture(data: bytes, path: str) -> tuple[list[tuple[str, str]], tuple[int, int] | None]:
    """What is wrong with a picture in itself, and its (width, height); None where it cannot be opened."""
    kind = kind_of(data)
    if kind is None:
        return [("picture", "is no JPEG, PNG or WebP")], None
    faults = []
    extension = path.rsplit(".", 1)[-1]
    if extension != kind or kind not in layout.EXTENSIONS:
        faults.append(("picture", f"is named .{extension} and holds {_FORMATS[kind]}"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[_FORMATS[kind]]) as image:
                found = image.size
                image.load()
    except Exception as error:  # decoders raise nearly every kind on damaged bytes
        return [*faults, ("picture", f"cannot be opened: {' '.join(str(error).split())[:120]}")], None
    carried = metadata_in(data)
    if carried:
        faults.append(("metadata", f"carries {', '.join(sorted(set(carried))[:3])}"))
    return faults, found
