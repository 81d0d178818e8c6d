"""What stops a training, in words for the user."""

from __future__ import annotations

from training.settings import Settings


class DivergedError(RuntimeError):
    """The loss is no number any more; the message is one line for the user."""


class CompileFailed(RuntimeError):
    """torch.compile does not work here; the message is one line for the user."""


class NotDeterministic(RuntimeError):
    """Some layer computes other bits each time on this device; the message is one line for the user."""


def explained(error: RuntimeError, settings: Settings) -> RuntimeError:
    """The error in words, where it comes of a setting; else as it is."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    where = type(error).__module__
    if settings.compile and where.startswith(("torch._dynamo", "torch._inductor")):
        return CompileFailed(f"torch.compile does not work here ({first[:160]}); run without --compile")
    if settings.deterministic and "deterministic" in str(error):
        return NotDeterministic(f"{settings.model} cannot be deterministic here ({first[:160]})")
    return error
