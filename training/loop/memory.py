"""No memory for the batch: smaller parts, one after the other, and what that changed."""

from __future__ import annotations

from collections.abc import Callable

import torch


class ShortOfMemory(RuntimeError):
    """Not even the smallest part fits in memory; the message is one line for the user."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    allocator = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return allocator or isinstance(error, torch.OutOfMemoryError | MemoryError)


def in_parts(work: Callable[[int], None], parts: int, most: int, device: torch.device) -> int:
    """Do `work(parts)`, again in twice as many parts for as long as memory runs out; how many it took.

    Raises:
        ShortOfMemory: `most` parts, one picture each, are too large still.
    """
    while True:
        try:
            work(parts)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        else:
            return parts
        # Out of the handler: the error held on to what the failed attempt had allocated.
        if parts >= most:
            raise ShortOfMemory(
                "there is no memory for a single picture; give a smaller --size, another --model or --device"
            )
        parts = min(2 * parts, most)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def in_words(batch: int, parts: int) -> str:
    """What the user should know of a batch that was taken in parts."""
    return (
        f"a batch of {batch} pictures does not fit in memory: it was taken in {parts} parts whose gradients "
        "add up; batch normalisation and dropout see the parts"
    )
