"""Votes from what Label Studio, CVAT and Mechanical Turk export."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest

from ingest.tables import BadTable
from quality.readers import read_votes
from tests.quality.vote_files import read_text, rows, settle

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
