"""A campaign through the site's services: fewer votes than a fixed number, and `replay`'s very decisions."""

import pandas as pd
import pytest

from annotation_site.models import Task
from annotation_site.services.tables import votes_table
from benchmarks.campaign import make_dataset, make_workers, run
from benchmarks.people import People
from quality.models import Consensus
from quality.replay import Rule, replay
from quality.services.rounds import RoundPlan

pytestmark = [pytest.mark.django_db, pytest.mark.simulation]
PLAN = RoundPlan(votes_min=2, votes_max=9, confidence=0.95, audit_rate=0.0, batch_size=40)


@pytest.fixture
def scene():
    people = People.simulate(7, 140, 24, n_labels=6, spammers=0.2)
    return people, make_dataset("simulated", people), make_workers("simulated", people)


def said_by_the_site(round):
    rows = Consensus.objects.filter(task__round=round).values_list("task", "label", "votes")
    table = pd.DataFrame(rows, columns=["task", "label", "votes"]).astype({"task": str})
    return table.sort_values("task", ignore_index=True)


def test_it_takes_fewer_votes_than_a_fixed_number_for_no_more_error(scene):
    people, dataset, workers = scene
    adaptive = run(dataset, people, workers, PLAN)
    fixed = RoundPlan(votes_min=7, votes_max=7, confidence=0.5, audit_rate=0.0, batch_size=40)
    majority = run(dataset, people, workers, fixed, "majority")
    assert majority.votes_per_task == 7
    assert adaptive.votes_per_task < 0.7 * majority.votes_per_task
    assert adaptive.error <= majority.error
    assert adaptive.error < people.error_of_majority(7)
    assert not adaptive.round.tasks.filter(state=Task.State.OPEN).exists()


@pytest.mark.parametrize(
    ("wish", "rule"),
    [
        ({}, {}),
        ({"category_confidence": {"label1": 0.995}}, {"category_confidence": {"label1": 0.995}}),
        ({"expected_accuracy": 0.85}, {"expected_accuracy": 0.85}),
        ({"least_gain": 0.03}, {"least_gain": 0.03}),
    ],
    ids=["confidence", "by category", "expected accuracy", "price"],
)
def test_the_site_decides_what_replay_decides_on_the_same_votes(wish, rule):
    """The round's own votes, replayed in the order in which they came, stop where the round stopped."""
    people = People.simulate(7, 70, 16, n_labels=6, spammers=0.2)
    dataset, workers = make_dataset("small", people), make_workers("small", people)
    plan = {**vars(PLAN), "votes_max": 7, "wish": PLAN.wish.__class__(**wish)}
    made = run(dataset, people, workers, RoundPlan(**plan))
    votes = votes_table(made.round)[["task", "worker", "label"]].astype(str)
    told = replay(votes, Rule(confidence=0.95, votes_min=2, votes_max=7, **rule))
    site = said_by_the_site(made.round)
    assert len(votes) == made.votes == told["votes"].sum()
    assert told["votes"].nunique() > 3
    assert told["task"].tolist() == site["task"].tolist()
    assert told["votes"].tolist() == site["votes"].tolist()
    assert told["label"].tolist() == site["label"].tolist()


def test_the_benchmark_runs_in_its_short_form(capsys, monkeypatch):
    from benchmarks import quality_campaign

    monkeypatch.setattr(quality_campaign, "set_up", lambda folder: None)  # pytest made the database
    assert quality_campaign.main(["--quick"]) == 0
    out = capsys.readouterr().out
    assert "settle at 95.0%" in out
    assert "forecasts:" in out
