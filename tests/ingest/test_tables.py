"""Tables keep ids as text, equal rows give equal bytes, and a bad file is one clear line."""

import pandas as pd
import pytest

from ingest.tables import SUFFIXES, BadTable, read_table, write_table

FRAME = pd.DataFrame(
    {"task": ["007", "", "NA"], "label": ["a,b", 'say "x"', "ü\nz"], "seconds": [1.5, 2.0, 3.25]}
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ids_come_back_as_they_went(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(FRAME, path)
    back = read_table(path, ["task"], numbers=["seconds"])
    assert back["task"].tolist() == ["007", "", "NA"]
    assert back["label"].tolist() == FRAME["label"].tolist()
    assert back["seconds"].tolist() == [1.5, 2.0, 3.25]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_rows_give_equal_bytes(tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_table(FRAME, first)
    write_table(FRAME.copy(), second)
    assert first.read_bytes() == second.read_bytes()


def test_numbers_in_parquet_ids_become_text(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"task": [7, 12], "label": ["x", None]}).to_parquet(path, index=False)
    assert read_table(path).to_numpy().tolist() == [["7", "x"], ["12", ""]]


def test_other_spellings_are_renamed_only_where_the_column_is_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeffitem,task,label\n1,2,3\n", encoding="utf-8")
    assert read_table(path, ["task"], rename={"item": "task"})["task"].tolist() == ["2"]
    path.write_text("item, label\n1, 3\n", encoding="utf-8")
    assert read_table(path, ["task", "label"], rename={"item": "task"})["task"].tolist() == ["1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"a,b\n1,2\n", "no column task"),
        ("t.csv", b"", "empty"),
        ("t.csv", b"task,x\n1,2,3,4\n5\n6,7,8,9,10\n", "not a readable table"),
        ("t.csv", b"task\n\xff\xfe\n", "not a readable table"),
        ("t.csv.gz", b"task\n1\n", "not a readable table"),
        ("t.csv.gz", b"\x1f\x8b\x08\x00", "not a readable table"),
        ("t.parquet", b"PAR1 no", "not a readable table"),
        ("t.txt", b"task\n", "ends in"),
        ("t.csv", b"task,label\na,b,c\n", "more cells than its header"),
    ],
)
def test_a_bad_table_is_one_clear_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadTable, match=message) as caught:
        read_table(path, ["task"])
    assert "\n" not in str(caught.value)


def test_missing_file_missing_folder_and_bad_number(tmp_path):
    with pytest.raises(BadTable, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(BadTable, match="cannot write"):
        write_table(FRAME, tmp_path / "none" / "t.csv")
    path = tmp_path / "t.csv"
    path.write_text("task,seconds\na,1\nb,soon\n")
    with pytest.raises(BadTable, match="row 3: 'soon'"):
        read_table(path, numbers=["seconds"])


def test_a_failed_write_leaves_the_old_table(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(FRAME, path)
    before = path.read_bytes()
    with pytest.raises(Exception, match="mix"):
        write_table(pd.DataFrame({"mix": [1, "a", object()]}), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
