"""One of a thing is not "1 things": every command and page with one picture, one worker and one vote."""

import re

import pytest
from django.urls import reverse

from annotation_site.models import Membership, Round, User, Worker
from quality import aggregate, issues, replay
from quality.services.consensus import aggregate_round
from quality.services.rounds import RoundPlan, UnusableRound, open_labelling_round
from tests.quality.scenes import always_right, crowd, make_dataset, make_worker, right_with, vote_all

PLURALS = "votes|tasks|pictures|images|rows|workers|answers|references|labels|categories|rounds|people|times"
ONE_THINGS = re.compile(rf"(?<![\d.,])1 (?:(?!collecting)[a-z]+ )?(?:{PLURALS})\b")


def said(text: str) -> list[str]:
    """Where one of a thing is spoken of as several, in a command's words or a page's."""
    plain = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", text, flags=re.S)
    plain = re.sub(r"</?(b|strong|em|a|span|code)\b[^>]*>", "", plain)
    return ONE_THINGS.findall(" ".join(re.sub(r"<[^>]+>", " . ", plain).split()))


def test_what_is_looked_for_is_found():
    assert said("<p>round 1: <b>1</b> votes, 2 rows, 1 more tasks, 11 votes</p>") == [
        "1 votes",
        "1 more tasks",
    ]


@pytest.mark.django_db
def test_commands(run, tmp_path):
    make_dataset(1)
    known = tmp_path / "known.csv"
    known.write_text("image,label\n0.jpg,cat\n")
    unknown = tmp_path / "unknown.csv"
    unknown.write_text("image,label,task\nx.jpg,cow,x.jpg\n")
    invited = tmp_path / "workers.csv"
    invited.write_text(f"worker\n{make_worker('one').code}\n")
    told = []
    lines = [
        (
            "open_round",
            "pets",
            "--question",
            "classify",
            "--votes-min",
            1,
            "--price",
            1,
            "--workers",
            invited,
        ),
        ("aggregate", "pets"),
        ("review_worker", "pets"),
        ("request_votes", "pets", "--issues", unknown),
        ("request_votes", "pets", "--issues", known),
        ("add_reference", "pets", known),
        ("add_gold", "pets", unknown),
        ("add_gold", "pets", known),
        ("add_gold", "pets", "--check"),
        ("add_gold", "pets", "--retire", known),
        ("open_round", "pets", "--question", "classify", "--workers", unknown),
        ("quality_report", "pets", "-o", tmp_path / "report.html"),
    ]
    for line in lines:
        told += run(*line)[1:]
        if line[0] == "open_round":
            for worker in Worker.objects.all():
                vote_all(Round.objects.first(), worker, always_right)
    told += run("review_worker", "pets", "one")[1:]
    assert len("".join(told)) > 500
    assert said(" ".join(told)) == []


@pytest.mark.django_db
def test_pages(client):
    dataset = make_dataset(1)
    user = User.objects.create(username="carl")
    Membership.objects.create(user=user, dataset=dataset, role="curator")
    client.force_login(user)
    round = open_labelling_round(dataset, "classify", plan=RoundPlan(votes_min=1, audit_rate=0.0, price=1))
    (worker,) = crowd(round, [always_right])
    aggregate_round(round)
    image = dataset.images.get()
    addresses = {
        "rounds": [], "round": [round.pk], "workers": [], "worker": [worker.code], "review": [],
        "quality": [], "image": [image.sha256], "worker_void": [worker.code, round.pk],
    }  # fmt: skip
    for name, arguments in addresses.items():
        answer = client.get(reverse(name, args=[dataset.name, *arguments]))
        assert answer.status_code == 200
        assert said(answer.content.decode()) == [], name
    answer = client.post(reverse("round_settle", args=[dataset.name, round.pk]), follow=True)
    assert said(answer.content.decode()) == []


def test_modules_without_a_database(tmp_path, capsys):
    votes, gold, chance = (tmp_path / f"{name}.csv" for name in ("votes", "gold", "chance"))
    votes.write_text("task,worker,label\na,w,cat\n")
    gold.write_text("task,label\na,cat\n")
    chance.write_text("task,label,probability\na,cat,0.1\na,dog,0.9\n")
    consensus = tmp_path / "consensus.csv"
    assert aggregate.main([str(votes), "-o", str(consensus)]) == 0
    assert aggregate.main([str(votes), "-o", str(consensus), "--gold", str(gold)]) == 0
    assert replay.main([str(votes), "-o", str(tmp_path / "replay.csv")]) == 0
    assert issues.main([str(consensus), str(chance), "-o", str(tmp_path / "issues.csv")]) == 0
    told = capsys.readouterr()
    assert said(told.out + told.err) == []


@pytest.mark.django_db
def test_what_is_being_asked_about_is_not_said_to_be_undisputed():
    dataset = make_dataset(12)
    plan = RoundPlan(votes_min=2, votes_max=3, confidence=0.999, audit_rate=0.0)
    with pytest.raises(UnusableRound, match=r"^no picture is disputed in the rounds so far$"):
        open_labelling_round(dataset, "classify", images="disputed", plan=plan)
    first = open_labelling_round(dataset, "classify", plan=plan)
    crowd(first, [always_right, right_with(0.5, 1)])
    aggregate_round(first)
    waiting = (
        rf"12 unsure pictures are still being asked about \(round {first.pk}\), and disputed only at the most"
    )
    with pytest.raises(UnusableRound, match=waiting):
        open_labelling_round(dataset, "classify", images="disputed", plan=plan)
    crowd(first, [right_with(0.5, 2)])
    aggregate_round(first)
    assert open_labelling_round(dataset, "classify", images="disputed", plan=plan).tasks_total == 12
