"""Random numbers as a function of where they are used: seed, epoch, step. Nothing to save for a resume."""

from __future__ import annotations

import torch

ORDER, STEP = 1, 2
"""What is drawn: the order of an epoch, or the augmentation and dropout of a step."""
_MASK = (1 << 64) - 1


def key_of(*numbers: int) -> int:
    """A number of 63 bits from whole numbers, spread evenly (SplitMix64; Steele, Lea & Flood 2014)."""
    state = 0
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + (number & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    # A CPU generator looks at the lower 32 bits alone.
    return (state ^ (state >> 32)) & (_MASK >> 1)


def order_generator(seed: int, epoch: int) -> torch.Generator:
    """The CPU generator that an epoch's order is drawn from, the same in every arm."""
    return torch.Generator().manual_seed(key_of(ORDER, seed, epoch))


def step_key(seed: int, epoch: int, step: int, rank: int) -> int:
    """The seed of all that a step draws; processes that share a batch draw apart."""
    return key_of(STEP, seed, epoch, step, rank)


def seed_layers(key: int, device: torch.device) -> None:
    """Let layers that draw from torch's global generators (dropout, stochastic depth) draw from `key` on."""
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(key)
