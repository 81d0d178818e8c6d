"""Verify rounds: batches of one category at a time, gold that fits in, and a plain form of ticks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from annotation_site.api.payloads import batch_payload
from annotation_site.models import Round, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.rounds import open_round
from annotation_site.services.votes import Answer, record_votes
from annotation_site.views.labelling import is_grid
from ingest.models import Dataset
from tests.annotation_site.world import make_dataset, person, worker

pytestmark = pytest.mark.django_db


def verify_round(dataset: Dataset, gold: int = 0, **options: object) -> Round:
    """Every picture with every category; the first `gold` pictures are gold."""
    ids = list(dataset.images.order_by("pk").values_list("pk", flat=True))
    pairs = [(pk, category.pk) for pk in ids for category in dataset.categories.all()]
    return open_round(dataset, "verify", tasks=pairs, gold_image_ids=ids[:gold], audit_rate=0.0, **options)


@pytest.mark.parametrize("secret", ["a", "b", "c", "d"])
def test_one_category_comes_after_the_other_and_gold_fits_in(settings: Any, secret: str) -> None:
    """A picture that is alone with its category among rows of others would be known for gold."""
    settings.SECRET_KEY = secret
    made = verify_round(make_dataset(images=40), gold=8, gold_rate=0.25, batch_size=12)
    someone, gold, asked = worker("ann"), 0, list[str]()
    for number in range(30):
        if (batch := claim_batch(someone, made)) is None:
            break
        payload = batch_payload(batch, made)
        shown = [task["category"] for task in payload["tasks"]]
        runs = [key for place, key in enumerate(shown) if shown[place - 1 : place] != [key]]
        plain = {task.category_id for task in batch.tasks if not task.gold}
        if is_grid(payload):  # else they are looked at one by one
            assert len(runs) == len(set(runs)) <= 2
            assert not set(runs) & set(asked[:-1]), "a category that was left does not come back"
            assert {task.category_id for task in batch.tasks} == plain
        asked += [key for key in runs if key not in asked]
        gold += sum(task.gold for task in batch.tasks)
        record_votes(someone, batch.assignment.pk, f"k{number}", [Answer(t.pk, "yes") for t in batch.tasks])
    assert len(asked) == 3
    assert Vote.objects.filter(task__gold=False).count() == 96
    assert 8 <= gold <= 24


def test_few_pictures_a_category_are_looked_at_one_by_one() -> None:
    def payload(*categories: str | None) -> dict[str, object]:
        return {"tasks": [{"category": key} for key in categories]}

    assert is_grid(payload("cat", "cat", "dog", "cat"))
    assert is_grid(payload("cat", "cat"))
    assert not is_grid(payload("cat"))
    assert not is_grid(payload("cat", "dog", "eel"))
    assert not is_grid(payload(None, None))


def test_a_form_of_ticks(client: Client) -> None:
    made = verify_round(make_dataset(images=10), batch_size=6)
    user = person("ann")
    client.force_login(user)
    page = client.get(f"/label/{made.pk}/")
    tasks = [task["task"] for task in page.context["grid"]]
    assert len(tasks) == 6
    form = {"assignment": page.context["batch"]["assignment"], "key": page.context["key"], "shown": tasks}
    given = {**form, "yes": tasks[:2], "unsure": [tasks[5], 987654]}
    assert client.post(f"/label/{made.pk}/", given).status_code == 302
    labels = dict(Vote.objects.values_list("task", "answer"))
    kinds = Vote.Answer
    assert [labels[task] for task in tasks] == [kinds.YES] * 2 + [kinds.NO] * 3 + [kinds.VERIFY_UNSURE]
    client.post(f"/label/{made.pk}/", given)
    assert Vote.objects.count() == 6, "sent twice, stored once"


@pytest.mark.parametrize("shown", [["x"], [""], ["9" * 30]])
def test_a_broken_form_stores_nothing(client: Client, shown: list[str]) -> None:
    made = verify_round(make_dataset(images=4))
    client.force_login(person("ann"))
    page = client.get(f"/label/{made.pk}/")
    given = {"assignment": page.context["batch"]["assignment"], "key": "k", "shown": shown}
    told = client.post(f"/label/{made.pk}/", given, follow=True)
    assert "Please answer again" in told.content.decode() or "not taken" in told.content.decode()
    assert not Vote.objects.exists()
