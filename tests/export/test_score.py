"""Top-1 and top-5 error as ILSVRC counted them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from export.score import main, score
from ingest.tables import BadTable

ANSWERS = pd.DataFrame({"image": list("abcd"), "category": ["007", "cat", "dog", "dog"]})


def guesses(**rows: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"image": image} | {f"category{n}": g for n, g in enumerate(row, 1)} for image, row in rows.items()]
    )


def test_it_counts_as_ilsvrc_did() -> None:
    found = score(ANSWERS, guesses(a=["007", "x"], b=["dog", "cat"], c=["x", "y"], e=["x", "x"]))
    assert found["top1_error"] == 0.75
    assert found["top5_error"] == 0.5
    assert (found["images"], found["missing"], found["unknown"]) == (4, 1, 1)
    assert found["per_category"]["dog"] == {"images": 2, "top1_error": 1.0, "top5_error": 1.0}
    assert found["per_category"]["cat"]["top1_error"] == 1.0
    assert found["per_category"]["cat"]["top5_error"] == 0.0


def test_an_image_twice_is_refused() -> None:
    with pytest.raises(BadTable):
        score(pd.concat([ANSWERS, ANSWERS]), guesses(a=["x"]))
    with pytest.raises(BadTable):
        score(ANSWERS, pd.concat([guesses(a=["x"])] * 2))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ANSWERS.to_csv(tmp_path / "a.csv", index=False)
    guesses(a=["007"], b=["cat"], c=["dog"], d=["cat"]).to_parquet(tmp_path / "p.parquet")
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "p.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1_error"] == 0.25
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "none.csv")]) == 2
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "a.csv")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
