"""Progress bars on stderr: where a person watches, and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def wanted() -> bool:
    """Whether bars are drawn: stderr is a terminal, or ASSAY_PROGRESS=1 asks for them."""
    asked = os.environ.get("ASSAY_PROGRESS", "")
    return asked == "1" or (asked != "0" and sys.stderr.isatty())


def progress(
    items: Iterable[Any] | None = None, *, total: float | None = None, what: str = "", unit: str = "it"
) -> tqdm:
    """A tqdm bar (iterate over it, or call `.update(n)` and `.close()`); silent where nobody watches."""
    return tqdm(
        items, total=total, desc=what, unit=f" {unit}", disable=not wanted(), mininterval=0.2, leave=False
    )
