"""Files of votes as tests write them, and what is read and settled from them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from quality.aggregate import main
from quality.readers import Asked, Read, read_votes


def rows(read: Read) -> list[tuple[str, ...]]:
    return list(read.frame[["task", "worker", "label"]].itertuples(index=False, name=None))


def read_text(tmp_path: Path, text: str | bytes, name: str = "votes", **asked: object) -> Read:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_votes([str(file)], Asked(**asked))


def settle(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: str | bytes, *more: str, name: str = "v.csv"
):
    """Exit code, summary, consensus and stderr of the command on one file."""
    file, out = tmp_path / name, tmp_path / "consensus.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code = main([str(file), "-o", str(out), "--json", *more])
    printed = capsys.readouterr()
    if code:
        assert not printed.out
        assert printed.err.count("\n") == 1, printed.err
        return code, None, None, printed.err
    return code, json.loads(printed.out), pd.read_csv(out, dtype=str, keep_default_na=False), printed.err
