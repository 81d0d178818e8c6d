"""What a release folder holds: names of files, columns and their types, versions, pseudonyms.

The one place that knows the names; writers, checks, the card and the trainer read them from here.
"""

from __future__ import annotations

import hashlib
import hmac
import re

import pyarrow as pa

from export.strip import KINDS

CODE_VERSION = "0.1.0"
"""The package's version (pyproject.toml says the same; a test keeps it so)."""

SPLITS = ("train", "val", "test")
NONE = "__none__"
UNSURE = "__unsure__"
UNKNOWN = "unknown"
"""The licence of a picture that has none on record."""
UNLABELLED = "unlabelled"
"""The one folder of a sealed release's test split."""

MANIFEST = "manifest.parquet"
VOTES = "votes.parquet"
POSTERIORS = "posteriors.parquet"
CATEGORIES = "categories.json"
RELEASE = "release.json"
CROISSANT = "croissant.json"
CARD = "README.md"
SUMS = "SHA256SUMS"
SAMPLES, CLASSES, CONFUSION = "figures/samples.jpg", "figures/classes.svg", "figures/confusion.svg"
"""The card's pictures; a release without votes has no table of confusions."""
FIGURES = (SAMPLES, CLASSES, CONFUSION)
TABLES = (MANIFEST, VOTES, POSTERIORS)
FILES = (*TABLES, CATEGORIES, RELEASE, CROISSANT, CARD, SUMS)

EXTENSIONS = KINDS
"""What a released picture can be; every other format is re-encoded as PNG (`export.strip`)."""

_TEXT, _FLOAT, _INT, _FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()

MANIFEST_SCHEMA = pa.schema(
    [
        ("image", _TEXT),
        ("path", _TEXT),
        ("file_sha256", _TEXT),
        ("split", _TEXT),
        ("category", _TEXT),
        ("confidence", _FLOAT),
        ("votes", _INT),
        ("reference", _TEXT),
        ("width", _INT),
        ("height", _INT),
        ("source_url", _TEXT),
        ("page_url", _TEXT),
        ("licence", _TEXT),
        ("author", _TEXT),
        ("phash", _TEXT),
        ("duplicate_group", _TEXT),
    ]
)
VOTES_SCHEMA = pa.schema(
    [
        ("image", _TEXT),
        ("worker", _TEXT),
        ("label", _TEXT),
        ("seconds", _FLOAT),
        ("created", pa.timestamp("us", tz="UTC")),
        ("round", _TEXT),
        ("gold", _FLAG),
        ("audit", _FLAG),
        ("proposed", _TEXT),  # the category asked about, in verify rounds
    ]
)
POSTERIORS_SCHEMA = pa.schema([("image", _TEXT), ("category", _TEXT), ("probability", _FLOAT)])

_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", re.ASCII)


def parse_version(text: str) -> tuple[int, int, int]:
    """`1.2.3` as numbers, so that versions compare.

    Raises:
        ValueError: another scheme.
    """
    match = _VERSION.fullmatch(text)
    if not match:
        raise ValueError(f"a version is three numbers such as 1.0.0; got {text!r}")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def folder_name(name: str, version: str) -> str:
    """The release folder's name."""
    return f"{name}-{version}"


def picture_folder(split: str, category: str | None) -> str:
    """Where in the release a picture stands, with `/` at the end; ImageFolder reads its category from it.

    Without a category, as in a sealed release's test split, `UNLABELLED` stands in its place.
    """
    return f"{split}/{category or UNLABELLED}/"


def pseudonym_key(secret: str, name: str, version: str) -> bytes:
    """The key of one release's worker pseudonyms; releases cannot be joined by worker without `secret`."""
    return hmac.new(secret.encode(), f"workers of {name} {version}".encode(), hashlib.sha256).digest()


def pseudonym(key: bytes, worker: str) -> str:
    """A worker's name in one release: 64 bits of an HMAC, never traced back without the key."""
    return "w" + hmac.new(key, worker.encode(), hashlib.sha256).hexdigest()[:16]
