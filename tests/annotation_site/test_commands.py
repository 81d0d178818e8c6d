"""The commands of the site, as a shell calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from django.core.management import get_commands, load_command_class

from annotation_site.models import Membership, Round, User, Vote, Worker
from annotation_site.services.claims import claim_batch
from annotation_site.services.tables import COLUMNS, votes_table
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.world import make_dataset, make_round, worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def manage(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run `manage.py …`; gives the exit code, stdout and stderr."""
    monkeypatch.setattr("ingest.management.base.connections.close_all", lambda: None)  # the test's own

    def call(name: str, *arguments: object) -> tuple[int, str, str]:
        command = load_command_class(get_commands()[name], name)
        code = 0
        try:
            command.run_from_argv(["manage.py", name, *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert len(err.splitlines()) <= 1
        assert (code == 0) == (err == "")
        return code, out, err

    return call


@pytest.fixture
def voted() -> Round:
    """A round with 4 votes of each of two people, one of them voided."""
    round = make_round(make_dataset(images=6), gold=1)
    for name in ("ann", "bob"):
        batch = claim_batch(worker(name), round, 4)
        assert batch
        answers = [
            Answer(t.pk, label, 2.5)
            for t, label in zip(batch.tasks, ["cat", "dog", "__none__", "__unsure__"], strict=True)
        ]
        record_votes(batch.assignment.worker, batch.assignment.pk, "k", answers)
    Vote.objects.filter(pk=Vote.objects.order_by("pk")[0].pk).update(voided=True, void_reason="late")
    return round


def test_one_person(manage) -> None:
    make_dataset()
    code, out, _ = manage("create_user", "ann", "--role", "annotator", "--dataset", "pets", "--json")
    made = json.loads(out)
    assert code == 0
    assert User.objects.get(username="ann").check_password(made["password"])
    code, out, _ = manage("create_user", "ann", "--role", "curator")
    assert "password" not in out  # the old one stays
    assert User.objects.get(username="ann").check_password(made["password"])
    assert set(Membership.objects.values_list("role", "dataset__name")) == {
        ("annotator", "pets"),
        ("curator", None),
    }
    assert manage("create_user", "ann", "--role", "curator", "--password", "new one")[0] == 0
    assert User.objects.get().check_password("new one")
    assert Membership.objects.count() == 2


def test_many_people_from_a_file(manage, tmp_path: Path) -> None:
    make_dataset()
    path = tmp_path / "users.csv"
    path.write_text("username,password,role,dataset\nann,007,annotator,pets\nbob,,reviewer,\n")
    code, out, _ = manage("create_user", "--from-csv", path, "--json")
    assert code == 0
    assert [p["username"] for p in json.loads(out)["users"]] == ["ann", "bob"]
    assert User.objects.get(username="ann").check_password("007")
    assert Worker.objects.count() == 2
    path.write_text("username,password,role\neve,x,annotator\nmallory,x,king\n")
    code, _, err = manage("create_user", "--from-csv", path)
    assert code == 2
    assert "king" in err
    assert not User.objects.filter(username="eve").exists()  # all or none


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ann"], "which role"),
        (["ann", "--role", "king"], "king"),
        (["a b", "--role", "curator"], "user name"),
        (["ann", "--role", "curator", "--dataset", "none"], "no dataset"),
        (["--from-csv", "missing.csv"], "no such file"),
    ],
)
def test_unusable_arguments_for_people(manage, arguments: list[str], said: str) -> None:
    code, _, err = manage("create_user", *arguments)
    assert code == 2
    assert said in err
    assert not User.objects.exists()


def test_closing_a_round(manage, voted: Round) -> None:
    code, out, _ = manage("close_round", voted.pk, "--json")
    assert code == 0
    assert json.loads(out)["state"] == "closed"
    assert manage("close_round", voted.pk)[0] == 0
    assert manage("close_round", 4711)[0] == 2


def test_votes_out(manage, voted: Round, tmp_path: Path) -> None:
    for name in ("votes.csv", "votes.csv.gz", "votes.parquet"):
        code, out, _ = manage("export_votes", "pets", tmp_path / name, "--json")
        assert code == 0
        assert json.loads(out)["votes"] == 8
        assert json.loads(out)["counted"] == 7
    rows = list(csv.DictReader((tmp_path / "votes.csv").open()))
    assert list(rows[0]) == [
        "image",
        "worker",
        "label",
        "seconds",
        "created",
        "round",
        "gold",
        "audit",
        "task",
        "status",
    ]
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows)
    assert {row["label"] for row in rows} == {"cat", "dog", "__none__", "__unsure__"}
    assert sorted(row["status"] for row in rows) == ["counted"] * 7 + ["late"]
    assert not {row["worker"] for row in rows} & {"ann", "bob"}  # pseudonyms
    assert len(pd.read_parquet(tmp_path / "votes.parquet")) == 8
    first = (tmp_path / "votes.csv.gz").read_bytes()
    manage("export_votes", "pets", tmp_path / "votes.csv.gz")
    assert (tmp_path / "votes.csv.gz").read_bytes() == first


def test_votes_out_where_it_cannot_go(manage, voted: Round, tmp_path: Path) -> None:
    assert manage("export_votes", "nothing", tmp_path / "v.csv")[0] == 2
    assert manage("export_votes", "pets", tmp_path / "v.txt")[0] == 2
    assert manage("export_votes", "pets", tmp_path / "no folder" / "v.csv")[0] == 2
    assert manage("export_votes", "pets", tmp_path / "v.csv", "--round", 4711)[0] == 2


def test_no_votes_are_a_table_too(manage, tmp_path: Path) -> None:
    round = make_round(make_dataset(images=1))
    assert manage("export_votes", "pets", tmp_path / "v.csv")[0] == 0
    assert (tmp_path / "v.csv").read_text().startswith("image,worker,label")
    assert list(votes_table(round).columns) == COLUMNS
    assert votes_table(round).empty


def test_the_votes_table(voted: Round) -> None:
    counted, everything = votes_table(voted), votes_table(voted.dataset, counted_only=False)
    assert list(everything.columns) == COLUMNS
    assert (len(counted), len(everything)) == (7, 8)
    assert set(everything["task"]) <= set(voted.tasks.values_list("pk", flat=True))
    assert everything["seconds"].eq(2.5).all()
    assert str(everything["created"].dtype).endswith("UTC]")
    assert everything["gold"].sum() == Vote.objects.filter(task__gold=True).count()


def test_votes_in_and_in_again(manage, tmp_path: Path) -> None:
    dataset = make_dataset(images=3)
    a, b, _ = dataset.images.order_by("pk").values_list("sha256", flat=True)
    path = tmp_path / "votes.csv"
    path.write_text(
        "image,worker,label,seconds,created\n"
        f"{a},007,cat,1.5,2024-02-03T04:05:06\n{a},w2,dog,,\n{b},007,__none__,2,\n{a},007,eel,3,2024-02-03T04:05:06Z\n"
    )
    code, out, _ = manage("import_votes", "pets", path, "--json")
    summary = json.loads(out)
    assert code == 0
    assert {k: summary[k] for k in ("read", "stored", "repeated", "already_there", "workers")} == {
        "read": 4, "stored": 3, "repeated": 1, "already_there": 0, "workers": 2,
    }  # fmt: skip
    vote = Vote.objects.get(worker__code="007", task__image__sha256=a)
    assert (vote.label, vote.seconds, vote.created.isoformat()) == ("eel", 3.0, "2024-02-03T04:05:06+00:00")
    assert Worker.objects.get(code="007").provider == "import"
    round = Round.objects.get(pk=summary["round"])
    assert sorted(round.tasks.values_list("votes", "claimable")) == [(1, False), (2, False)]
    assert round.votes_counted == 3
    again = json.loads(manage("import_votes", "pets", path, "--json")[1])
    assert (again["round"], again["stored"], again["already_there"]) == (round.pk, 0, 3)
    assert Vote.objects.count() == 3


def test_votes_in_never_pass_the_most(manage, tmp_path: Path) -> None:
    round = make_round(make_dataset(images=1), votes_min=1, votes_max=2)
    task = round.tasks.get().pk
    path = tmp_path / "votes.csv"
    path.write_text("task,worker,label\n" + "".join(f"{task},w{n},cat\n" for n in range(5)))
    summary = json.loads(manage("import_votes", "pets", path, "--round", round.pk, "--json")[1])
    assert (summary["stored"], summary["over_most"]) == (2, 3)
    assert round.tasks.get().votes == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("image,worker\na,b\n", "label"),
        ("image,worker,label\n", "no votes"),
        ("image,worker,label\nnobody,w,cat\n", "unknown image"),
        ("image,worker,label\nSHA,w,lion\n", "lion"),
        ("image,worker,label\nSHA,,cat\n", "worker"),
        ("image,worker,label\nSHA,w,yes\n", "--round"),
        ("task,worker,label\n1,w,cat\n", "--round"),
        ("image,worker,label,created\nSHA,w,cat,yesterday\n", "yesterday"),
        ("image,worker,label,seconds\nSHA,w,cat,long\n", "long"),
    ],
)
def test_unusable_votes_are_refused_whole(manage, tmp_path: Path, table: str, said: str) -> None:
    sha = make_dataset(images=1).images.get().sha256
    path = tmp_path / "votes.csv"
    path.write_text(table.replace("SHA", sha))
    code, _, err = manage("import_votes", "pets", path)
    assert code == 2
    assert said in err
    assert not Vote.objects.exists()
