"""A forgotten password: how often a mail may be asked for, and mail that nobody waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import connection
from django.utils import translation

from annotation_site.services.throttle import Limit

log = logging.getLogger(__name__)

RESETS_BY_MAIL = Limit("resets-of", 3, 3600)
"""Mails to one address in an hour: nobody is flooded."""
RESETS_BY_ADDRESS = Limit("resets-from", 20, 3600)
"""From one network address in an hour."""
AFTER = 1.0
"""Seconds until the mail is made: even a thread beside it would slow the answer down by a measurable bit."""


def in_background(send: Callable[[], None]) -> None:
    """Do it when the answer has gone out, whose time then tells nothing. Failures go to the log."""
    language = translation.get_language() or "en"

    def run() -> None:
        try:
            time.sleep(AFTER)
            with translation.override(language):
                send()
        except Exception:
            log.exception("the mail for a new password was not sent")
        finally:
            connection.close()

    threading.Thread(target=run, name="mail", daemon=True).start()
