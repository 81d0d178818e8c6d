"""`open_round` and `aggregate` with wishes: what is kept and said, and one clear line where it is refused."""

import json

import pytest

from annotation_site.models import Round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, right_with, vote_all

pytestmark = pytest.mark.django_db
CLASSIFY = ("open_round", "pets", "--question", "classify")


@pytest.fixture
def dataset():
    return make_dataset(24)


def test_wishes_are_kept_with_the_round(run, dataset, tmp_path):
    code, _, err = run(*CLASSIFY, "--category-confidence", "cat=0.99,dog=0.9", "--least-gain", "0.01")
    assert (code, err) == (0, "")
    assert Round.objects.get().stopping == {
        "category_confidence": {"cat": 0.99, "dog": 0.9},
        "least_gain": 0.01,
    }
    table = tmp_path / "wishes.csv"
    table.write_text("category,confidence\neel,0.97\n")
    assert run(*CLASSIFY, "--category-confidence", table, "--price", "0.02")[0] == 0
    newest = Round.objects.first()
    assert newest.stopping == {"category_confidence": {"eel": 0.97}}
    assert newest.price == pytest.approx(newest.price.__class__("0.02"))
    assert run(*CLASSIFY, "--expected-accuracy", "0.98")[0] == 0
    assert Round.objects.first().stopping == {"expected_accuracy": 0.98}


def test_the_preset_brings_its_numbers_of_votes(run, dataset):
    assert run("open_round", "pets", "--question", "verify", "--preset", "imagenet")[0] == 0
    made = Round.objects.get()
    assert (made.votes_min, made.votes_max) == (2, 10)
    assert made.stopping == {"preset": "imagenet", "sample_below": 24}
    assert run(*CLASSIFY, "--preset", "imagenet", "--votes-max", "12", "--votes-min", "3")[0] == 0
    assert (Round.objects.first().votes_min, Round.objects.first().votes_max) == (3, 12)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--category-confidence", "cat"), "cat: a table's name ends in"),
        (("--category-confidence", "cat=much"), "ID=P"),
        (("--category-confidence", "cat=1.5"), "cat"),
        (("--category-confidence", "cow=0.9"), "cow"),
        (("--expected-accuracy", "2"), "expected accuracy"),
        (("--expected-accuracy", "much"), "--expected-accuracy"),
        (("--least-gain", "-1"), "least gain"),
        (("--preset", "caltech"), "caltech"),
        (("--preset", "imagenet", "--votes-max", "5"), "got 5"),
        (("--price", "much"), "--price"),
        (("--price", "nan"), "price"),
        (("--price", "-1"), "price"),
    ],
)
def test_bad_wishes_are_one_line(run, dataset, words, says):
    code, out, err = run(*CLASSIFY, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not Round.objects.exists()


def test_a_repeat_has_no_wishes(run, dataset):
    run(*CLASSIFY)
    vote_all(Round.objects.get(), make_worker("one"), always_right, 5)
    code, _, err = run("open_round", "pets", "--repeat", Round.objects.get().pk, "--expected-accuracy", "0.9")
    assert (code, err.count("\n")) == (2, 1)
    assert "measures people" in err


def test_a_pass_foretells_votes_and_cost_in_words_and_json(run, dataset):
    run(*CLASSIFY, "--votes-min", "2", "--price", "0.1", "--audit", "0")
    round = Round.objects.get()
    vote_all(round, make_worker("one"), right_with(0.7, 1))
    code, out, err = run("aggregate", "pets", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)["forecast"]
    assert set(told) == {"votes", "lo", "hi", "cost", "cost_lo", "cost_hi", "tasks", "given"}
    assert told["cost"] == pytest.approx(told["votes"] * 0.1)
    code, out, _ = run("aggregate", "pets")
    assert f"about {told['votes']} more votes to finish ({told['lo']} to {told['hi']}, $" in out


def test_a_pass_says_that_the_sample_comes_first(run, dataset):
    run("open_round", "pets", "--question", "verify", "--preset", "imagenet")
    vote_all(Round.objects.get(), make_worker("one"), always_right)
    code, out, _ = run("aggregate", "pets", "--json")
    assert (code, json.loads(out)["waiting_for_sample"], json.loads(out)["forecast"]) == (0, True, None)
    assert "first sample has not all its votes yet" in run("aggregate", "pets")[1]


def test_a_budget_and_prices(run, dataset):
    run(*CLASSIFY, "--votes-min", "2", "--confidence", "0.9999", "--price", "0.02", "--audit", "0")
    round = Round.objects.get()
    crowd(round, [always_right, right_with(0.6, 1)])
    assert json.loads(run("aggregate", "pets", "--json", "--budget", "3")[1])["asked_again"] > 3
    assert sum(t.wanted - t.votes for t in round.tasks.filter(claimable=True)) == 3
    assert run("aggregate", "pets", "--error-price", "0.4")[0] == 0
    round.refresh_from_db()
    assert round.stopping == {"least_gain": pytest.approx(0.05)}
    assert run("aggregate", "pets", "--least-gain", "0")[0] == 0
    round.refresh_from_db()
    assert round.stopping == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget", "-1"), "--budget"),
        (("--budget", "many"), "--budget"),
        (("--least-gain", "2"), "2"),
        (("--least-gain", "nan"), "nan"),
        (("--error-price", "0"), "--error-price"),
        (("--error-price", "nan"), "--error-price"),
        (("--error-price", "1"), "has no price"),
        (("--error-price", "1", "--least-gain", "0.1"), "not allowed with"),
    ],
)
def test_bad_budgets_and_prices_are_one_line(run, dataset, words, says):
    run(*CLASSIFY)
    code, out, err = run("aggregate", "pets", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
