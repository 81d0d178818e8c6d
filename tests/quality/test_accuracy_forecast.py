"""What a round in accuracy mode still takes, foretold and then played out."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.people import People
from quality.accuracy_forecast import MOST_PLAYED, Standing, forecast_accuracy, rival_of
from quality.accuracy_target import reach
from quality.aggregation import aggregate
from quality.forecast import Forecast, Limits, room_of
from quality.gain import outlook, stated
from quality.stopping import ASK_AGAIN
from tests.quality.tables import votes_of

LABELS = 6


def look(people, order, given, target, least=2, most=8):
    """The standing of all tasks after the first `given` votes of each, and what it rests on."""
    result = aggregate(votes_of(people, order, given), labels=[str(label) for label in range(LABELS)])
    label = result.posterior.best()[0]
    n = len(given)
    ahead = outlook(result.votes, label, np.full(n, target))
    standing = Standing(
        ahead.lead, rival_of(ahead.risk, ahead.lead), room_of(ahead.risk),
        result.consensus["confidence"].to_numpy(float), label, given, np.full(n, least), np.full(n, most),
        np.full(n, target), np.zeros(n, bool),
    )  # fmt: skip
    return standing, ahead


def foretell(standing, ahead, open_tasks=None, **more) -> Forecast:
    n = len(standing.given) if open_tasks is None else open_tasks
    return forecast_accuracy(standing, ahead.risk.weight, LABELS, open_tasks=n, **more)


def crowd(seed, tasks, spammers=0.0, skill=0.9):
    people = People.simulate(seed, tasks, 24, LABELS, spammers=spammers, skill=skill)
    return people, np.argsort(np.random.default_rng(seed).random(people.answers.shape), axis=0)


def play_out(seed, tasks=100, least=2, most=8):
    """A round by the rule: of each pass, whether its interval held the votes that the round took in all."""
    people, order = crowd(seed, tasks, 0.2 * (seed % 2), 0.86 + 0.03 * (seed % 4))
    target = 0.86 + 0.02 * (seed % 3)
    given, ask, told = np.zeros(tasks, np.int64), np.full(tasks, least), []
    while ask.any():
        given = given + ask
        standing, ahead = look(people, order, given, target, least, most)
        sure = stated(standing.said, ahead)
        state, step = reach(standing.category, sure, given, target, least, most, gain=ahead.gain)
        is_open = state == ASK_AGAIN
        found = foretell(standing, ahead, int(is_open.sum()))
        told.append((given.sum() + found.lo, given.sum() + found.hi, found.open_tasks))
        ask = np.where(is_open, step, 0)
    return [lo <= given.sum() <= hi for lo, hi, tasks_open in told if tasks_open]


def test_the_interval_holds_what_a_round_takes():
    held = [rounds for rounds in map(play_out, range(9)) if rounds]
    assert len(held) >= 8
    assert np.mean([rounds[0] for rounds in held]) >= 0.75
    assert np.mean([one for rounds in held for one in rounds]) >= 0.85


@pytest.fixture(scope="module")
def scene():
    people, order = crowd(3, 240)
    return look(people, order, np.full(240, 2), 0.9)


def test_the_same_round_is_foretold_alike_and_the_interval_holds_the_mean(scene):
    one, two = (foretell(*scene) for _ in range(2))
    assert one == two
    assert one.open_tasks == 240
    assert 0 < one.lo < one.votes < one.hi <= 240 * 6
    priced = one.priced(0.02)
    assert priced["cost"] == pytest.approx(priced["votes"] * 0.02, abs=0.01)


def test_a_higher_target_and_more_pictures_take_more_votes(scene):
    standing, ahead = scene
    targets = [foretell(replace(standing, target=np.full(240, t)), ahead).votes for t in (0.86, 0.9, 0.94)]
    assert targets == sorted(targets)
    assert targets[2] > 1.5 * targets[0]
    half = foretell(standing, ahead)
    whole = foretell(standing, ahead, fresh=240)
    assert whole.votes == pytest.approx(480 + 2 * half.votes, rel=0.15)
    assert whole.hi - whole.lo > 2.2 * (half.hi - half.lo)  # of a crowd half known, more is unknown


def test_a_category_that_is_there_takes_next_to_nothing_and_the_others_what_they_took(scene):
    standing, ahead = scene
    usual = foretell(standing, ahead).votes
    sure = standing.category < 3
    easy = replace(standing, target=np.where(sure, 0.4, 0.9))
    assert 0 < foretell(easy, ahead).votes < 0.8 * usual
    assert foretell(replace(standing, target=np.full(240, 0.4)), ahead).votes < 1


def test_what_is_closed_counts_and_gets_no_votes(scene):
    standing, ahead = scene
    all_but_one = replace(standing, closed=np.arange(240) > 0, target=np.full(240, 0.999))
    assert foretell(all_but_one, ahead).hi <= 6
    known = replace(
        standing, closed=np.arange(240) < 120, said=np.where(np.arange(240) < 120, 2.0, standing.said)
    )
    known = replace(known, said=np.where(known.closed, 2.0 - known.lead.first, known.said))  # certain
    assert foretell(known, ahead).votes < 0.5 * foretell(standing, ahead).votes


def test_nobody_left_to_ask_takes_nothing_and_a_price_takes_less(scene):
    standing, ahead = scene
    spent = foretell(replace(standing, most=standing.given), ahead)
    assert (spent.votes, spent.hi) == (0.0, 0.0)
    assert foretell(standing, ahead, least_gain=0.05).votes < foretell(standing, ahead).votes
    assert foretell(standing, ahead, open_tasks=0) == Forecast(0.0, 0.0, 0.0, 0)


def test_where_hardly_anybody_has_voted_something_is_foretold_all_the_same(scene):
    standing, ahead = scene
    few = foretell(standing.part(np.arange(3)), ahead, 103, fresh=100, usual=Limits(2, 8, 0.9))
    assert 200 <= few.lo <= few.votes <= few.hi <= 100 * 8 + 3 * 6
    none = forecast_accuracy(standing.part(np.arange(0)), np.zeros(0), LABELS, fresh=100, open_tasks=100)
    assert 200 <= none.votes <= 900
    short = forecast_accuracy(
        standing.part(np.arange(0)), np.zeros(0), LABELS, fresh=100, open_tasks=100, usual=Limits(2, 3, 0.9)
    )
    assert 200 <= short.votes <= 300


@pytest.mark.parametrize("categories", [6, 900])
def test_a_part_of_a_large_round_stands_for_all_of_it(scene, categories):
    standing, ahead = scene
    rows = np.arange(40 * 240) % 240
    many = standing.part(rows)
    if categories > LABELS:  # each label many times over, each time a category of its own
        many = replace(many, category=many.category * 150 + np.arange(len(rows)) // 240 % 150)
    assert len(rows) > 5 * MOST_PLAYED
    found, usual = foretell(many, ahead), foretell(standing, ahead)
    assert found.votes / 40 == pytest.approx(usual.votes, rel=0.35)
    assert found.lo < found.votes < found.hi


def test_without_a_maximum_the_work_is_bounded_and_the_forecast_says_that_it_takes_long(scene):
    standing, ahead = scene
    endless = replace(standing, most=np.full(240, 1000), target=np.full(240, 0.999))
    assert foretell(endless, ahead).votes > 240 * 60


def test_the_rival_is_the_likeliest_other_label(scene):
    standing, ahead = scene
    posterior = ahead.risk.posterior
    cells = ahead.risk.layout.votes.cells
    for task in range(0, 240, 7):
        here = np.sort(posterior.prob[cells.task == task])[::-1]
        leads = np.isclose(standing.lead.first[task], here[0])
        other = (here[1] if len(here) > 1 else 0.0) if leads else here[0]
        assert standing.rival[task] == pytest.approx(other)
