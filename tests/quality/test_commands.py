import json

import pytest

from annotation_site.models import Round, Worker
from quality.models import Gold, QCPass, Reference
from tests.quality.scenes import always_right, crowd, make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset():
    return make_dataset(6)


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_gold_file_in_and_again(run, dataset, tmp_path):
    file = table(tmp_path / "gold.csv", "image,label", "0.jpg,cat", "1.jpg,__none__")
    code, out, _ = run("add_gold", "pets", file, "--json")
    assert (code, json.loads(out)["added"]) == (0, 2)
    code, out, _ = run("add_gold", "pets", file)
    assert (code, out) == (0, "2 rows: 0 gold answers added, 2 unchanged, 0 changed, 0 skipped\n")
    table(file, "image,label", "0.jpg,dog")
    code, out, _ = run("add_gold", "pets", file)
    assert "changed 0.jpg: cat -> dog" in out


def test_unknown_rows_are_one_line_and_nothing_written(run, dataset, tmp_path):
    file = table(tmp_path / "gold.csv", "image,label", "0.jpg,cat", "x.jpg,cat", "1.jpg,cow")
    code, out, err = run("add_gold", "pets", file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "1 row names an unknown image (x.jpg)" in err
    assert not Gold.objects.exists()
    code, out, _ = run("add_gold", "pets", file, "--skip-unknown")
    assert code == 0
    assert "1 gold answer added" in out


def test_references_name_their_expert(run, dataset, tmp_path):
    file = table(tmp_path / "refs.csv", "image,label,expert", "0.jpg,cat,anna", "0.jpg,cat,ben", "1.jpg,dog,")
    code, out, _ = run("add_reference", "pets", file, "--expert", "cleo", "--json")
    assert (code, json.loads(out)["added"]) == (0, 3)
    assert set(Reference.objects.values_list("expert", flat=True)) == {"anna", "ben", "cleo"}
    table(file, "image,label,expert", f"0.jpg,cat,{'x' * 65}")
    code, _, err = run("add_reference", "pets", file)
    assert (code, "64 characters" in err) == (2, True)


@pytest.mark.parametrize("name", ["add_gold", "add_reference"])
def test_bad_files(run, dataset, tmp_path, name):
    code, _, err = run(name, "pets", tmp_path / "missing.csv")
    assert (code, err.count("\n"), "no such file" in err) == (2, 1, True)
    code, _, err = run(name, "pets", table(tmp_path / "f.csv", "image,answer", "0.jpg,cat"))
    assert (code, "no column label" in err) == (2, True)
    code, _, err = run(name, "zoo", tmp_path / "f.csv")
    assert (code, "no dataset is called 'zoo'" in err) == (2, True)


def test_open_round_says_what_it_made(run, dataset, tmp_path):
    words = tmp_path / "how.txt"
    words.write_text("Look at the whole picture.", encoding="utf-8")
    code, out, _ = run(
        "open_round", "pets", "--question", "classify", "--votes-min", 2, "--votes-max", 4,
        "--title", "First", "--confidence", 0.9, "--audit", 0, "--batch-size", 7,
        "--instructions", words, "--json",
    )  # fmt: skip
    made = Round.objects.get()
    assert (code, json.loads(out)) == (
        0,
        {"round": made.pk, "tasks": 6, "gold": 0, "parent": None, "workers": None, "quiz": None},
    )
    assert (made.votes_min, made.votes_max, made.confidence, made.audit_rate) == (2, 4, 0.9, 0.0)
    assert (made.title, made.batch_size, made.instructions.get().text) == ("First", 7, words.read_text())


def test_open_round_on_a_list_of_images(run, dataset, tmp_path):
    file = table(tmp_path / "some.csv", "image", "0.jpg", "1.jpg", "0.jpg")
    code, out, _ = run("open_round", "pets", "--question", "verify", "--images", file, "--json")
    assert (code, json.loads(out)["tasks"]) == (0, 2)
    code, _, err = run("open_round", "pets", "--question", "verify", "--images", "everything")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "words",
    [
        ["--votes-min", "5", "--votes-max", "4"],
        ["--gold-rate", "2"],
        ["--gold-rate", "0.1"],
        ["--confidence", "0"],
        ["--audit", "-1"],
        ["--votes-min", "many"],
        ["--instructions", "no-such-file"],
    ],
)
def test_unusable_rounds_exit_2_with_one_line(run, dataset, words):
    code, out, err = run("open_round", "pets", "--question", "classify", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not Round.objects.exists()


def test_aggregate_reports_each_open_round(run, dataset):
    code, _, err = run("aggregate", "pets")
    assert (code, "open_round pets" in err) == (2, True)
    for _ in range(2):
        code, out, _ = run("open_round", "pets", "--question", "classify", "--json", "--audit", 0)
    number = json.loads(out)["round"]
    crowd(Round.objects.get(pk=number), [always_right] * 3)
    code, out, _ = run("aggregate", "pets", "--round", number, "--json", "--method", "majority")
    report = json.loads(out)
    assert code == 0
    assert (report["round"], report["method"], report["tasks"], report["settled"]) == (
        number,
        "majority",
        6,
        6,
    )
    assert {"exhausted", "asked_again", "votes_asked", "mean_confidence", "workers_flagged"} <= report.keys()
    code, out, _ = run("aggregate", "pets", "--json")
    assert len(json.loads(out)["rounds"]) == 2
    code, out, _ = run("aggregate", "pets", "--round", number)
    assert f"round {number}: 18 votes" in out
    assert QCPass.objects.filter(round=number).count() <= 2


def test_aggregate_refuses_what_it_does_not_know(run, dataset):
    run("open_round", "pets", "--question", "classify")
    assert run("aggregate", "pets", "--round", 999)[0] == 2
    assert run("aggregate", "pets", "--method", "guess")[0] == 2


@pytest.mark.parametrize("name", ["add_gold", "add_reference", "aggregate", "open_round"])
def test_help_shows_an_example(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"python manage.py {name} " in out.split("example:")[1]


def test_follow_up_rounds(run, dataset, tmp_path):
    first = json.loads(run("open_round", "pets", "--question", "classify", "--json")[1])["round"]
    crowd(Round.objects.get(pk=first), [always_right, always_right])
    worker = Worker.objects.first()
    names = table(tmp_path / "workers.csv", "worker", worker.code)
    code, out, _ = run("open_round", "pets", "--repeat", first, "--share", 1, "--workers", names)
    assert (code, out) == (0, f"round {first + 1} is open: 6 tasks, 0 of them gold, for 1 worker\n")
    told = table(tmp_path / "model.csv", "image,label,probability", "0.jpg,cat,0.9", "1.jpg,cat,")
    code, out, _ = run("open_round", "pets", "--question", "verify", "--proposals", told, "--json")
    assert (code, json.loads(out)["tasks"]) == (0, 2)
    # The repeat is passed over; the rounds that say something are aggregated.
    code, out, _ = run("aggregate", "pets", "--json")
    assert [r["round"] for r in json.loads(out)["rounds"]] == [first, first + 2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--repeat", 99], "no round 99"),
        ([], "--question classify"),
        (["--question", "classify", "--images", "disputed"], "no picture is disputed"),
        (["--question", "classify", "--images", "unsure:x"], "confidence from 0 to 1"),
        (["--question", "classify", "--min-skill", 0.9], "nobody's is known yet"),
        (["--question", "verify", "--proposals", "nowhere.csv"], "no such file"),
        (["--question", "verify", "--proposals", "x.csv", "--images", "disputed"], "leave out --images"),
        (["--question", "classify", "--workers", "nowhere.csv"], "no such file"),
    ],
)
def test_unusable_follow_ups_are_one_line(run, dataset, words, says):
    code, out, err = run("open_round", "pets", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
