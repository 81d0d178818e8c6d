"""training.compare: on the shared pictures, paired, and honest about what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from training.compare import main
from training.comparison.shared import _groups, by_group
from training.statistics.bootstrap import Bootstrap, needed, tail_p

CLASSES = ("cat", "dog", "owl")


def write_run(
    folder: Path,
    right: dict[str, float],
    *,
    version: str = "1.0.0",
    images: Sequence[int] = range(300),
    seeds: int = 5,
    references: dict[int, str] | None = None,
    key: int = 0,
    settings: dict[str, Any] | None = None,
    copies: Sequence[Sequence[str]] = (),
) -> Path:
    """A run's folder whose arms are right with given chances; how hard a picture is depends on it alone."""
    folder.mkdir()
    rows = []
    for arm, share in right.items():
        for seed in range(seeds):
            luck = np.random.default_rng([key, seed])
            for image in images:
                label = (references or {}).get(image, CLASSES[image % 3])
                hard = np.random.default_rng(image).random()
                hit = 0.5 * hard + 0.5 * luck.random() < share
                predicted = label if hit else CLASSES[(CLASSES.index(label) + 1) % 3]
                rows.append((arm, seed, f"i{image:04d}", label, predicted, [0.0, 0.0, 1.0], -1))
    columns = ["arm", "seed", "image", "label", "predicted", "probabilities", "fold"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.to_parquet(folder / "predictions.parquet", index=False)
    hits = (frame["label"] == frame["predicted"]).groupby(frame["arm"]).mean()
    arms = {
        arm: {
            "n_train": 100,
            "label_error": 0.1,
            "label_error_interval": {"value": 0.1, "lo": 0.05, "hi": 0.15},
            "top1": {"value": hits[arm], "lo": hits[arm] - 0.05, "hi": hits[arm] + 0.05},
            "seeds": [{"seed": seed} for seed in range(seeds)],
        }
        for arm in right
    }
    metrics = {
        "release": {"name": "pets", "version": version, "fingerprint": f"print-{version}"},
        "model": "small",
        "arms": arms,
        "classes": list(CLASSES),
        "settings": {"model": "small", "lr": 0.1, **(settings or {})},
        "release_facts": {
            "pictures": {"train": 100, "val": 0, "test": len(images)},
            "votes": 321,
            "label_accuracy": None,
            "cost": {"votes": 321, "usd": 12.5},
        },
        "test_copies": [list(group) for group in copies],
        "command": f"python -m training.retrain pets-{version}",
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def figures(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_better_release_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write_run(tmp_path / "a", {"majority": 0.5, "consensus": 0.5})
    new = write_run(tmp_path / "b", {"majority": 0.5, "consensus": 0.62}, version="2.0.0", key=1)
    found = figures(capsys, old, new)
    (row,) = found["differences"]
    assert found["arm"] == "consensus"
    assert row["told_apart"]
    assert found["words"][0].startswith("2.0.0 beats 1.0.0 by ")
    assert row["lo"] < row["value"] < row["hi"]
    assert row["value"] == pytest.approx(row["other"] - row["base"], abs=2e-6)
    assert row["lo"] < 0.12 * 2 < row["hi"] + 0.1
    back = figures(capsys, new, old)
    assert back["words"][0].startswith("1.0.0 falls behind 2.0.0 by ")
    assert back["differences"][0]["value"] == pytest.approx(-row["value"])
    (other,) = found["arms"]
    assert (other["of"], other["told_apart"]) == ("majority", False)
    assert {c["of"] for c in found["categories"]} == set(CLASSES)
    assert all(c["p_holm"] >= c["p"] for c in found["categories"])
    assert found["runs"][1]["release_facts"]["cost"]["usd"] == 12.5


def test_what_cannot_be_told_apart_says_what_it_would_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_run(tmp_path / "a", {"consensus": 0.5}, images=range(60))
    new = write_run(tmp_path / "b", {"consensus": 0.515}, version="2.0.0", key=3, images=range(60))
    found = figures(capsys, old, new)
    (row,) = found["differences"]
    assert not row["told_apart"]
    assert "cannot be told apart" in found["words"][0]
    assert "would be needed" in found["words"][0]
    assert row["smallest_difference"] > abs(row["value"])
    assert any("60 test pictures" in line for line in found["warnings"])


def test_only_pictures_count_that_all_runs_answered_under_one_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_run(tmp_path / "a", {"consensus": 0.5}, images=range(100))
    moved = {number: "owl" for number in range(40, 43) if CLASSES[number % 3] != "owl"}
    new = write_run(
        tmp_path / "b", {"consensus": 0.5}, version="2.0.0", images=range(40, 170), references=moved
    )
    found = figures(capsys, old, new)
    counts = found["test_images"]
    assert counts["shared"] == 60 - len(moved)
    assert counts["not_shared"] == {"1.0.0": 40, "2.0.0": 70}
    assert counts["references_differ"] == len(moved) > 0
    assert "40 of 1.0.0, 70 of 2.0.0" in found["basis"]
    assert f"their references differ: {len(moved)}" in found["basis"]
    # What is left is answered alike by both: nothing differs.
    assert found["differences"][0]["value"] == pytest.approx(0, abs=0.2)


def test_runs_without_a_common_picture_or_reference_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_run(tmp_path / "a", {"consensus": 0.5}, images=range(10))
    apart = write_run(tmp_path / "b", {"consensus": 0.5}, version="2.0.0", images=range(10, 20))
    other = {number: CLASSES[(number + 1) % 3] for number in range(10)}
    renamed = write_run(
        tmp_path / "c", {"consensus": 0.5}, version="3.0.0", images=range(10), references=other
    )
    for run, words in ((apart, "share no test picture"), (renamed, "references differ on every")):
        assert main([str(old), str(run)]) == 2
        told = capsys.readouterr()
        assert words in told.err
        assert (told.out, told.err.count("\n")) == ("", 1)


def test_several_runs_are_held_against_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        write_run(tmp_path / name, {"consensus": share}, version=f"{at + 1}.0.0", key=at)
        for at, (name, share) in enumerate((("a", 0.45), ("b", 0.5), ("c", 0.6)))
    ]
    page = tmp_path / "compare.html"
    found = figures(capsys, *runs, "--html", page)
    assert [row["run"] for row in found["differences"]] == ["2.0.0", "3.0.0"]
    assert all(row["p_holm"] >= row["p"] for row in found["differences"])
    assert len(found["words"]) == 2
    html = page.read_text()
    assert "1.0.0 and what came after it" in html
    assert "3.0.0 beats 1.0.0" in html
    assert html.count("data:image/svg+xml") == 3  # the history, and the categories of two runs
    assert "http" not in html
    assert main([str(run) for run in runs]) == 0
    text = capsys.readouterr().out
    assert "cost, USD" in text
    assert "3.0.0 beats 1.0.0" in text


def test_a_change_of_settings_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write_run(tmp_path / "frozen", {"consensus": 0.5}, settings={"train": "head"})
    after = write_run(tmp_path / "tuned", {"consensus": 0.6}, settings={"train": "all"}, key=1, seeds=3)
    found = figures(capsys, before, after)
    assert found["base"] == "frozen"  # one release: named by folder
    assert found["settings"] == {"train": ["head", "all"]}
    assert found["differences"][0]["seeds"] == 3
    assert any("different seeds" in line for line in found["warnings"])
    both = write_run(tmp_path / "b", {"consensus": 0.6}, version="2.0.0", settings={"train": "all"})
    lines = figures(capsys, before, both)["warnings"]
    assert any("differ in their releases and in train" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "nothing to compare"),
        (["a", "a"], "named twice"),
        (["a", "nowhere"], "no such folder"),
        (["a", "empty"], "holds no run"),
        (["a", "b", "--arm", "majority"], "not all runs have the arm majority"),
        (["a", "m"], "share no arm"),
        (["a", "b", "--html", "nowhere/page.html"], "no such folder to write into"),
    ],
)
def test_unusable_arguments_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    write_run(tmp_path / "a", {"consensus": 0.5, "majority": 0.5}, images=range(20), seeds=1)
    write_run(tmp_path / "b", {"consensus": 0.5}, images=range(20), seeds=1, version="2.0.0")
    write_run(tmp_path / "m", {"one_vote": 0.5}, images=range(20), seeds=1, version="3.0.0")
    (tmp_path / "empty").mkdir()
    given_ = [
        each if each.startswith("-") or each == "majority" else str(tmp_path / each) for each in arguments
    ]
    assert main(given_) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_broken_answers_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write_run(tmp_path / "a", {"consensus": 0.5}, images=range(20), seeds=1)
    new = write_run(tmp_path / "b", {"consensus": 0.5}, images=range(20), seeds=2, version="2.0.0")
    file = new / "predictions.parquet"
    whole = pd.read_parquet(file)

    def refused() -> str:
        assert main([str(old), str(new)]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        return line

    whole.iloc[:-1].to_parquet(file)
    assert "lacks answers" in refused()
    pd.concat([whole, whole.iloc[:1]]).to_parquet(file)
    assert "twice" in refused()
    whole.drop(columns="label").to_parquet(file)
    assert "no column label" in refused()
    whole.assign(fold=0).to_parquet(file)
    assert "judges no test picture" in refused()
    file.write_bytes(b"nothing")
    assert "not a readable table" in refused()
    file.unlink()
    assert "missing" in refused()
    (new / "metrics.json").write_text("[]")
    assert "no arms" in refused()


def test_real_runs_can_be_compared(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.symlink_to(small_run)
    assert main([str(small_run), str(other)]) == 2
    assert "named twice" in capsys.readouterr().err
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("metrics.json", "predictions.parquet"):
        (copied / name).write_bytes((small_run / name).read_bytes())
    found = figures(capsys, small_run, copied)
    assert found["differences"][0]["value"] == 0
    assert found["runs"][0]["release_facts"]["pictures"] == {"train": 57, "val": 9, "test": 36}
    assert "too near to nothing" in found["words"][0]


def test_copies_are_drawn_together() -> None:
    """Ten copies of each picture add nothing that one of them does not say."""
    rng = np.random.default_rng(0)
    one = (rng.random((3, 80)) < 0.5).astype(float)
    many, groups = np.repeat(one, 10, axis=1), np.repeat(np.arange(80), 10)
    alone = Bootstrap(3, 80).mean(one)
    together = Bootstrap(3, 80).mean(by_group(many, groups))
    apart = Bootstrap(3, 800).mean(many)
    assert (together.value, together.lo, together.hi) == pytest.approx((alone.value, alone.lo, alone.hi))
    assert apart.hi - apart.lo < together.hi - together.lo


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=5))
def test_groups_of_several_runs_are_joined(copies: list[list[str]]) -> None:
    images = list("abcdef")
    groups = _groups(images, copies)
    for members in copies:
        assert len({groups[images.index(i)] for i in members if i in images}) <= 1
    untouched = [i for i in images if not any(i in members for members in copies)]
    assert all((groups == groups[images.index(i)]).sum() == 1 for i in untouched)
    table = np.arange(12.0).reshape(2, 6)
    assert by_group(table, groups).mean(axis=1) == pytest.approx(table.mean(axis=1))


def test_what_it_takes_is_what_then_suffices() -> None:
    """With as many pictures as foretold, the difference is seen in about four cases of five."""
    rng = np.random.default_rng(1)

    def drawn(images: int) -> np.ndarray:
        hard = rng.normal(0.05, 0.4, images)
        return np.tile(hard, (2, 1)) + rng.normal(0, 0.02, (2, images))

    wanted = [needed(drawn(200)) for _ in range(40)]
    pictures = float(np.median([found[0] for found in wanted if found and found[0]]))
    truth = (2.8 * 0.4 / 0.05) ** 2
    assert 0.4 * truth < pictures < 2.5 * truth
    assert needed(np.zeros((2, 50))) is None


def test_far_tails_agree_with_the_t_test_and_outdo_the_replicates() -> None:
    rng = np.random.default_rng(5)
    one = rng.normal(0.2, 0.5, (1, 60))
    assert tail_p(one) == pytest.approx(ttest_1samp(one[0], 0).pvalue)
    by_seed = rng.normal(0.1, 0.05, (5, 1)) + np.zeros((5, 40))
    assert tail_p(by_seed) == pytest.approx(ttest_1samp(by_seed[:, 0], 0).pvalue)
    assert tail_p(np.ones((2, 9))) is None
    many = np.random.default_rng(6).normal(0.0, 1.0, (400, 5, 60))
    found = [tail_p(table) for table in many]
    assert 0.02 < np.mean([p is None or p < 0.05 for p in found]) < 0.085


def test_one_of_many_categories_can_be_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The smallest p of 4,000 replicates, times 150 categories, would never be below 5%."""
    labels = {image: f"c{image % 150:03d}" for image in range(150 * 20)}

    def run(name: str, better: bool) -> Path:
        images, rng = list(labels), np.random.default_rng(8)
        easy = rng.random(len(images)) < 0.3
        rows = []
        for seed in range(5):
            slips = rng.random(len(images)) < 0.03
            for image, label in labels.items():
                right = (easy[image] or (better and label == "c007")) != slips[image]
                said = label if right else "other"
                rows.append(("consensus", seed, f"i{image:05d}", label, said, -1))
        frame = pd.DataFrame(rows, columns=["arm", "seed", "image", "label", "predicted", "fold"])
        folder = write_run(tmp_path / name, {"consensus": 0.5}, version=name, images=images[:1])
        frame.assign(probabilities=[[1.0]] * len(frame)).to_parquet(folder / "predictions.parquet")
        return folder

    found = figures(capsys, run("1", better=False), run("2", better=True))
    told = [row["of"] for row in found["categories"] if row["told_apart"]]
    assert told == ["c007"]
