"""The manifest of a release row by row, from any row on: what the API streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq


def manifest_rows(
    manifest: Path, *, after: int = 0, split: str = "", category: str = ""
) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries with their number (`row`, from 1), in the order of the file; memory stays flat.

    Args:
        after: leave out so many rows at the head of the file: the `row` that was read last.
        split, category: only rows of this split or category; empty: all.
    """
    with pq.ParquetFile(manifest, pre_buffer=False) as table:
        begin, groups = 0, []
        for number in range(table.metadata.num_row_groups):
            rows = table.metadata.row_group(number).num_rows
            if begin + rows > after:
                groups.append(number)
            else:
                begin += rows
        row = begin
        for batch in table.iter_batches(batch_size=1_000, row_groups=groups):
            first, row = row, row + batch.num_rows
            wanted = None
            for name, value in (("split", split), ("category", category)):
                if value:
                    same = pc.fill_null(pc.equal(batch[name], value), False)
                    wanted = same if wanted is None else pc.and_(wanted, same)
            places = range(batch.num_rows) if wanted is None else pc.indices_nonzero(wanted).to_pylist()
            chosen = batch if wanted is None else batch.filter(wanted)
            for place, known in zip(places, chosen.to_pylist(), strict=True):
                if first + place >= after:
                    yield {"row": first + place + 1, **known}
