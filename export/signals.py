"""What later stages can hear of, without this one knowing them."""

from __future__ import annotations

from django.dispatch import Signal

release_published = Signal()
"""Sent with `release` once its folder has its name, and again whenever it is written once more.

What is answered, one line, is told to whoever publishes. What fails is logged: it neither stops nor undoes
the release.
"""
