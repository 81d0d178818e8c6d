"""What later stages can hear of, without this one knowing them."""

from __future__ import annotations

from django.dispatch import Signal

release_published = Signal()
"""Sent with `release` once its folder has its name, and again whenever it is written once more. What a listener
answers, one line, is told to whoever publishes; what fails in it is logged, and neither stops nor undoes the
release."""
