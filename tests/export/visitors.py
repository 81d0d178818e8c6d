"""People and strangers who look at pages."""

from __future__ import annotations

import html

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
