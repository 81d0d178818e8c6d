"""The WSGI application that gunicorn serves."""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.wsgi import get_wsgi_application

REFUSAL = (
    "error: another web process serves this database already. SQLite has one writer at a time, and the queue "
    "that keeps votes in order, the counts of wrong passwords and the caches live in one process: run one "
    "worker with threads (gunicorn --workers 1 --threads 8), or set DATABASE_URL to a PostgreSQL database."
)
GIVE_UP = 4
"""The exit status by which gunicorn stops as a whole instead of starting the process again for ever."""


def hold_alone(path: Path, wait: float = 5.0) -> IO[bytes]:
    """Hold the lock on `path` for as long as this process lives, or leave with a sentence that says why not.

    A server that reloads has its old process a moment longer: `wait` seconds are given to it.
    """
    handle = path.open("ab")
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > end:
                print(REFUSAL, file=sys.stderr, flush=True)
                sys.exit(GIVE_UP)
            time.sleep(0.1)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
application = get_wsgi_application()

if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    _alone = hold_alone(settings.DATA_DIR / "web.lock")
