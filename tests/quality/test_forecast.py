"""What a round still takes, foretold and then played out."""

import numpy as np
import pytest

from benchmarks.people import People
from quality.aggregation import aggregate
from quality.forecast import Margin, forecast, room_of
from quality.gain import outlook
from quality.stopping import ASK_AGAIN, decide
from tests.quality.tables import votes_of

LABELS = 8


def look(people, order, given, wanted):
    """The outlook on the first `given` votes of each task, in the order in which its workers come."""
    frame = votes_of(people, order, given)
    result = aggregate(frame, "majority", labels=[str(label) for label in range(LABELS)])
    return outlook(result.votes, result.posterior.best()[0], wanted)


def foretell(ahead, given, least, most, wanted, is_open, **more):
    n = len(given)
    return forecast(
        ahead.lead, given, np.full(n, least), np.full(n, most), np.full(n, wanted), ahead.risk.weight, LABELS,
        room_of(ahead.risk), is_open=is_open, **more,
    )  # fmt: skip


def play_out(seed, tasks=120, least=2, most=8, wanted=0.95):
    """A round by the stopping rule: what each pass foretold of the votes in all, and what it took."""
    people = People.simulate(
        seed, tasks, 24, LABELS, spammers=0.2 * (seed % 2), skill=0.86 + 0.03 * (seed % 4)
    )
    order = np.argsort(np.random.default_rng(seed).random(people.answers.shape), axis=0)
    given, ask, told = np.zeros(tasks, np.int64), np.full(tasks, least), []
    while ask.any():
        given = given + ask
        ahead = look(people, order, given, wanted)
        state, step = decide(ahead.confidence, given, least, most, wanted, ahead.needed)
        is_open = state == ASK_AGAIN
        found = foretell(ahead, given, least, most, wanted, is_open)
        told.append((given.sum() + found.lo, given.sum() + found.hi, found.open_tasks))
        ask = np.where(is_open, step, 0)
    return [lo <= given.sum() <= hi for lo, hi, tasks_open in told if tasks_open]


def test_the_interval_holds_what_a_round_takes():
    held = [play_out(seed) for seed in range(15)]
    assert np.mean([rounds[0] for rounds in held]) >= 0.8
    assert np.mean([one for rounds in held for one in rounds]) >= 0.7


@pytest.fixture(scope="module")
def scene():
    people = People.simulate(3, 200, 30, LABELS)
    order = np.argsort(np.random.default_rng(3).random(people.answers.shape), axis=0)
    given = np.full(200, 2)
    ahead = look(people, order, given, 0.95)
    state, _ = decide(ahead.confidence, given, 2, 9, 0.95)
    return ahead, given, state == ASK_AGAIN


def test_the_same_round_is_foretold_alike_and_the_interval_holds_the_mean(scene):
    ahead, given, is_open = scene
    one, two = (foretell(ahead, given, 2, 9, 0.95, is_open) for _ in range(2))
    assert one == two
    assert one.open_tasks == is_open.sum()
    assert 0 < one.lo < one.votes < one.hi


def test_more_certainty_and_more_pictures_take_more_votes(scene):
    ahead, given, is_open = scene
    usual = foretell(ahead, given, 2, 9, 0.95, is_open)
    assert foretell(ahead, given, 2, 9, 0.999, np.full(200, True)).votes > usual.votes
    assert foretell(ahead, given, 2, 9, 0.95, is_open, fresh=300).votes > usual.votes + 600
    assert foretell(ahead, given, 2, 3, 0.95, is_open).votes <= is_open.sum() * np.exp(0.12 + 0.3**2 / 2) + 5


def test_pictures_without_votes_go_as_the_others_did(scene):
    """200 of 400 tasks are voted on: the rest takes their 400 votes again, and what they still take."""
    ahead, given, is_open = scene
    half = foretell(ahead, given, 2, 9, 0.95, is_open)
    whole = foretell(ahead, given, 2, 9, 0.95, is_open, fresh=200)
    assert whole.votes == pytest.approx(400 + 2 * half.votes, rel=0.1)


def test_where_nobody_has_voted_something_is_foretold_all_the_same():
    people = People.simulate(3, 1, 3, LABELS)
    order = np.argsort(np.random.default_rng(3).random(people.answers.shape), axis=0)
    given = np.array([1])
    found = foretell(look(people, order, given, 0.9), given, 2, 9, 0.9, np.array([True]), fresh=100)
    assert 200 <= found.votes <= 900
    assert found.open_tasks == 101


def test_nothing_open_takes_nothing(scene):
    ahead, given, _ = scene
    done = foretell(ahead, given, 2, 9, 0.95, np.zeros(200, bool))
    assert (done.votes, done.lo, done.hi, done.open_tasks) == (0.0, 0.0, 0.0, 0)


def test_by_votes_ahead_a_wider_margin_takes_more(scene):
    ahead, given, is_open = scene
    by = [
        foretell(ahead, given, 2, 20, 0.95, is_open, margin=Margin(np.full(200, k), np.zeros(200, np.int64)))
        for k in (1, 3)
    ]
    assert is_open.sum() <= by[0].votes < by[1].votes
    reached = Margin(np.full(200, 2), np.full(200, 2))
    assert foretell(ahead, given, 2, 20, 0.95, is_open, margin=reached).votes < 5


def test_prices_are_told_beside_votes(scene):
    ahead, given, is_open = scene
    priced = foretell(ahead, given, 2, 9, 0.95, is_open).priced(0.02)
    assert priced["cost"] == pytest.approx(priced["votes"] * 0.02, abs=0.01)
    assert priced["cost_lo"] <= priced["cost"] <= priced["cost_hi"]
