"""schemathesis asks every call of the API: no 5xx, and every answer is one that the description promises."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck
from hypothesis import settings as property_test
from schemathesis.checks import not_a_server_error
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.annotation_site.api_world import ApiWorld, one_world

pytestmark = pytest.mark.django_db

SCHEMA = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[ApiWorld]:
    """One world for every call; what a call changes is undone after it."""
    # A real request ends by closing a connection that is inside a transaction, as this one is.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        with one_world(tmp_path_factory.mktemp("api"), django_db_blocker) as built:
            yield built
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@SCHEMA.parametrize()
@property_test(
    max_examples=3,
    suppress_health_check=list(HealthCheck),
    derandomize=property_test().derandomize,
    deadline=None,
)
def test_every_answer_is_as_described(case: schemathesis.Case, world: ApiWorld) -> None:
    dice = random.Random(f"{case.path_parameters}{case.query}{case.body!r}")
    if case.meta and case.meta.phase.name == TestPhase.COVERAGE and dice.random() < 0.7:
        return  # of some four thousand values at the bounds of their fields the same third each time
    known = world.known
    for values in (case.path_parameters, case.query, case.body):
        _put_in(values, known, dice)
    people = ["", *world.tokens.values(), *[world.tokens["curator"]] * 4]
    for token in [dice.choice(people)] if case.path_parameters or case.query or case.body else people:
        answer = case.call(headers={"Authorization": f"Bearer {token}"} if token else {})
        case.validate_response(answer, checks=PROMISES)
        if answer.status_code >= 400:
            document = answer.json()
            assert document["status"] == answer.status_code
            assert document["detail"]


def _put_in(values: Any, known: dict[str, list[Any]], dice: random.Random) -> None:
    """Give three in four of the fields that name something there is a name of something there is."""
    if isinstance(values, list):
        for value in values:
            _put_in(value, known, dice)
    elif isinstance(values, dict):
        for key, value in values.items():
            if key in known and dice.random() < 0.75:
                values[key] = dice.choice(known[key])
            else:
                _put_in(value, known, dice)
