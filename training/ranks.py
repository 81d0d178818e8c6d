"""Several processes on one run, as `torchrun` starts them: who this one is, and how they agree."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PATIENCE = datetime.timedelta(hours=12)
"""How long processes wait for each other: the first may have a million pictures to decode."""
T = TypeVar("T")


class FirstFailed(RuntimeError):
    """The first process has failed, and has said why."""


class RankLost(RuntimeError):
    """Another process of the run is gone; the message is one line for the user."""


@dataclass(frozen=True)
class Ranks:
    """`rank` of `world` processes; `local`: which of those on this machine, that is, which GPU is its."""

    rank: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            with _one_line():
                _distributed().barrier()

    def in_turn(self, make: Callable[[], T]) -> T:
        """What each process makes, the first one before the others: it fills the caches.

        Raises:
            FirstFailed: in the others, where the first one could not make it.
        """
        if not self.first:
            self.told(lambda: None)
            return make()
        made: list[T] = []
        self.told(lambda: made.append(make()))
        return made[0]

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world == 1:
            return value
        with _one_line():
            summed = value.clone()
            _distributed().all_reduce(summed)
        return summed

    def told(self, make: Callable[[], T]) -> T:
        """What the first process makes, told to all.

        Raises:
            FirstFailed: in the others, where the first one could not make it.
        """
        if self.world == 1:
            return make()
        box: list[Any] = [False, None]
        try:
            if self.first:
                box = [True, make()]
        finally:
            with _one_line():
                _distributed().broadcast_object_list(box, src=0)
        if not box[0]:
            raise FirstFailed
        found: T = box[1]
        return found

    def wrap(self, net: nn.Module, device: torch.device) -> nn.Module:
        """The net whose gradients are the mean over all processes; alone, the net itself."""
        if self.world == 1:
            return net
        from torch.nn.parallel import DistributedDataParallel

        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=ids)


ALONE = Ranks()


def launched() -> Ranks:
    """Who this process is by torchrun's variables; alone where there are none. Opens no connection."""
    return Ranks(
        _number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)
    )


def connect(ranks: Ranks, device: torch.device) -> None:
    """Open the connection to the other processes: gloo for CPU tensors, NCCL for those on GPUs.

    Raises:
        RankLost: they cannot be reached.
    """
    if ranks.world > 1 and not _distributed().is_initialized():
        with _one_line():
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            _distributed().init_process_group(backend, timeout=PATIENCE)


def disconnect(ranks: Ranks) -> None:
    """Close the connection, if one is open."""
    if ranks.world > 1 and _distributed().is_initialized():
        _distributed().destroy_process_group()


def _distributed() -> Any:
    """torch.distributed, loaded when there is something to connect to."""
    import torch.distributed

    return torch.distributed


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default


def lost(error: Exception) -> RankLost:
    """What an error of the connection means to the user."""
    return RankLost(
        "another process of this run is gone or cannot be reached; the same command goes on where it was "
        f"({' '.join(str(error).split())[:160]})"
    )


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise lost(error) from None
