"""Doubted pictures get more votes: through the command, the claim service and the next passes."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_site.models import Round, Task, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.rounds import HAS_ROOM, close_round
from ingest.models import Image
from ingest.tables import BadTable
from quality.issues import run_probabilities
from quality.models import Consensus, VoteRequest
from quality.services.adjudication import adjudicate
from quality.services.consensus import aggregate_round
from quality.services.issues import Doubt, UnusableIssues, ask_about, votes_requested
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import (
    CATEGORIES,
    add_image,
    always_right,
    crowd,
    make_dataset,
    make_worker,
    truth_of,
    vote_all,
)

pytestmark = pytest.mark.django_db
PLAN = RoundPlan(votes_min=2, votes_max=5, confidence=0.9, audit_rate=0.0)


@pytest.fixture(scope="module")
def made(kept_rows):
    dataset = make_dataset(12)
    round = open_labelling_round(dataset, "classify", plan=PLAN)
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    round.refresh_from_db()
    assert round.tasks_settled == 12
    return round


@pytest.fixture
def settled(db, made):
    """A round whose twelve tasks are settled with two votes each."""
    return deepcopy(made)


@pytest.fixture
def dataset(settled):
    return settled.dataset


@pytest.fixture
def unasked(db):
    """A dataset without a round."""
    return make_dataset(12, "strays")


def task_of(round, number):
    return round.tasks.get(image__phash=number)


def kept_in_step(round):
    """The kept columns say what the rows say."""
    assert not round.tasks.annotate(room=HAS_ROOM).exclude(claimable=F("room")).exists()
    round.refresh_from_db()
    assert round.tasks_settled == round.tasks.filter(state=Task.State.SETTLED).count()
    assert round.tasks_exhausted == round.tasks.filter(state=Task.State.EXHAUSTED).count()


# --- the queue ------------------------------------------------------------------------------------------


def test_the_next_claim_gets_what_was_doubted_and_nothing_else(dataset, settled):
    late = make_worker("late")
    assert claim_batch(late, settled) is None
    asked = ask_about(dataset, [Doubt("3.jpg", "cat"), Doubt("7.jpg", "")], "list 1")
    assert (asked.tasks, asked.votes, asked.rounds) == (2, 2, [settled.pk])
    kept_in_step(settled)
    batch = claim_batch(late, settled)
    assert {task.image.phash for task in batch.tasks} == {3, 7}
    # One more vote each: nobody else is asked.
    assert claim_batch(make_worker("later"), settled) is None


def test_no_pass_settles_a_doubted_task_before_its_votes_came(dataset, settled):
    votes = Vote.objects.count()
    ask_about(dataset, [Doubt("3.jpg", "cat")], "list 1", votes=2)
    for _ in range(2):
        aggregate_round(settled)
        task = task_of(settled, 3)
        assert (task.state, task.wanted, task.claimable) == (Task.State.OPEN, 4, True)
    vote_all(settled, make_worker("third"), always_right)
    aggregate_round(settled)
    assert task_of(settled, 3).state == Task.State.OPEN
    vote_all(settled, make_worker("fourth"), always_right)
    aggregate_round(settled)
    task = task_of(settled, 3)
    assert (task.state, task.votes, task.consensus.votes) == (Task.State.SETTLED, 4, 4)
    assert Vote.objects.counted().count() == votes + 2
    kept_in_step(settled)


def test_two_voices_against_change_the_label(dataset, settled):
    wrong = Consensus.objects.get(task=task_of(settled, 3))
    assert wrong.label == "cat"
    ask_about(dataset, [Doubt("3.jpg", "cat")], "list 1", votes=3)
    for number in range(3):
        vote_all(settled, make_worker(f"other{number}"), lambda image, _: "eel")
    aggregate_round(settled)
    assert Consensus.objects.get(task=task_of(settled, 3)).label == "eel"


def test_the_same_list_asks_once_and_another_list_again(dataset, settled):
    doubts = [Doubt("3.jpg", "cat"), Doubt("4.jpg", "")]
    assert ask_about(dataset, doubts, "list 1").votes == 2
    again = ask_about(dataset, doubts, "list 1")
    assert (again.tasks, again.left_out) == (0, {"already_waiting": 2})
    vote_all(settled, make_worker("third"), always_right)
    aggregate_round(settled)
    assert ask_about(dataset, doubts, "list 1").tasks == 0
    assert ask_about(dataset, doubts, "list 2").tasks == 2
    assert list(VoteRequest.objects.order_by("pk").values_list("votes", flat=True)) == [3, 3, 4, 4]


def test_a_killed_request_is_finished_by_the_next(dataset, settled, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    doubts = [Doubt(f"{number}.jpg", "") for number in range(4)]
    ask_about(dataset, doubts[:2], "list 1")
    with monkeypatch.context() as patch:
        patch.setattr("quality.services.issues.site_rounds.reopen_tasks", killed)
        with pytest.raises(KeyboardInterrupt):
            ask_about(dataset, doubts, "list 1")
    assert VoteRequest.objects.count() == 2
    asked = ask_about(dataset, doubts, "list 1")
    assert (asked.tasks, asked.left_out) == (2, {"already_waiting": 2})
    assert settled.tasks.filter(claimable=True).count() == 4


# --- what is left aside ---------------------------------------------------------------------------------


def test_known_answers_and_experts_decisions_are_never_reopened(dataset, settled):
    add_gold(dataset, [("0.jpg", "cat")])
    adjudicate(task_of(settled, 1), "dog", "eve")
    asked = ask_about(dataset, [Doubt("0.jpg", ""), Doubt("1.jpg", ""), Doubt("2.jpg", "")], "list")
    assert (asked.tasks, asked.left_out) == (1, {"gold": 1, "decided_by_expert": 1})
    assert list(settled.tasks.filter(state=Task.State.OPEN).values_list("image__phash", flat=True)) == [2]


def test_gold_that_is_given_out_is_left_alone(unasked):
    dataset = unasked
    add_gold(dataset, [("0.jpg", "cat"), ("1.jpg", "dog")])
    round = open_labelling_round(
        dataset, "classify", plan=RoundPlan(votes_min=2, votes_max=5, gold_rate=0.3, audit_rate=0)
    )
    crowd(round, [always_right] * 2)
    aggregate_round(round)
    assert ask_about(dataset, [Doubt("0.jpg", ""), Doubt("2.jpg", "")], "list").left_out == {"gold": 1}
    assert task_of(round, 0).wanted == 2


def test_other_reasons_are_counted(dataset, settled):
    full = RoundPlan(votes_min=2, votes_max=2, confidence=0.9, audit_rate=0.0)
    newer = open_labelling_round(dataset, "classify", images=["0.jpg", "1.jpg", "2.jpg"], plan=full)
    crowd(newer, [always_right] * 2)
    aggregate_round(newer)
    newer.tasks.filter(image__phash=1).update(state=Task.State.WITHDRAWN)
    Consensus.objects.filter(task=task_of(newer, 2)).delete()
    doubts = [Doubt(f"{number}.jpg", "eel") for number in range(4)]
    asked = ask_about(dataset, doubts, "list")
    assert asked.left_out == {"at_the_most": 1, "withdrawn": 1, "no_consensus": 1, "label_changed": 1}
    assert asked.tasks == 0
    assert not VoteRequest.objects.exists()


def test_copies_stand_for_their_group_and_are_asked_about_once(dataset, settled):
    first = Image.objects.get(dataset=dataset, phash=5)
    copy = add_image(dataset, 50, group=first.group)
    asked = ask_about(dataset, [Doubt(copy.sha256, ""), Doubt("5.jpg", "")], "list")
    assert asked.tasks == 1
    number = str(task_of(settled, 6).pk)
    assert ask_about(dataset, [Doubt(number, "")], "by task number").tasks == 1


def test_a_verify_round_is_asked_about_the_doubted_label_only(unasked):
    dataset = unasked
    copy = add_image(dataset, 101, group=Image.objects.get(dataset=dataset, phash=0).group)
    assert truth_of(copy) == "eel"
    round = open_labelling_round(dataset, "verify", plan=PLAN)
    crowd(round, [lambda image, proposed: "yes"] * 2)
    aggregate_round(round)
    asked = ask_about(dataset, [Doubt("0.jpg", "eel")], "list")
    assert asked.tasks == 1
    opened = round.tasks.filter(state=Task.State.OPEN)
    assert list(opened.values_list("category__key", flat=True)) == ["eel"]


def test_repeats_and_closed_rounds_are_not_asked(dataset, settled, run, tmp_path):
    close_round(settled)
    file = tmp_path / "issues.csv"
    file.write_text("task,label\n3.jpg,cat\n")
    code, out, err = run("request_votes", "pets", "--issues", file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "open_round pets --question classify --images" in err
    assert not settled.tasks.filter(state=Task.State.OPEN).exists()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=5))
@settings(max_examples=6, deadline=None)
def test_whatever_is_asked_no_task_wants_more_than_its_rounds_most(asks):
    with transaction.atomic():
        dataset = make_dataset(6, f"d{Round.objects.count()}")
        round = open_labelling_round(dataset, "classify", plan=PLAN)
        crowd(round, [always_right] * 2)
        aggregate_round(round)
        for number, (image, votes) in enumerate(asks):
            ask_about(dataset, [Doubt(f"{image}.jpg", "")], f"list {number}", votes)
        assert all(task.wanted <= 5 for task in round.tasks.all())
        for number in range(5):
            vote_all(round, make_worker(f"more{round.pk}-{number}"), always_right)
        aggregate_round(round)
        assert not round.tasks.filter(state=Task.State.OPEN).exists()
        kept_in_step(round)
        transaction.set_rollback(True)


def test_a_request_beyond_the_rounds_most_is_no_more_than_the_most(dataset, settled):
    ask_about(dataset, [Doubt("3.jpg", "")], "list", votes=50)
    ids = np.array(sorted(settled.tasks.values_list("pk", flat=True)))
    assert votes_requested(settled, ids).max() == 5
    with pytest.raises(UnusableIssues, match="1 to 100"):
        ask_about(dataset, [Doubt("3.jpg", "")], "list", votes=0)


# --- the command ----------------------------------------------------------------------------------------


def test_a_file_of_issues_by_rank(run, dataset, settled, tmp_path):
    file = tmp_path / "issues.csv"
    file.write_text(
        "task,label,suggested,flagged,rank\n3.jpg,cat,dog,true,2\n4.jpg,dog,cat,true,1\n5.jpg,eel,cat,false,3\n"
    )
    code, out, _ = run("request_votes", "pets", "--issues", file, "--most", 1, "--json")
    assert (code, json.loads(out)) == (
        0, {"tasks": 1, "votes": 1, "rounds": [settled.pk], "left_out": {}, "unknown": 0},
    )  # fmt: skip
    assert task_of(settled, 4).state == Task.State.OPEN
    code, out, _ = run("request_votes", "pets", "--issues", file)
    assert code == 0
    assert out == (
        f"1 more vote asked for on 1 task of round {settled.pk}; "
        "left aside: 1 asked for before by this very list\n"
    )


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (None, [], "no such file"),
        ("", [], "empty"),
        ("a,b\n1,2\n", [], "no column task"),
        ("task,flagged\n3.jpg,false\n", [], "flagged"),
        ("task\n3.jpg\nnowhere.jpg\n", [], "1 picture is unknown"),
        ("task,rank\n3.jpg,first\n", [], "not a number"),
        ("task,label\n,cat\n", [], "row 2 names no task"),
        ("task\n3.jpg\n", ["--votes", "0"], "1 to 100"),
        ("task\n3.jpg\n", ["--most", "0"], "--most"),
        ("task\n3.jpg\n", ["--arm", "x"], "--from-run"),
    ],
)
def test_unusable_files_are_one_line_and_ask_nothing(run, settled, tmp_path, content, more, words):
    file = tmp_path / "issues.csv"
    if content is not None:
        file.write_text(content)
    code, out, err = run("request_votes", "pets", "--issues", file, *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert not VoteRequest.objects.exists()


def test_unknown_pictures_can_be_left_out(run, settled, tmp_path):
    file = tmp_path / "issues.csv"
    file.write_text("image\n3.jpg\nnowhere.jpg\n")
    code, out, _ = run("request_votes", "pets", "--issues", file, "--skip-unknown", "--json")
    assert (code, json.loads(out)["unknown"], json.loads(out)["tasks"]) == (0, 1, 1)


# --- a run's predictions --------------------------------------------------------------------------------


def predictions(dataset, folder, **columns):
    """Sure and right about every picture, but for picture 3 (a cat), which it takes for a dog."""
    rows = []
    for image in dataset.images.order_by("phash"):
        said = "dog" if image.phash == 3 else truth_of(image)
        chance = [0.95 if key == said else 0.025 for key in sorted(CATEGORIES)]
        rows.append(("consensus", 0, image.sha256, truth_of(image), said, np.array(chance, np.float32)))
    names = ["arm", "seed", "image", "label", "predicted", "probabilities"]
    frame = pd.DataFrame(rows, columns=names).assign(**columns)
    folder.mkdir()
    frame.to_parquet(folder / "predictions.parquet")
    return folder


def test_a_run_with_out_of_fold_predictions(run, dataset, settled, tmp_path):
    folder = predictions(dataset, tmp_path / "run", fold=1)
    code, out, _ = run("request_votes", "pets", "--from-run", folder, "--json")
    assert (code, json.loads(out)["tasks"]) == (0, 1)
    assert task_of(settled, 3).state == Task.State.OPEN
    assert VoteRequest.objects.get().origin.startswith("run/predictions.parquet ")


def test_a_run_without_them_says_so(run, dataset, settled, tmp_path):
    folder = predictions(dataset, tmp_path / "run")
    code, out, err = run("request_votes", "pets", "--from-run", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "only the test split" in err
    code, _, err = run("request_votes", "pets", "--from-run", tmp_path / "nothing")
    assert (code, "no such file" in err, err.count("\n")) == (2, True, 1)
    (tmp_path / "run" / "predictions.parquet").write_bytes(b"rubbish")
    code, _, err = run("request_votes", "pets", "--from-run", folder)
    assert (code, "not a readable table" in err, err.count("\n")) == (2, True, 1)


def test_a_runs_arms(dataset, tmp_path):
    folder = predictions(dataset, tmp_path / "run", fold=0, arm=["a"] * 6 + ["b"] * 6)
    file = folder / "predictions.parquet"
    with pytest.raises(BadTable, match="--arm names one of a, b"):
        run_probabilities(file, None, CATEGORIES)
    table = run_probabilities(file, "b", CATEGORIES)
    assert table["task"].nunique() == 6
    assert table.groupby("task")["probability"].sum().round(5).eq(1).all()
