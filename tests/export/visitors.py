"""People and strangers who look at pages."""

from __future__ import annotations

import html
import threading
import time

from django.test import Client

from annotation_site.models import Membership, User
from tests.export.world import World

HOME = "/releases/birds/1.0.0/"


def person(role: str, world: World) -> Client:
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, dataset=world.dataset, role=role)
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.content.decode())


def wait_for_the_server(seconds: float = 20.0) -> None:
    """Until the live server has answered whoever has left: then the database may be emptied."""
    end = time.monotonic() + seconds
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < end, "the live server is still answering"
        time.sleep(0.01)
