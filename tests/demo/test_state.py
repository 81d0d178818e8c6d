"""Going on after a kill, and starting clean."""

import json
import os
import subprocess
import sys

import pytest

from demo.processes import ROOT, DemoError, Processes, check_port, environment
from demo.run import begin, main
from demo.state import State, move_aside, take_lock

OPTIONS = {"small": 300, "seed": 7, "port": None}


def test_a_finished_step_is_not_done_again(tmp_path):
    state = State(tmp_path, OPTIONS)
    assert state.once("crawl", lambda: {"links": 3}) == {"links": 3}
    loaded = State.load(tmp_path)
    assert loaded.once("crawl", lambda: pytest.fail("done twice")) == {"links": 3}
    assert loaded.last == "crawl"


def test_a_step_that_fails_is_not_kept(tmp_path):
    state = State(tmp_path, OPTIONS)
    state.save()
    with pytest.raises(ZeroDivisionError):
        state.once("crawl", lambda: 1 / 0)
    assert State.load(tmp_path).done == {}


def test_an_unfinished_demo_resumes_and_says_after_which_step(tmp_path, capsys):
    state = begin(tmp_path, OPTIONS, fresh=False)
    state.once("crawl", dict)
    assert begin(tmp_path, OPTIONS, fresh=False).done == {"crawl": {}}
    said = capsys.readouterr().out
    assert "Starting clean" in said
    assert "Resuming after step crawl" in said


def test_other_options_do_not_resume(tmp_path):
    begin(tmp_path, OPTIONS, fresh=False)
    with pytest.raises(DemoError, match="other options") as caught:
        begin(tmp_path, {**OPTIONS, "seed": 8}, fresh=False)
    assert caught.value.code == 2


@pytest.mark.parametrize("fresh", [False, True])
def test_a_finished_demo_is_moved_aside_not_deleted(tmp_path, capsys, fresh):
    state = begin(tmp_path, OPTIONS, fresh=False)
    state.finished = not fresh
    state.save()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "picture").write_text("kept")
    assert begin(tmp_path, OPTIONS, fresh=fresh).done == {}
    assert (tmp_path / "earlier" / "1" / "store" / "picture").read_text() == "kept"
    assert not (tmp_path / "store").exists()
    assert "earlier" in capsys.readouterr().out


def test_moving_aside_twice_keeps_both(tmp_path):
    for _ in range(2):
        State(tmp_path, OPTIONS).save()
        move_aside(tmp_path)
    assert sorted(path.name for path in (tmp_path / "earlier").iterdir()) == ["1", "2"]


def test_a_broken_state_file_is_one_line(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(DemoError, match="--fresh"):
        State.load(tmp_path)


def test_somebody_s_own_data_is_not_touched(tmp_path):
    import sqlite3

    database = sqlite3.connect(tmp_path / "db.sqlite3")
    database.execute("CREATE TABLE ingest_dataset (name TEXT)")
    database.execute("INSERT INTO ingest_dataset VALUES ('birds')")
    database.commit()
    database.close()
    with pytest.raises(DemoError, match="birds"):
        begin(tmp_path, OPTIONS, fresh=True)


def test_two_demos_do_not_share_a_folder(tmp_path):
    handle = take_lock(tmp_path)
    with pytest.raises(DemoError, match="another demo"):
        take_lock(tmp_path, patience=0)
    os.close(handle)
    os.close(take_lock(tmp_path, patience=0))


def test_a_taken_port_is_one_line():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DemoError, match="cannot be used"):
            check_port(taken.getsockname()[1], "the photo site")


def test_bad_arguments_are_one_line_and_exit_2(tmp_path, capsys):
    assert main(["--small", "5", "--data", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_stage_that_fails_stops_the_demo(tmp_path):
    with Processes(tmp_path) as processes, pytest.raises(DemoError, match="exit code 3"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"], "a stage")


def test_a_stage_s_json_is_its_last_line(tmp_path):
    with Processes(tmp_path) as processes:
        printed = processes.run([sys.executable, "-c", "print('{}')"], "a stage")
    assert json.loads(printed) == {}


def test_the_demo_reaches_no_other_server(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/real")
    env = environment(tmp_path)
    assert "DATABASE_URL" not in env
    assert env["ASSAY_DATA"] == str(tmp_path)


def test_a_killed_demo_leaves_no_process(tmp_path):
    """Kill -9 of the starter closes the keeper's standard input; the command must end and let the lock go."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from demo.processes import Processes; from demo.state import take_lock\n"
        "data = Path(sys.argv[1]); p = Processes(data, take_lock(data))\n"
        "p.start([sys.executable, '-c', 'import time; time.sleep(600)']); print('up', flush=True)\n"
        "time.sleep(600)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout.readline() == "up\n"
    with pytest.raises(DemoError):
        take_lock(tmp_path, patience=0)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    os.close(take_lock(tmp_path, patience=30))
