"""What later stages can hear of, without this one knowing them."""

from __future__ import annotations

from django.dispatch import Signal

release_published = Signal()
"""Sent with `release` once its folder has its name, and again whenever it is written once more. What listeners
answer, one line, is told to whoever publishes. What fails in them is logged, and neither stops nor undoes a
release."""
