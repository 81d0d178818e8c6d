"""The worker's page: skill as of now, flags, decisions with reasons; voiding asks first; feedback."""

from copy import deepcopy

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation_site.models import Membership, Task, User, Vote
from annotation_site.services.accounts import worker_of
from quality.models import Consensus, WorkerAction
from quality.services.consensus import aggregate_round
from quality.services.feedback import MOST_SHOWN, feedback_for
from quality.services.gold import add_settled_gold
from quality.services.known import add_gold
from quality.services.rounds import RoundPlan, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, vote_all

pytestmark = pytest.mark.django_db


def always_cat(*_) -> str:
    return "cat"


@pytest.fixture(scope="module")
def made(kept_rows):
    """A round whose last pass found one bad worker."""
    dataset = make_dataset(60)
    add_gold(dataset, [(f"{n}.jpg", ("cat", "dog", "eel")[n % 3]) for n in range(9)])
    plan = RoundPlan(
        votes_min=4, votes_max=6, audit_rate=0.0, gold_rate=0.3, title="First", instructions="Look twice."
    )
    round = open_labelling_round(dataset, "classify", plan=plan)
    crowd(round, [always_right] * 3)
    bad = make_worker("bad")
    vote_all(round, bad, always_cat, 40)
    aggregate_round(round)
    return round, bad


@pytest.fixture
def round(db, made):
    return deepcopy(made[0])


@pytest.fixture
def bad(db, made):
    return deepcopy(made[1])


def logged_in(client, dataset, role, name="carl"):
    user = User.objects.create(username=name)
    Membership.objects.create(user=user, dataset=dataset, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def curator(client, round):
    return logged_in(client, round.dataset, "curator")


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def address(name, round, worker, *more):
    return reverse(name, args=[round.dataset.name, worker.code, *more])


def test_flags_evidence_and_proposal_stand_before_the_buttons(curator, round, bad):
    text = text_of(curator.get(address("worker", round, bad)))
    flag, proposed, button = (
        text.index(w) for w in ("one and the same answer 40 of", "Proposed:", "Suspend ")
    )
    assert flag < proposed < button
    assert "give the worker no more work. A person decides" in text
    assert "csrfmiddlewaretoken" in text


def test_skill_counts_votes_since_the_last_pass(curator, round, bad):
    page = address("worker", round, bad)
    before = curator.get(page).context["newest"]["review"]
    given = vote_all(round, bad, always_right, 20)
    answer = curator.get(page)
    after = answer.context["newest"]["review"]
    assert (before.new_votes, after.new_votes) == (0, given)
    assert after.skill > before.skill
    assert f"{given} of them came after the last pass and are counted in." in text_of(answer)


def test_decisions_are_kept_with_name_and_reason(curator, round, bad):
    page, act = address("worker", round, bad), address("worker_act", round, bad)
    for action in ("suspend", "restore", "warn", "retrain"):
        assert curator.post(act, {"action": action, "reason": f"why {action}"}).url == page
        bad.refresh_from_db()
        assert bad.suspended == (action == "suspend")
        if action == "suspend":
            text = text_of(curator.get(page))
            assert "Suspended: gets no more work." in text
            assert "Proposed: void the worker&#x27;s votes" in text
    assert set(WorkerAction.objects.values_list("by", flat=True)) == {"carl"}
    assert "why retrain" in text_of(curator.get(page))


@pytest.mark.parametrize(
    "sent", [{"action": "suspend"}, {"action": "suspend", "reason": " "}, {"reason": "x"}]
)
def test_nothing_is_done_without_reason_or_action(curator, round, bad, sent):
    answer = curator.post(address("worker_act", round, bad), sent, follow=True)
    assert "say why" in text_of(answer) or "Choose one of the buttons" in text_of(answer)
    bad.refresh_from_db()
    assert not bad.suspended
    assert not WorkerAction.objects.exists()


def test_voiding_asks_with_the_numbers_and_then_does_it(curator, round, bad):
    ask = address("worker_void", round, bad, round.pk)
    assert f'href="{ask}"' in text_of(curator.get(address("worker", round, bad)))
    counted = Vote.objects.counted().filter(worker=bad)
    closed = counted.filter(task__gold=False).exclude(task__state=Task.State.OPEN).count()
    text = text_of(curator.get(ask))
    assert "Void 40 votes of" in text
    assert f"{closed} task" in text
    assert counted.count() == 40  # looking does nothing
    assert "say why" in text_of(curator.post(ask, {"reason": ""}, follow=True))
    assert counted.count() == 40
    answer = curator.post(ask, {"reason": "constant"}, follow=True)
    assert f"40 votes of {bad.code} are void." in text_of(answer)
    assert not counted.exists()
    assert round.qc_passes.count() == 2  # consensus is computed anew
    assert not Consensus.objects.filter(task__round=round, votes__gt=3).exists()
    assert "No vote of" in text_of(curator.get(ask))
    assert "no vote counts" in text_of(answer)


@pytest.mark.parametrize("role", ["reviewer", "researcher", "annotator"])
def test_only_curators_decide(client, round, bad, role):
    logged_in(client, round.dataset, role)
    act, ask = address("worker_act", round, bad), address("worker_void", round, bad, round.pk)
    assert client.post(act, {"action": "suspend", "reason": "x"}).status_code == 403
    assert client.get(ask).status_code == 403
    assert client.post(ask, {"reason": "x"}).status_code == 403
    if role == "reviewer":
        assert "<button" not in text_of(client.get(address("worker", round, bad))).split("</header>")[-1]
    assert not WorkerAction.objects.exists()
    assert not Vote.objects.filter(voided=True).exists()


def test_a_foreign_round_or_worker_is_not_found(curator, round, bad):
    assert curator.get(address("worker_void", round, bad, 10**6)).status_code == 404
    stranger = make_worker("stranger")
    assert curator.get(address("worker", round, stranger)).status_code == 404
    assert (
        curator.post(address("worker_act", round, stranger), {"action": "warn", "reason": "x"}).status_code
        == 404
    )


def test_feedback_shows_own_used_up_experts_gold_and_only_after_a_curator_chose_so(client, round, bad):
    dataset, page = round.dataset, reverse("feedback", args=[round.dataset.name])
    Membership.objects.create(user=bad.user, dataset=dataset, role="annotator")
    client.force_login(bad.user)
    assert "nobody asked you to" in text_of(client.get(page))
    WorkerAction.objects.create(worker=bad, dataset=dataset, action="retrain", reason="x")
    told = feedback_for(bad, dataset)
    wrong = {m.image: (m.said, m.right) for m in told.mistakes}
    own = Vote.objects.filter(worker=bad, task__gold=True).select_related("task__image")
    expected = {
        v.task.image.sha256: ("cat", ("cat", "dog", "eel")[v.task.image.phash % 3])
        for v in own
        if v.task.image.phash % 3
    }
    assert expected
    assert wrong == expected
    assert len(wrong) <= MOST_SHOWN
    text = text_of(client.get(page))
    assert "right: Dog" in text or "right: Eel" in text
    assert "Look twice." in text
    other = worker_of(User.objects.create(username="other"))
    Membership.objects.create(user=other.user, dataset=dataset, role="annotator")
    client.force_login(other.user)
    assert "nobody asked you to" in text_of(client.get(page))


def test_gold_answered_after_the_decision_is_not_shown(round, bad):
    action = WorkerAction.objects.create(worker=bad, dataset=round.dataset, action="retrain", reason="x")
    earlier = timezone.now() - timezone.timedelta(days=1)
    WorkerAction.objects.filter(pk=action.pk).update(created=earlier)
    told = feedback_for(bad, round.dataset)
    assert (told.mistakes, told.given) == ([], 0)


def test_nobody_is_taught_by_settled_gold(round, bad):
    dataset = round.dataset
    add_settled_gold(dataset, 9)
    again = open_labelling_round(dataset, "classify", plan=RoundPlan(audit_rate=0, gold_rate=0.8))
    newcomer = make_worker("newcomer")
    vote_all(again, newcomer, always_cat, 12)
    WorkerAction.objects.create(worker=newcomer, dataset=dataset, action="retrain", reason="x")
    shown = {m.image for m in feedback_for(newcomer, dataset).mistakes}
    experts = set(
        Task.objects.filter(round=again, image__phash__lt=9).values_list("image__sha256", flat=True)
    )
    assert shown <= experts
