"""The retrain command in a process of its own that need not import PyTorch again: a copy of this one."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from training.retrain import main


def retrain(
    arguments: list[str], environment: dict[str, str] | None = None, said: Path | None = None
) -> BaseProcess:
    """Start it; `exitcode` is the command's. `said`: a folder for the files `out` and `err`.

    Only what must be killed or run beside another is started so: each test file that does also runs the
    command as a shell does.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(lambda: main(arguments), environment or {}, said)
    )
    process.start()
    return process


def _run(command: Callable[[], int], environment: dict[str, str], said: Path | None) -> None:
    torch.set_num_threads(1)  # OpenMP's threads are not copied
    os.environ.update(environment)
    if said is None:
        files = [os.open(os.devnull, os.O_WRONLY)] * 2
    else:
        said.mkdir(parents=True)
        files = [os.open(said / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err")]
    for descriptor, file in zip((1, 2), files, strict=True):
        os.dup2(file, descriptor)
    sys.stdout, sys.stderr = (os.fdopen(d, "w", buffering=1, closefd=False) for d in (1, 2))
    sys.exit(command())
