"""Anybody's table of votes, and files that are none: a clear line or a documented outcome."""

from __future__ import annotations

import gzip
import json

import pytest

from quality.aggregate import main
from tests.quality.vote_files import read_text, rows, settle

VOTES = "task,worker,label\na,w1,cat\na,w2,cat\nb,w1,dög\nb,w2,cat\n"


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
