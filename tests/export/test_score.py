"""Top-1 and top-5 error as ILSVRC counted them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from export.score import main, score
from export.services.plan import Wishes
from export.services.publish import publish_release
from ingest.tables import BadTable
from tests.export.world import World

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


def test_missing_and_empty_guesses_are_wrong() -> None:
    found = score(ANSWERS, guesses(a=["", "007"], b=["", ""], c=[" dog "]))
    assert (found["missing"], found["top1_error"], found["top5_error"]) == (2, 0.75, 0.5)
    perfect = guesses(a=["007"], b=["cat"], c=["dog"], d=["dog"])
    assert score(ANSWERS, perfect)["top1_error"] == 0
    assert score(ANSWERS, perfect.iloc[:0])["missing"] == 4


def test_five_guesses_count_and_no_more() -> None:
    six = guesses(a=["1", "2", "3", "4", "007"], b=["1", "2", "3", "4", "5", "cat"])
    found = score(ANSWERS.iloc[:2], six)
    assert (found["top1_error"], found["top5_error"]) == (1.0, 0.5)


def test_a_second_same_guess_gains_nothing_and_order_does_not_matter() -> None:
    twice = guesses(a=["x", "007", "007"], b=["cat", "cat"], c=["x"], d=["dog"])
    assert score(ANSWERS, twice) == score(ANSWERS.iloc[::-1], twice.sample(frac=1, random_state=1))


@pytest.mark.parametrize(
    "answers", [ANSWERS.assign(category=["007", "", "dog", "dog"]), ANSWERS.assign(image=["a", "", "c", "d"])]
)
def test_answers_that_say_nothing_are_refused(answers: pd.DataFrame) -> None:
    with pytest.raises(BadTable, match=r"give no category|without an image: row 3"):
        score(answers, guesses(a=["x"]))


def test_likely_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ANSWERS.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "p.csv").write_text("image,category1\na,0\nb,1\nz,2\n")
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "p.csv"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["top1_error"] == 1
    assert [line.split(":")[0] for line in told.err.splitlines()] == ["warning"] * 3
    assert "class indices" in told.err
    (tmp_path / "ragged.csv").write_text('image,category1\na,0,1,2\n"b,1\n')
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "ragged.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.django_db
def test_the_answers_of_a_sealed_release_are_scored(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = publish_release(world.dataset, "1.0.0", tmp_path, Wishes(sealed=True))
    assert made.answers is not None
    truth = pd.read_csv(made.answers, dtype=str)
    shown = {path.name.split(".")[0] for path in (made.folder / "test" / "unlabelled").iterdir()}
    assert set(truth["image"]) == shown
    other = {"owl": "finch", "finch": "owl"}
    wrong = truth["category"].map(other)
    wrong.iloc[0] = truth["category"].iloc[0]
    table = pd.DataFrame({"image": truth["image"], "category1": wrong, "category2": truth["category"]})
    table.to_csv(tmp_path / "guesses.csv.gz", index=False)
    assert main([str(made.answers), str(tmp_path / "guesses.csv.gz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["missing"], found["top5_error"]) == (6, 0, 0)
    assert found["top1_error"] == pytest.approx(5 / 6, abs=1e-6)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ANSWERS.to_csv(tmp_path / "a.csv", index=False)
    guesses(a=["007"], b=["cat"], c=["dog"], d=["cat"]).to_parquet(tmp_path / "p.parquet")
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "p.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1_error"] == 0.25
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "none.csv")]) == 2
    assert main([str(tmp_path / "a.csv"), str(tmp_path / "a.csv")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
