"""Votes from other tools' files, and files that are none: a clear line or a documented outcome."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from ingest.tables import BadTable
from quality.aggregate import main
from quality.readers import Asked, Read, read_votes

VOTES = "task,worker,label\na,w1,cat\na,w2,cat\nb,w1,dög\nb,w2,cat\n"


def rows(read: Read) -> list[tuple[str, ...]]:
    return list(read.frame[["task", "worker", "label"]].itertuples(index=False, name=None))


def read_text(tmp_path: Path, text: str | bytes, name: str = "votes", **asked: object) -> Read:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_votes([str(file)], Asked(**asked))


def settle(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: str | bytes, *more: str, name: str = "v.csv"
):
    """Exit code, summary, consensus and stderr of the command on one file."""
    file, out = tmp_path / name, tmp_path / "consensus.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code = main([str(file), "-o", str(out), "--json", *more])
    printed = capsys.readouterr()
    if code:
        assert not printed.out
        assert printed.err.count("\n") == 1, printed.err
        return code, None, None, printed.err
    return code, json.loads(printed.out), pd.read_csv(out, dtype=str, keep_default_na=False), printed.err


# --- encodings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_every_common_encoding_gives_the_same_votes(tmp_path, encoding):
    read = read_text(tmp_path, VOTES.encode(encoding), "votes.csv")
    assert ("b", "w1", "dög") in rows(read)
    assert len(read.frame) == 4
    assert ("Windows-1252" in " ".join(read.warnings)) == (encoding == "cp1252")


def test_bytes_that_windows_does_not_know_are_latin_1_and_told(tmp_path):
    read = read_text(tmp_path, b"task,worker,label\na,w,caf\xe9\x81\n")
    assert rows(read)[0][2] == "café\x81"
    assert "Latin-1" in read.warnings[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        ("task,worker".encode("utf-16-le"), "not a text file"),
        (b"\xef\xbb\xbf\xff\xfe\xff", "byte order mark"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not a text file"),
        (b"PK\x03\x04rubbish", "cannot be read"),
        (b"\x1f\x8b\x08rubbish", "cannot be read"),
        (b"{not json", "begins like JSON"),
        (b"[1, 2]", "no list of tasks"),
        (b"[]", "no list of tasks"),
        (b'[{"a": 1}]', "no export of Label Studio"),
        (b"<html><body></body></html>", "no export of CVAT"),
        (b"<annotations><image", "begins like XML"),
        (b"a,b\n1,2\n", "no column task"),
        (b"task,worker,label\n1,2,3,4,5\n\n1,2,3\n", "not a readable table"),
        (b'task,worker,label\na,w,"cat\n', "not a readable table"),
    ],
)
def test_a_file_that_holds_no_votes_gets_one_clear_line(tmp_path, capsys, content, words):
    code, _, _, error = settle(tmp_path, capsys, content)
    assert code == 2
    assert words in error


def test_a_missing_file_gets_one_clear_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.csv"), "-o", str(tmp_path / "o.csv")]) == 2
    assert "no such file" in capsys.readouterr().err


# --- anybody's table ------------------------------------------------------------------------------------


def test_semicolons_tabs_and_other_names_are_understood(tmp_path):
    read = read_text(tmp_path, "item;annotator;choice\n007;a;x\n")
    assert rows(read) == [("007", "a", "x")]
    assert "semicolons" in read.warnings[0]
    assert rows(read_text(tmp_path, "image\tuser\tanswer\n1\ta\tx\n")) == [("1", "a", "x")]
    named = {"task": "q", "worker": "who", "label": "what"}
    assert rows(read_text(tmp_path, "q,who,what,task\n1,a,x,9\n", columns=named)) == [("1", "a", "x")]


def test_the_contracts_names_win_over_others(tmp_path):
    read = read_text(tmp_path, "task,item,worker,user,label,answer\n1,9,a,9,x,9\n")
    assert rows(read) == [("1", "a", "x")]


def test_several_files_are_read_as_one(tmp_path, capsys):
    for name, worker in (("one.csv", "a"), ("two.csv.gz", "b")):
        data = f"task,worker,label\nt,{worker},x\n".encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    out = tmp_path / "c.csv"
    assert main([str(tmp_path / "one.csv"), str(tmp_path / "two.csv.gz"), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["votes_used"] == 2


# --- the bad inputs of a crowd --------------------------------------------------------------------------


def test_missing_cells_and_nan_are_counted(tmp_path, capsys):
    text = "task,worker,label\na,w1,x\na,,x\n,w1,x\nb,w1,\nb,w2,NaN\nb,w3,nan\nb,w4,x\n"
    code, summary, table, _ = settle(tmp_path, capsys, text)
    assert code == 0
    assert summary["dropped"] == {"missing_task": 1, "missing_worker": 1, "missing_label": 3}
    assert summary["votes_read"] == 7
    assert summary["votes_used"] == 2
    assert list(table["label"]) == ["x", "x"]


def test_a_workers_second_answer_counts_and_is_told(tmp_path, capsys):
    _, summary, table, _ = settle(tmp_path, capsys, "task,worker,label\na,w,x\na,w,y\n")
    assert summary["dropped"] == {"repeated": 1}
    assert list(table["label"]) == ["y"]


def test_unknown_labels_are_left_out_and_counted(tmp_path, capsys):
    (tmp_path / "labels.csv").write_text("id,name\nx,Ex\ny,Why\n")
    text = "task,worker,label\na,w1,x\na,w2,zebra\nb,w1,__unsure__\nb,w2,__none__\n"
    _, summary, table, _ = settle(tmp_path, capsys, text, "--labels", str(tmp_path / "labels.csv"))
    assert summary["dropped"] == {"unknown_label": 1}
    assert summary["votes_read"] == 4
    assert list(table["label"]) == ["x", "__none__"]


def test_workers_with_one_vote_one_category_and_huge_ids_are_settled(tmp_path, capsys):
    huge = "9" * 400
    text = "task,worker,label\n" + "".join(f"{huge}{i},{huge}{i},only\n" for i in range(5))
    code, summary, table, _ = settle(tmp_path, capsys, text)
    assert code == 0
    assert list(table["task"]) == sorted(f"{huge}{i}" for i in range(5))
    assert any("only one label" in line for line in summary["warnings"])


def test_mixed_types_stay_what_they_were(tmp_path, capsys):
    text = "task,worker,label\n1,1,1\n1,01,1.0\n1.0,x,True\n007,null,None\n"
    _, summary, table, _ = settle(tmp_path, capsys, text)
    assert summary["dropped"] == {}
    assert set(table["task"]) == {"1", "1.0", "007"}


def test_no_votes_and_only_abstentions_are_told(tmp_path, capsys):
    code, summary, table, _ = settle(tmp_path, capsys, "task,worker,label\n")
    assert (code, len(table)) == (0, 0)
    assert "there is no usable vote" in summary["warnings"]
    code, summary, table, _ = settle(tmp_path, capsys, "task,worker,label\na,w,__unsure__\nb,w,x\n")
    assert (code, summary["abstained"]) == (0, 1)


def test_a_hundred_thousand_categories_are_settled(tmp_path, capsys):
    text = "task,worker,label\n" + "".join(
        f"t{i},w{j},c{i + j * (i % 2 == 0)}\n" for i in range(0, 100_000, 2) for j in range(2)
    )
    code, summary, table, _ = settle(tmp_path, capsys, text)
    assert code == 0
    assert summary["labels"] == 100_000
    assert len(table) == 50_000


# --- Label Studio ---------------------------------------------------------------------------------------


def choice(label: str, question: str = "kind") -> dict:
    return {"type": "choices", "from_name": question, "to_name": "img", "value": {"choices": [label]}}


def studio_task(number: int, *annotations: dict) -> dict:
    return {"id": number, "data": {"image": f"s3://b/{number}.jpg"}, "annotations": list(annotations)}


def test_label_studio_json(tmp_path):
    tasks = [
        studio_task(
            1,
            {"completed_by": 7, "was_cancelled": False, "result": [choice("Cat")]},
            {"completed_by": {"id": 8, "email": "eve@example.org"}, "result": [choice("Dog")]},
            {"completed_by": 9, "was_cancelled": True, "result": [choice("Dog")]},
        ),
        studio_task(
            2,
            {"completed_by": 7, "result": []},
            {"completed_by": 8, "result": [{**choice("A"), "value": {"choices": ["A", "B"]}}]},
        ),
        studio_task(3) | {"predictions": [{"result": [choice("Cat")]}]},
    ]
    read = read_text(tmp_path, json.dumps(tasks), "export.json")
    assert read.kind == "label_studio"
    assert rows(read) == [("s3://b/1.jpg", "7", "Cat"), ("s3://b/1.jpg", "eve@example.org", "Dog")]
    assert read.dropped == {"skipped": 1, "no_label": 1, "several_labels": 1, "task_without_annotation": 1}


def test_label_studio_with_several_questions_asks_which(tmp_path):
    both = [studio_task(1, {"completed_by": 1, "result": [choice("Cat"), choice("yes", "sharp")]})]
    with pytest.raises(BadTable, match=r"kind, sharp.*--answer-column"):
        read_text(tmp_path, json.dumps(both))
    assert rows(read_text(tmp_path, json.dumps(both), answer="sharp")) == [("s3://b/1.jpg", "1", "yes")]
    boxes = [studio_task(1, {"completed_by": 1, "result": [{"type": "rectanglelabels", "value": {"x": 1}}]})]
    with pytest.raises(BadTable, match="no choices"):
        read_text(tmp_path, json.dumps(boxes))


def test_label_studio_tasks_that_share_a_picture_stay_apart(tmp_path):
    tasks = [studio_task(n, {"completed_by": 1, "result": [choice("x")]}) for n in (1, 2)]
    tasks[1]["data"]["image"] = tasks[0]["data"]["image"]
    assert [row[0] for row in rows(read_text(tmp_path, json.dumps(tasks)))] == ["1", "2"]


def test_label_studio_json_min(tmp_path):
    base = {"image": "/data/1.jpg", "id": 1, "created_at": "2026-01-01T00:00:00Z", "lead_time": 2.5}
    records = [
        base | {"choice": "Cat", "annotator": 1, "annotation_id": 11},
        base | {"choice": {"choices": ["Cat", "Dog"]}, "annotator": 2, "annotation_id": 12},
        base | {"annotator": 3, "annotation_id": 13},
    ]
    read = read_text(tmp_path, json.dumps(records))
    assert read.kind == "label_studio_min"
    assert rows(read) == [("/data/1.jpg", "1", "Cat")]
    assert read.dropped == {"several_labels": 1, "no_label": 1}


def test_label_studios_table_has_its_own_names(tmp_path):
    text = (
        "annotation_id,annotator,choice,created_at,id,image,lead_time,updated_at\n"
        "11,1,Cat,2026-01-01,1,/data/1.jpg,2.5,2026-01-01\n12,2,Dog,2026-01-01,1,/data/1.jpg,2.5,2026-01-01\n"
    )
    assert rows(read_text(tmp_path, text)) == [("/data/1.jpg", "1", "Cat"), ("/data/1.jpg", "2", "Dog")]


# --- CVAT -----------------------------------------------------------------------------------------------

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
 <meta><job><id>4</id><assignee><username>ann</username><email></email></assignee></job></meta>
 <image id="0" name="a.jpg" width="9" height="9"><tag label="cat" source="manual"></tag></image>
 <image id="1" name="b.jpg" width="9" height="9">
   <tag label="cat" source="manual"><attribute name="age">old</attribute></tag>
   <tag label="dog" source="manual"><attribute name="size">big</attribute></tag></image>
 <image id="2" name="c.jpg" width="9" height="9"><box label="cat" xtl="1" ytl="1" xbr="2" ybr="2"/></image>
 <image id="3" name="d.jpg" width="9" height="9"><tag label="dog" source="auto"></tag></image>
</annotations>"""


def test_cvat_for_images(tmp_path):
    read = read_text(tmp_path, CVAT, "job4.xml")
    assert rows(read) == [("a.jpg", "ann", "cat")]
    assert read.dropped == {"several_labels": 1, "no_label": 1, "by_a_model": 1}
    assert "1 boxes" in read.warnings[0]
    assert rows(read_text(tmp_path, CVAT, answer="size")) == [("b.jpg", "ann", "big")]


def test_cvat_in_its_zip_and_without_an_annotator(tmp_path):
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("images/a.jpg", b"\0")
        archive.writestr("annotations.xml", CVAT.replace("<username>ann</username>", ""))
    read = read_votes([str(tmp_path / "task.zip")])
    assert rows(read) == [("a.jpg", "task", "cat")]
    assert "names no annotator" in read.warnings[0]


def test_a_cvat_project_has_a_worker_for_each_task(tmp_path):
    """The same pictures in several tasks of a project: as the server writes it, `task_id` on every image."""
    person = "<{0}><username>{1}</username><email></email></{0}>"
    tasks = "".join(
        f"<task><id>{number}</id><name>t</name>{person.format('owner', 'boss')}{assignee}</task>"
        for number, assignee in ((7, person.format("assignee", "ann")), (8, "<assignee></assignee>"), (9, ""))
    )
    images = "".join(
        f'<image id="{n}" name="a.jpg" subset="default" task_id="{n}" width="9" height="9">'
        f'<tag label="{label}" source="manual"></tag></image>'
        for n, label in ((7, "cat"), (8, "dog"), (9, "cat"))
    )
    meta = f"<meta><project><id>1</id><tasks>{tasks}</tasks>{person.format('owner', 'boss')}</project></meta>"
    read = read_text(tmp_path, f"<annotations><version>1.1</version>{meta}{images}</annotations>", "p.xml")
    assert rows(read) == [("a.jpg", "ann", "cat"), ("a.jpg", "task 8", "dog"), ("a.jpg", "task 9", "cat")]


def test_several_cvat_jobs_are_several_workers(tmp_path):
    for name, who in (("job4", "ann"), ("job5", "bob"), ("job6", "")):
        text = CVAT.replace(
            "<assignee><username>ann", f"<owner><username>boss</username></owner><assignee><username>{who}"
        )
        (tmp_path / f"{name}.xml").write_text(text)
    read = read_votes([str(tmp_path / f"job{n}.xml") for n in (4, 5, 6)])
    assert [row[1] for row in rows(read)] == ["ann", "bob", "job6"]
    assert "names no annotator" in " ".join(read.warnings)


def test_cvats_json_and_its_videos(tmp_path):
    tags = {"version": 0, "tags": [{"frame": 3, "label_id": 5}, {"frame": 4, "label": "cat"}], "shapes": [{}]}
    assert rows(read_text(tmp_path, json.dumps(tags), "ann.json")) == [("3", "ann", "5"), ("4", "ann", "cat")]
    with pytest.raises(BadTable, match="without frame"):
        read_text(tmp_path, '{"tags": [{"x": 1}]}')
    with pytest.raises(BadTable, match="video"):
        read_text(tmp_path, "<annotations><meta/><track/></annotations>")


def test_what_an_xml_file_names_elsewhere_is_not_read(tmp_path):
    bomb = (
        '<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;"><!ENTITY z SYSTEM "votes.secret">]>'
        '<annotations><meta/><image name="a"><tag label="l"><attribute name="n">&y;&z;</attribute></tag>'
        "</image></annotations>"
    )
    (tmp_path / "votes.secret").write_text("secret")
    assert "secret" not in str(rows(read_text(tmp_path, bomb, answer="n")))


# --- Mechanical Turk ------------------------------------------------------------------------------------


def batch(*assignments: dict) -> str:
    base = {"HITId": "H1", "AssignmentStatus": "Approved", "Input.image_url": "http://x/1.jpg", "Reject": ""}
    return pd.DataFrame([base | each for each in assignments]).fillna("").to_csv(index=False)


def test_mturk_batch_results(tmp_path, capsys):
    text = batch(
        {"WorkerId": "A", "Answer.category": "cat"},
        {"WorkerId": "B", "Answer.category": "cat", "AssignmentStatus": "Submitted"},
        {"WorkerId": "C", "Answer.category": "dog", "AssignmentStatus": "Rejected"},
        {"WorkerId": "D", "Answer.category": "dog", "Reject": "too fast"},
        {"WorkerId": "E", "Answer.category": ""},
    )
    code, summary, table, _ = settle(tmp_path, capsys, text)
    assert code == 0
    assert summary["format"] == "mturk"
    assert summary["dropped"] == {"rejected": 2, "no_label": 1}
    assert summary["votes_read"] == 5
    assert table[["task", "label", "votes"]].to_numpy().tolist() == [["http://x/1.jpg", "cat", "2"]]


def test_mturk_asks_which_answer_is_meant(tmp_path):
    text = batch({"WorkerId": "A", "Answer.category": "cat", "Answer.comment": "nice"})
    with pytest.raises(BadTable, match=r"Answer\.comment.*--answer-column"):
        read_text(tmp_path, text)
    assert rows(read_text(tmp_path, text, answer="category"))[0][2] == "cat"
    with pytest.raises(BadTable, match="no answer colour"):
        read_text(tmp_path, text, answer="colour")


@pytest.mark.parametrize(
    "cell",
    ['[{"category":{"label":"cat"}}]', '[{"kind":{"cat":true,"dog":false}}]', '{"labels":["cat"]}', "cat"],
)
def test_mturk_answers_of_crowd_html_elements(tmp_path, cell):
    read = read_text(tmp_path, batch({"WorkerId": "A", "Answer.taskAnswers": cell}))
    assert rows(read) == [("http://x/1.jpg", "A", "cat")]


def test_mturk_columns_of_an_image_classifier_and_a_review(tmp_path):
    """As the site writes it: `Answer.category.label`, and the reviewer's reasons under Reject."""
    text = batch(
        {"WorkerId": "A", "Answer.category.label": "cat"},
        {"WorkerId": "B", "Answer.category.label": "dog", "Reject": "did not look"},
        {"WorkerId": "C", "Answer.category.label": "dog", "AssignmentStatus": "Rejected"},
        {"WorkerId": "D", "Answer.category.label": "dog", "AssignmentStatus": "Submitted", "Approve": "x"},
    )
    read = read_text(tmp_path, text)
    assert rows(read) == [("http://x/1.jpg", "A", "cat"), ("http://x/1.jpg", "D", "dog")]
    assert read.dropped == {"rejected": 2}


def test_mturk_radio_buttons_and_hits_without_a_picture(tmp_path):
    text = batch(
        {"WorkerId": "A", "Answer.kind.cat": "true", "Answer.kind.dog": "false"},
        {"WorkerId": "B", "Answer.kind.cat": "true", "Answer.kind.dog": "true"},
    ).replace("Input.image_url", "Title")
    read = read_text(tmp_path, text)
    assert rows(read) == [("H1", "A", "cat")]
    assert read.dropped == {"several_labels": 1}


# --- pictures -------------------------------------------------------------------------------------------


def test_pictures_are_one_more_voter_and_are_marked(tmp_path, capsys):
    votes = ["task,worker,label"]
    probabilities = ["item,label,probability"]
    for n in range(120):
        truth, other = ("x", "y") if n % 2 else ("y", "x")
        # Three workers, each wrong on a third of the tasks, so that some tasks have two wrong votes.
        votes += [f"t{n:03},w{w},{other if (n // 2 * (w + 1) + w) % 3 == 0 else truth}" for w in range(3)]
        probabilities.append(f"t{n:03},{truth},0.9")
    (tmp_path / "p.csv").write_text("\n".join(probabilities))
    _, summary, table, _ = settle(tmp_path, capsys, "\n".join(votes), "--pictures", str(tmp_path / "p.csv"))
    assert set(table["method"]) == {"auto+pictures"}
    assert summary["pictures"]["weight"] > 0
    _, summary, table, _ = settle(tmp_path, capsys, "\n".join(votes))
    assert set(table["method"]) == {"auto"}
    assert "pictures" not in summary
