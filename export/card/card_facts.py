"""What a dataset card tells beyond release.json; the database's answers as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from export.card.vote_statistics import VoteStatistics
from export.leakage import Leakage


@dataclass(frozen=True)
class RoundFacts:
    """A round whose votes are in the release, as it was set up; `instructions`: the newest text.

    `taken_over`: all its votes were given elsewhere, on terms that are not on record.
    """

    id: str
    title: str
    question: str
    votes_min: int
    votes_max: int
    confidence: float
    price: float
    gold_rate: float
    audit_rate: float
    access: str
    instructions_version: int
    instructions: str
    taken_over: bool = False


@dataclass(frozen=True)
class Experts:
    """Reference answers: how many experts gave how many, for how many pictures.

    `twice`: pictures that two and more answered; `unanimous`: those of them on which all agree.
    """

    people: int = 0
    answers: int = 0
    pictures: int = 0
    twice: int = 0
    unanimous: int = 0


@dataclass(frozen=True)
class CardFacts:
    """What the card tells beyond release.json.

    `licences`, `hosts`: released pictures by licence and by web host. `sources`: sources by kind.
    `candidates`: addresses by what became of them. `providers`: workers by where they came from. `voided`:
    votes that do not count, by reason. `figures`: paths of the figures in the release.
    """

    title: str
    description: str
    licence: str
    release: dict[str, Any]
    categories: list[dict[str, Any]]
    licences: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    candidates: dict[str, int] = field(default_factory=dict)
    rounds: list[RoundFacts] = field(default_factory=list)
    providers: dict[str, int] = field(default_factory=dict)
    experts: Experts = field(default_factory=Experts)
    voided: dict[str, int] = field(default_factory=dict)
    votes: VoteStatistics = field(default_factory=VoteStatistics)
    leakage: Leakage | None = None
    figures: tuple[str, ...] = ()

    @property
    def sealed(self) -> bool:
        """Whether the labels of test are kept back."""
        return bool(self.release["parameters"].get("sealed"))

    @property
    def names(self) -> dict[str, str]:
        """Category id -> name."""
        return {node["id"]: node["name"] for node in self.categories}
