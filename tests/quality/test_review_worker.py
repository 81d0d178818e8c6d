"""`review_worker` and the options of `add_gold` that look after gold, as a shell sees them."""

import json
from copy import deepcopy

import pytest

from annotation_site.models import Task, Vote
from quality.models import Gold, WorkerAction
from quality.services.consensus import aggregate_round
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, right_with

pytestmark = pytest.mark.django_db


def open_round(name):
    dataset = make_dataset(60, name)
    add_gold(dataset, [(f"{n}.jpg", ("cat", "dog", "eel")[n % 3]) for n in range(6)])
    plan = RoundPlan(votes_min=4, votes_max=6, audit_rate=0.0, gold_rate=0.2)
    return open_labelling_round(dataset, "classify", plan=plan)


@pytest.fixture(scope="module")
def made(kept_rows):
    """A round, and the flagged one of its four workers; the others are always right."""
    round = open_round("pets")
    workers = crowd(round, [always_right, always_right, always_right, lambda *_: "cat"])
    aggregate_round(round)
    return round, workers[3]


@pytest.fixture
def round(db, made):
    return deepcopy(made[0])


@pytest.fixture
def bad(db, made):
    return deepcopy(made[1])


def test_flagged_workers_with_what_is_proposed(run, bad):
    code, out, _ = run("review_worker", "pets", "--json")
    (told,) = json.loads(out)["proposals"]
    assert (code, told["worker"], told["proposed"]) == (0, bad.code, "suspend")
    assert "constant: gave one and the same answer" in told["reasons"][0]
    code, out, _ = run("review_worker", "pets")
    assert out.startswith(f"{bad.code}: give the worker no more work (constant: ")


def test_nobody_flagged(run):
    open_round("zebras")
    assert run("review_worker", "zebras") == (0, "no worker is flagged\n", "")
    assert json.loads(run("review_worker", "zebras", "--json")[1]) == {"proposals": []}


def test_one_worker_by_code_or_user_name(run, bad, round):
    code, out, _ = run("review_worker", "pets", bad.code, "--json")
    told = json.loads(out)
    assert (code, told["worker"], told["suspended"], told["done"]) == (0, bad.code, False, [])
    assert told["rounds"][0]["round"] == round.pk
    assert told["rounds"][0]["flags"] == ["constant"]
    assert json.loads(run("review_worker", "pets", bad.user.username, "--json")[1]) == told
    assert "right in " in run("review_worker", "pets", bad.code)[1]


def test_suspend_restore_and_notes_are_kept_with_reason_and_person(run, bad):
    for option in ("suspend", "restore", "warn", "retrain"):
        code, out, _ = run("review_worker", "pets", bad.code, f"--{option}", f"why {option}", "--by", "carl")
        assert code == 0
        assert f"(why {option})" in out
        bad.refresh_from_db()
        assert bad.suspended == (option == "suspend")
    kept = list(WorkerAction.objects.values_list("action", "reason", "by"))
    assert [row[0] for row in kept] == ["suspend", "restore", "warn", "retrain"]
    assert {row[2] for row in kept} == {"carl"}


def test_void_and_no_second_time(run, bad, round):
    given = Vote.objects.filter(worker=bad).count()
    code, out, _ = run("review_worker", "pets", bad.code, "--round", round.pk, "--void", "constant", "--json")
    assert code == 0
    assert json.loads(out)["done"] == [{"action": "void", "round": round.pk, "votes": given, "gold": 0}]
    assert not Vote.objects.filter(worker=bad, voided=False).exists()
    assert Task.objects.filter(round=round, gold=False).exclude(votes=3).count() == 0
    code, out, err = run("review_worker", "pets", bad.code, "--void", "again")
    assert (code, out) == (2, "")
    assert "no counted vote" in err


REFUSED = [
    (["plants"], "plants"),
    (["pets", "nobody"], "nobody called 'nobody'"),
    (["pets", "--suspend", "why"], "--suspend needs a worker"),
    (["pets", "BAD", "--suspend", " "], "say why"),
    (["pets", "BAD", "--warn", ""], "say why"),
    (["pets", "BAD", "--void", ""], "say why"),
    (["pets", "BAD", "--round", "999", "--void", "why"], "no counted vote"),
    (["pets", "BAD", "--round", "x", "--void", "why"], "invalid int"),
    (["pets", "BAD", "--void", "a", "--suspend", "b"], "not allowed with"),
]


def test_bad_arguments_change_nothing(run, bad):
    for words, said in REFUSED:
        code, out, err = run("review_worker", *[bad.code if word == "BAD" else word for word in words])
        assert (code, out) == (2, ""), words
        assert said in err
        assert err.strip().count("\n") == 0
    assert not WorkerAction.objects.exists()
    assert not Vote.objects.filter(voided=True).exists()


def test_gold_from_settled_images_checked_and_retired(run, bad, round, tmp_path):
    code, out, _ = run("add_gold", "pets", "--from-settled", 6, "--json")
    told = json.loads(out)
    assert (code, told["added"], sum(told["difficulty"].values())) == (0, 6, 6)
    assert "6 settled images are gold now" in run("add_gold", "pets", "--from-settled", 6, "--seed", 2)[1]
    code, out, _ = run("add_gold", "pets", "--check", "--json")
    told = json.loads(out)
    assert (code, told["expert"], told["settled"], told["retired"]) == (0, 6, 12, 0)
    assert told["leaks"] == []
    assert "nothing seems to have leaked" in run("add_gold", "pets", "--check")[1]
    leaked = tmp_path / "leaked.csv"
    leaked.write_text("image\n0.jpg\n1.jpg\n")
    code, out, _ = run("add_gold", "pets", "--retire", leaked, "--json")
    assert (code, json.loads(out)) == (0, {"retired": 2, "tasks": 2})
    assert run("add_gold", "pets", "--retire", "2.jpg")[1].startswith("1 gold image retired; 1 task is")
    assert Gold.objects.exclude(retired=None).count() == 3


GOLD_REFUSED = [
    (["--from-settled", "0"], "1 or more, not 0"),
    (["--from-settled", "-3"], "1 or more, not -3"),
    (["--from-settled", "3"], "no settled image"),
    (["--from-settled", "three"], "invalid int"),
    (["--retire", "missing.csv"], "unknown"),
    (["--retire", "40.jpg"], "no gold"),
    (["missing.csv"], "no such file"),
    ([], "required"),
    (["--check", "--retire", "0.jpg"], "not allowed with"),
]


def test_gold_refuses_bad_arguments(run):
    round = open_round("zebras")  # of which nothing is settled
    for words, said in GOLD_REFUSED:
        code, out, err = run("add_gold", "zebras", *words)
        assert (code, out) == (2, ""), words
        assert said in err
    assert Gold.objects.filter(dataset=round.dataset, retired=None).count() == 6


def test_a_worker_of_another_dataset_is_nobody_here(run, round):
    make_worker("elsewhere")
    assert run("review_worker", "pets", "elsewhere")[0] == 2


def test_more_than_one_flag_never_hides_a_worker(run):
    round = open_round("zebras")
    workers = crowd(round, [right_with(0.9, n) for n in range(3)] + [lambda *_: "cat"] * 2)
    aggregate_round(round)
    told = json.loads(run("review_worker", "zebras", "--json")[1])["proposals"]
    assert {row["worker"] for row in told} <= {worker.code for worker in workers}
    assert [row["worker"] for row in told] == sorted(row["worker"] for row in told)


def test_the_help_says_what_is_proposed(run):
    text = " ".join(run("review_worker", "--help")[1].split())
    assert "too fast: warn, then retrain, then suspend" in text
    assert "example:" in text
