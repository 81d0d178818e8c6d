"""What workers of a round are told: read, and written anew; nothing that was told is ever edited."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Query, Router, Schema

from annotation_site.api.access import LOGGED_IN, NO_NUL, Id, Line, Name
from annotation_site.api.examples import SHA256, shown
from annotation_site.api.problems import MUCH, READING
from annotation_site.models import Role, Round
from annotation_site.services.instructions import LONGEST_TEXT, NewExample, tell, told
from quality.api.rounds import round_of
from quality.services.examples import Offer, offers

router = Router(tags=["rounds"], auth=LOGGED_IN)


class ToldExample(Schema):
    """A picture that shows a category (`good`), or what is easily taken for it; `note`: what to look at."""

    category: Annotated[str, Field(max_length=100, pattern=NO_NUL)]
    image: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    good: bool
    note: Line = ""


class InstructionsOut(Schema):
    """What workers are told in one version."""

    version: int
    text: str
    examples: list[ToldExample]


class InstructionsIn(Schema):
    """All that workers are to be told. `read`: the version that the writer had before them."""

    model_config = shown(
        text="Tick what shows at least half of the bird.",
        examples=[{"category": "finch", "image": SHA256, "good": True, "note": "mind the beak"}],
        read=1,
    )
    text: Annotated[str, Field(max_length=LONGEST_TEXT, pattern=NO_NUL)]
    examples: Annotated[list[ToldExample], Field(max_length=3_000)] = []
    read: Annotated[int, Field(ge=0, le=2**31 - 1)]


class OfferOut(Schema):
    """A picture that may become an example; `origin`: its label is known by `gold`, or is `settled`."""

    image: str
    origin: str
    label: str


class OffersOut(Schema):
    """`good`: pictures that show the category; `bad`: those that were taken for it and are not."""

    good: list[OfferOut]
    bad: list[OfferOut]


@router.get(
    "datasets/{name}/rounds/{round_id}/instructions",
    response={200: InstructionsOut, **READING},
    url_name="round_instructions",
)
def instructions(
    request: HttpRequest,
    name: Name,
    round_id: Id,
    version: Annotated[int, Query(0, ge=0, le=2**31 - 1, description="0: what workers are told now")],
) -> Any:
    """What workers of a round are told, or were told in an earlier version (votes name the one they saw)."""
    round = round_of(request, name, round_id, Role.REVIEWER, Role.RESEARCHER)
    if version > round.instructions_version:
        raise Http404(f"Round {round.pk} has no version {version} of its instructions.")
    return _told(round, version or None)


@router.put(
    "datasets/{name}/rounds/{round_id}/instructions",
    response={200: InstructionsOut, **MUCH},
    url_name="round_instructions",
)
def write_instructions(request: HttpRequest, name: Name, round_id: Id, body: InstructionsIn) -> Any:
    """Tell workers this from their next batch on: a new version, unless nothing differs. Curators only.

    Pictures of the test split and gold of the round are refused. 409 where somebody else wrote meanwhile.
    """
    round = round_of(request, name, round_id)
    examples = [NewExample(e.category, e.image, e.good, " ".join(e.note.split())) for e in body.examples]
    tell(round, body.text.replace("\r\n", "\n"), examples, read=body.read)
    return _told(round)


@router.get(
    "datasets/{name}/rounds/{round_id}/instructions/offers",
    response={200: OffersOut, **READING},
    url_name="instruction_offers",
)
def instruction_offers(
    request: HttpRequest,
    name: Name,
    round_id: Id,
    category: Annotated[
        str, Query("", max_length=100, pattern=NO_NUL, description="its id; empty: the first")
    ],
) -> Any:
    """Pictures with a known or settled label that would do as examples of a category. Curators only."""
    round = round_of(request, name, round_id)
    held = round.categories()
    found = held.filter(key=category).first() if category else held.first()
    if found is None:
        raise Http404(f"Round {round.pk} has no category {category}.")
    good, bad = offers(round, found)
    return {"good": [_offer(row) for row in good], "bad": [_offer(row) for row in bad]}


def _offer(row: Offer) -> dict[str, str]:
    return {"image": row.sha256, "origin": row.origin, "label": row.label}


def _told(round: Round, version: int | None = None) -> dict[str, Any]:
    now = told(round, version)
    return {
        "version": now.version,
        "text": now.text,
        "examples": [
            {"category": category, "image": sha, "good": good, "note": note}
            for category, rows in now.examples.items()
            for sha, good, note in rows
        ],
    }
