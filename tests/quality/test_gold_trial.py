"""More gold after a person decided so: promised once, given, answered, and what is proposed then."""

import json
from copy import deepcopy

import pytest
from django.urls import reverse

from annotation_site.models import Membership, Participation, User, Vote
from annotation_site.services.claims import claim_batch, locked_participation, promise_gold
from annotation_site.services.rounds import close_round
from quality.flags import Flag
from quality.models import WorkerAction, WorkerSkill
from quality.policy import WHAT, Action, GoldTrial, propose
from quality.services.consensus import aggregate_round
from quality.services.gold import retire_gold
from quality.services.gold_trial import trial_of
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from quality.services.workers import UnusableReview, more_gold, proposals, suspend_worker
from tests.quality.scenes import CATEGORIES, always_right, make_dataset, make_worker, truth_of, vote_all

EVEN = Flag("w", "even_pace", "the same time for every vote")


def trial(right=0, answered=0, coming=0, blind=0.33, others_right=90, others=100) -> GoldTrial:
    return GoldTrial(20, 20 - coming, coming, right, answered, 0, others_right, others, blind)


# --- the policy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "step"),
    [
        (trial(6, 20), Action.SUSPEND),
        (trial(4, 12, coming=8), Action.WAIT),
        (trial(1, 12, coming=8), Action.SUSPEND),  # sure enough before all is answered
        (trial(18, 20), Action.LEAVE),
        (trial(11, 20, blind=0.5), Action.MORE_GOLD),  # says nothing either way
        (trial(), Action.MORE_GOLD),
        (trial(coming=20), Action.WAIT),
        (None, Action.MORE_GOLD),
    ],
)
def test_what_follows_more_gold_follows_from_the_answers(made, step):
    taken = {"w": ["warn", "more_gold"]}
    (told,) = propose([EVEN], taken, trials={"w": made} if made else {})
    assert told.action == step
    assert WHAT[step] in told.in_words()
    if made:
        assert told.reasons[-1].startswith("further gold: ")


def test_answers_to_gold_change_no_other_step():
    bad = {"w": trial(2, 20)}
    assert propose([EVEN], {}, trials=bad)[0].action == Action.WARN
    assert propose([EVEN], {"w": ["warn"]}, trials=bad)[0].action == Action.MORE_GOLD
    good = {"w": trial(20, 20)}
    assert propose([EVEN], {"w": ["warn", "more_gold", "suspend"]}, trials=good)[0].action == Action.SUSPEND
    both = [EVEN, Flag("w", "random", "30%")]
    assert propose(both, {"w": ["warn", "more_gold"]}, trials=good)[0].action == Action.SUSPEND


def test_more_right_answers_speak_more_for_the_worker_and_one_alone_for_nobody():
    odds = [trial(right, 20).odds for right in range(21)]
    assert odds == sorted(odds, reverse=True)
    assert 0.1 < trial(1, 1).odds < trial(0, 1).odds < 10
    assert trial(3, 3, blind=1.0).odds == pytest.approx(1.0)  # all gold was of one label, and so were they
    assert trial(5, 20, others_right=30).odds < trial(5, 20).odds  # gold that is hard for everybody


# --- on the site ------------------------------------------------------------------------------------


def open_round(name="pets"):
    dataset = make_dataset(120, name)
    add_gold(dataset, [(f"{n}.jpg", CATEGORIES[n % 3]) for n in range(40)])
    plan = RoundPlan(votes_min=3, votes_max=6, audit_rate=0.0, gold_rate=0.05, title="First")
    return open_labelling_round(dataset, "classify", plan=plan)


@pytest.fixture(scope="module")
def made(kept_rows):
    """A round, and a worker in it who is flagged for an even pace and was warned."""
    round = open_round()
    worker = make_worker("even")
    peer = make_worker("peer")
    promise_gold(locked_participation(round, peer), round, 40)
    vote_all(round, peer, always_right)  # all gold among it
    vote_all(round, worker, always_right, 12)
    WorkerAction.objects.create(worker=worker, dataset=round.dataset, action="warn", reason="x")
    flag(worker, round)
    return round, worker


@pytest.fixture
def round(db, made):
    return deepcopy(made[0])


@pytest.fixture
def even(db, made):
    return deepcopy(made[1])


def flag(worker, round):
    """As the pass before would have."""
    numbers = {"votes": 12, "gold_votes": 0, "skill": 0.5, "lo": 0.1, "hi": 0.9}
    told = {"flags": "even_pace", "evidence": "the same time for every vote"}
    WorkerSkill.objects.update_or_create(round=round, worker=worker, defaults={**numbers, **told})


def never_right(image, _proposed) -> str:
    return CATEGORIES[(CATEGORIES.index(truth_of(image)) + 1) % 3]


def proposed(round):
    return [p.action for p in proposals(round.dataset)]


@pytest.mark.parametrize(("say", "then"), [(always_right, Action.LEAVE), (never_right, Action.SUSPEND)])
def test_more_gold_is_given_told_and_judged(round, even, say, then):
    assert proposed(round) == [Action.MORE_GOLD]
    made = more_gold(even, round.dataset, "even pace", "carl", 16)
    assert (made.action.gold, made.per_round) == (16, {round.pk: 16})
    assert proposed(round) == [Action.WAIT]
    before = Vote.objects.filter(worker=even, task__gold=True).count()
    batch = claim_batch(even, round, 20)
    gold = sum(task.gold for task in batch.tasks)
    assert 5 <= gold <= 10
    at_hand = trial_of(even, round.dataset)
    assert (at_hand.answered, at_hand.coming) == (0, at_hand.promised - at_hand.given + gold)
    vote_all(round, even, say, 45)
    told = trial_of(even, round.dataset)
    now = list(Vote.objects.filter(worker=even, task__gold=True).order_by("pk"))[before:]
    assert (told.promised, told.given, told.coming, told.unsure) == (16, 16, 0, 0)
    assert told.answered == len(now) >= 16
    assert told.right == sum(vote.label == truth_of(vote.task.image) for vote in now)
    assert told.others_right == told.others == len(now)
    assert proposed(round) == [then]


def test_the_same_decision_twice_is_made_once(round, even):
    first = more_gold(even, round.dataset, "even pace", "carl", 6)
    assert more_gold(even, round.dataset, " even pace ", "carl", 6).action == first.action
    claim_batch(even, round, 10)
    retry = more_gold(even, round.dataset, "even pace", "carl", 6, seen=first.action.pk - 1)
    assert retry.action == first.action  # the browser's, after the first was carried out
    assert 0 < Participation.objects.get(worker=even).more_gold < 6
    again = more_gold(even, round.dataset, "even pace", "carl", 6, seen=first.action.pk)
    assert again.action != first.action
    assert Participation.objects.get(worker=even).more_gold == 6


def test_what_cannot_be_given_is_said_and_not_kept(round, even):
    dataset = round.dataset
    assert more_gold(even, dataset, "x", count=200).per_round[round.pk] <= 40
    for count in (0, -1, 201):
        with pytest.raises(UnusableReview, match="1 to 200"):
            more_gold(even, dataset, "x", count=count)
    with pytest.raises(UnusableReview, match="say why"):
        more_gold(even, dataset, " ")
    kept = WorkerAction.objects.count()
    for _ in range(20):
        vote_all(round, even, always_right)
    with pytest.raises(UnusableReview, match="has not met is left in any open round"):
        more_gold(even, dataset, "x")
    close_round(round)
    with pytest.raises(UnusableReview, match=f"left in round {round.pk}"):
        more_gold(even, dataset, "x", round=round)
    assert WorkerAction.objects.count() == kept
    suspend_worker(even, dataset, "x")
    with pytest.raises(UnusableReview, match="suspended"):
        more_gold(even, dataset, "x")


def test_gold_of_closed_rounds_does_not_come_and_retired_gold_says_nothing(round, even):
    more_gold(even, round.dataset, "x", count=10)
    vote_all(round, even, always_right, 10)
    told = trial_of(even, round.dataset)
    assert told.given >= 1
    retire_gold(round.dataset, [f"{n}.jpg" for n in range(40)])
    assert trial_of(even, round.dataset).answered == 0
    close_round(round)
    assert trial_of(even, round.dataset).coming == 0


@pytest.mark.django_db
def test_unsure_is_neither_right_nor_wrong_and_verify_rounds_are_judged_by_what_is_proposed():
    dataset = open_round("strays").dataset
    plan = RoundPlan(votes_min=2, votes_max=4, audit_rate=0.0, gold_rate=0.2)
    verify = open_labelling_round(dataset, "verify", plan=plan)
    worker = make_worker("v")
    vote_all(verify, worker, always_right, 5)
    more_gold(worker, dataset, "x", count=12)
    vote_all(verify, worker, lambda image, key: always_right(image, key) if image.phash % 2 else "unsure", 30)
    told = trial_of(worker, dataset)
    assert told.right == told.answered > 0
    assert told.unsure > 0
    assert (told.others, told.blind) == (0, pytest.approx(1.0, abs=0.3))  # "yes" was right each time


# --- the command and the page -----------------------------------------------------------------------


def test_the_command_gives_more_gold_and_tells_how_it_was_answered(run, round, even):
    code, out, err = run(
        "review_worker", "pets", "even", "--more-gold", 8, "even pace", "--by", "carl", "--json"
    )
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["done"] == [{"action": "more_gold", "round": None, "votes": 0, "gold": 8}]
    assert told["further_gold"]["coming"] == 8
    vote_all(round, even, always_right, 40)
    code, out, _ = run("review_worker", "pets", "even")
    answered = trial_of(even, round.dataset).answered
    assert f"further gold: 8 of 8 given; since then right in {answered} of {answered} answers to gold" in out
    assert "leave it there" in run("review_worker", "pets")[1]
    assert WorkerAction.objects.filter(action="more_gold", by="carl", reason="even pace").count() == 1


def test_without_a_number_twenty_and_only_in_the_round_that_is_named(run, round, even):
    other = open_labelling_round(round.dataset, "classify", plan=RoundPlan(audit_rate=0.0, gold_rate=0.1))
    vote_all(other, even, always_right, 1)
    code, out, _ = run("review_worker", "pets", "even", "--round", other.pk, "--more-gold", "even pace")
    assert code == 0
    assert "given more gold: 20 further gold tasks to come, beside the usual share (even pace)" in out
    assert {p.round_id: p.more_gold for p in even.participations.all()} == {round.pk: 0, other.pk: 20}


def test_the_command_says_where_there_is_too_little_gold(run, round, even):
    code, out, _ = run("review_worker", "pets", "even", "--more-gold", 100, "even pace")
    there = Participation.objects.get(worker=even).more_gold
    assert code == 0
    assert out.startswith(f"round {round.pk} holds {there} of 100: {even.code} has met its other gold\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["20"], "say why"),
        (["0", "why"], "1 to 200 tasks, not 0"),
        (["-5", "why"], "1 to 200 tasks, not -5"),
        (["many", "why"], "a number and a reason"),
        (["20", "why", "not"], "a number and a reason"),
        (["20", " "], "say why"),
        (["why", "--round", "99"], "no round 99"),
        (["why", "--suspend", "why"], "not allowed with"),
    ],
)
def test_the_command_refuses_in_one_line(run, round, even, words, said):
    code, out, err = run("review_worker", "pets", "even", "--more-gold", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not Participation.objects.filter(worker=even, more_gold__gt=0).exists()


@pytest.fixture
def curator(client, round):
    user = User.objects.create(username="carl")
    Membership.objects.create(user=user, dataset=round.dataset, role="curator")
    client.force_login(user)
    return client


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_the_page_gives_more_gold_and_tells_how_it_was_answered(curator, round, even):
    page, act = (reverse(name, args=["pets", even.code]) for name in ("worker", "worker_act"))
    assert "Further gold: " not in text_of(curator.get(page))
    sent = {
        "action": "more_gold",
        "reason": "even pace",
        "gold": "14",
        "seen": curator.get(page).context["seen"],
    }
    text = text_of(curator.post(act, sent, follow=True))
    assert f"14 further gold tasks come to {even.code}, mixed into the next batches." in text
    assert (
        "Further gold: 0 of 14 given so far. No gold was answered since that decision. 14 are still to come."
        in text
    )
    assert "Proposed: wait for their answers to the further gold." in text
    vote_all(round, even, never_right, 10)
    curator.post(act, sent)  # the browser's retry
    assert WorkerAction.objects.filter(action="more_gold").count() == 1
    vote_all(round, even, never_right, 40)
    told = trial_of(even, round.dataset)
    text = text_of(curator.get(page))
    assert f"14 of 14 given so far. Since that decision right in {told.right} of {told.answered}" in text
    assert f"Everybody else: {told.others} of {told.others} on the same pictures." in text
    assert "Proposed: give the worker no more work." in text
    assert "14 tasks" in text


@pytest.mark.parametrize("number", ["many", "0", "999"])
def test_the_page_refuses_what_is_no_number_of_tasks(curator, round, even, number):
    act = reverse("worker_act", args=["pets", even.code])
    sent = {"action": "more_gold", "reason": "x", "gold": number}
    text = text_of(curator.post(act, sent, follow=True))
    assert "Give a number" in text or "1 to 200 tasks" in text
    assert not WorkerAction.objects.filter(action="more_gold").exists()


def test_the_page_says_where_there_is_too_little_gold(curator, round, even):
    act = reverse("worker_act", args=["pets", even.code])
    text = text_of(curator.post(act, {"action": "more_gold", "reason": "x", "gold": "100"}, follow=True))
    there = Participation.objects.get(worker=even).more_gold
    assert f"Round {round.pk} holds {there} of 100: {even.code} has met its other gold." in text


def test_a_pass_reads_further_gold_like_any(round, even):
    more_gold(even, round.dataset, "x", count=10)
    vote_all(round, even, always_right, 40)
    made = aggregate_round(round)
    skill = WorkerSkill.objects.get(worker=even)
    assert made.votes == Vote.objects.counted().count()
    assert skill.gold_votes == Vote.objects.filter(worker=even, task__gold=True).count()
