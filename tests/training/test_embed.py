"""Features and out-of-fold probabilities: nobody is judged by a head that was taught it, or a copy of it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from training.embed import main
from training.out_of_fold import HeadError, fold_of, out_of_fold
from training.report.album import as_targets, rows_of, soft_labels

CPU = torch.device("cpu")


def judged(features, targets, groups, folds=4):
    return out_of_fold(
        features.astype(np.float32), targets, groups, folds=folds, device=CPU, progress=lambda x, n, what: x
    )


# --- folds ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30), min_size=5, max_size=120), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_a_group_shares_a_fold_and_folds_are_even(numbers, folds):
    groups = [f"g{number}" for number in numbers]
    fold = fold_of(groups, folds)
    for group in set(groups):
        assert len({int(fold[i]) for i, name in enumerate(groups) if name == group}) == 1
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= max(groups.count(group) for group in set(groups))
    order = np.random.default_rng(1).permutation(len(groups))
    assert (fold_of([groups[i] for i in order], folds) == fold[order]).all()


def test_labels_of_noise_are_not_learned_from_oneself():
    """In 200 dimensions a head can memorise 120 random labels; out of fold it is right by chance alone."""
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 120)
    found = judged(rng.normal(size=(120, 200)), np.eye(2)[label], [str(i) for i in range(120)])
    assert 0.3 < (found.probabilities.argmax(axis=1) == label).mean() < 0.7
    assert np.allclose(found.probabilities.sum(axis=1), 1)


def test_copies_of_a_picture_give_nothing_away_when_grouped():
    rng = np.random.default_rng(4)
    features, label = rng.normal(size=(60, 200)), rng.integers(0, 2, 60)
    twice, labels = np.repeat(features, 2, axis=0), np.repeat(label, 2)
    alone = judged(twice, np.eye(2)[labels], [str(i) for i in range(120)])
    grouped = judged(twice, np.eye(2)[labels], [str(i // 2) for i in range(120)])
    told = [(each.probabilities.argmax(axis=1) == labels).mean() for each in (alone, grouped)]
    assert told[0] > 0.8
    assert told[1] < 0.7


def test_what_can_be_learned_is_learned_and_twice_alike():
    rng = np.random.default_rng(5)
    label = rng.integers(0, 3, 150)
    features = np.eye(3)[label] @ rng.normal(size=(3, 20)) * 2 + rng.normal(size=(150, 20))
    names = [str(i) for i in range(150)]
    first, again = (judged(features, np.eye(3)[label], names) for _ in range(2))
    assert (first.probabilities.argmax(axis=1) == label).mean() > 0.9
    assert (first.probabilities == again.probabilities).all()
    assert first.loss < np.log(3)


def test_too_little_to_learn_from():
    with pytest.raises(HeadError, match="1 class"):
        judged(np.zeros((9, 4)), np.ones((9, 1)), list("abcdefghi"))
    with pytest.raises(HeadError, match="folds: 2 labelled pictures or groups"):
        judged(np.zeros((9, 4)), np.eye(2)[[0, 1] * 4 + [0]], list("aaaaaaabb"))


# --- names and labels -----------------------------------------------------------------------------------


def test_a_task_is_a_path_a_name_or_a_digest():
    images, digests = ["a/1.jpg", "b/2.jpg", "c/2.jpg"], ["d1", "d2", "d3"]
    tasks = ["a/1.jpg", "1.jpg", "1", "d2", "2", "c/2.jpg", "nothing"]
    assert rows_of(tasks, images, digests).tolist() == [0, 0, 0, 1, -1, 2, -1]


def test_labels_as_votes_as_a_consensus_and_as_probabilities(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("task,label,confidence\n1,x,0.7\n2,y,1\n3,z,0.4\n")
    targets, tasks, labels = as_targets(soft_labels(file), np.array([0, 1, 2]), 4)
    assert (labels, tasks.tolist()) == (["x", "y", "z"], ["1", "2", "3", ""])
    assert targets.round(2).tolist() == [[0.7, 0.15, 0.15], [0, 1, 0], [0.3, 0.3, 0.4], [0, 0, 0]]
    file.write_text("task,worker,label\n1,a,x\n1,b,x\n2,a,y\n")
    assert set(soft_labels(file)["task"]) == {"1", "2"}


# --- the command ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixteen pictures of two kinds, one broken file and one that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(6)
    for number in range(16):
        pixels = rng.integers(0, 60, (24, 24, 3), dtype=np.uint8)
        pixels[:, :, 0 if number % 2 else 2] += 180
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "notes.txt").write_text("no picture")
    rows = "".join(f"{n:02}.png,{'red' if n % 2 else 'blue'}\n" for n in range(16))
    (folder.parent / "labels.csv").write_text("task,label\n" + rows + "missing.png,red\n")
    return folder


def test_features_and_probabilities_of_a_folder(photos, tmp_path, capsys):
    target, probabilities = tmp_path / "f.parquet", tmp_path / "p.csv"
    words = [
        str(photos),
        "-o",
        str(target),
        "--size",
        "32",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--folds",
        "4",
    ]
    words += ["--labels", str(photos.parent / "labels.csv"), "--probabilities", str(probabilities), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pictures"], told["unreadable"], told["judged"], told["unmatched"]) == (16, 1, 16, 1)
    features = pd.read_parquet(target)
    assert features["image"].tolist() == [f"{number:02}.png" for number in range(16)]
    assert {len(row) for row in features["features"]} == {1280}
    table = pd.read_csv(probabilities, dtype={"task": str})
    wide = table.pivot(index="task", columns="label", values="probability").fillna(0)
    assert wide.sum(axis=1).to_numpy() == pytest.approx(np.ones(16), abs=1e-4)
    says = wide.idxmax(axis=1)
    assert sum(says[f"{n:02}.png"] == ("red" if n % 2 else "blue") for n in range(16)) >= 15


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", "-o", "f.parquet"], "no such folder"),
        (["{photos}", "-o", "f.csv"], "written as .parquet"),
        (["{photos}", "-o", "f.parquet", "--size", "3"], "16 to 1024"),
        (
            ["{photos}", "-o", "f.parquet", "--labels", "v.csv", "--probabilities", "./v.csv"],
            "files of their own",
        ),
        (["{photos}", "-o", "f.parquet", "--probabilities", "f.parquet"], "files of their own"),
        (["{photos}", "-o", "f.parquet", "--labels", "l.csv"], "needs --probabilities"),
        (["{photos}", "-o", "f.parquet", "--probabilities", "p.csv"], "needs --labels"),
        (["{photos}", "-o", "f.parquet", "--probabilities", "p.csv", "--labels", "l.csv"], "no such file"),
    ],
)
def test_unusable_arguments_are_one_line(photos, tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert main([word.format(photos=photos) for word in words]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert says in printed.err
    assert not list(tmp_path.iterdir())
