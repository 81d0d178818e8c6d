"""A process is known by more than its number: what took the number over is never signalled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from training.process import ask_to_stop, is_alive, name_of


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_asked_by_its_name(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of(sleeper.pid)
    assert is_alive(name)
    assert ask_to_stop(name)
    assert sleeper.wait(10) == -15
    assert not is_alive(name)
    assert not ask_to_stop(name)


def test_a_zombie_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert name_of(sleeper.pid) == ""
    assert not is_alive(name)


def test_another_process_of_the_same_number_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    boot, room, pid, began = name_of(sleeper.pid).split(" ")
    for other in (
        f"{boot} {room} {pid} {int(began) - 1}",
        f"other-boot {room} {pid} {began}",
        f"{boot} pid:[1] {pid} {began}",
    ):
        assert not is_alive(other)
        assert not ask_to_stop(other)
    assert sleeper.poll() is None


@pytest.mark.parametrize("name", ["", "17", "a b c d", "a b 0 1", "a b 999999999 1", "a b -1 1"])
def test_what_is_no_name_is_nobody(name: str) -> None:
    assert not is_alive(name)
    assert not ask_to_stop(name)
