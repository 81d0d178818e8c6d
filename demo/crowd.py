"""Simulated workers: how they answer, drawn from a documented model. Pure and seeded.

The model is made so that no consensus method meets its own assumptions:

1. Every photo has a difficulty, shared by all workers, drawn from Beta(0.6, 2.4): mean 0.20, a long
   tail of hard ones. Noise is 0.1 harder.
2. Every photo has one tempting wrong answer, shared by all workers: whoever errs gives it 60 % of the time.
   So mistakes coincide on hard photos, as in real crowds; Dawid-Skene and majority both suffer from that.
3. Every kind of worker has a confusion table: what is answered instead, look-alikes first. Every worker also
   has a skill of its own around the kind's.
4. P(right) = skill * (1 - slope * difficulty); hard photos also draw `__unsure__`.
5. Some workers do not look: random clickers, one who always answers the same, and one who read the
   instructions wrongly and swaps shirt with T-shirt throughout.

A worker's answer to a photo depends on (seed, worker, photo) alone: the order of work changes nothing.
"""

import random
from dataclasses import dataclass

from demo.plan import LOOK_ALIKES, NONE

UNSURE = "__unsure__"
TEMPTED = 0.6
CATEGORIES = tuple(LOOK_ALIKES)


@dataclass(frozen=True)
class Kind:
    """How one kind of worker answers; see the module's text. `pace`: median seconds for an answer."""

    skill: float
    slope: float
    unsure: float
    spread: float  # share of errors that fall anywhere, not on look-alikes
    pace: float


@dataclass(frozen=True)
class Worker:
    """One simulated person. `skill` is P(right) on the easiest photo."""

    name: str
    kind: str
    skill: float


KINDS: dict[str, Kind] = {
    "expert": Kind(skill=0.99, slope=0.45, unsure=0.04, spread=0.05, pace=3.5),
    "average": Kind(skill=0.975, slope=0.62, unsure=0.06, spread=0.15, pace=2.4),
    "sloppy": Kind(skill=0.88, slope=0.72, unsure=0.02, spread=0.40, pace=1.3),
    "swapper": Kind(skill=0.96, slope=0.62, unsure=0.05, spread=0.15, pace=2.2),
    "clicker": Kind(skill=0.0, slope=0.0, unsure=0.0, spread=1.0, pace=0.5),
    "constant": Kind(skill=0.0, slope=0.0, unsure=0.0, spread=0.0, pace=0.4),
}
CROWD_SIZES = {"expert": 4, "average": 14, "sloppy": 8, "clicker": 2, "constant": 1, "swapper": 1}
CONSTANT_ANSWER = "t-shirt"
SWAPPED = {"shirt": "t-shirt", "t-shirt": "shirt"}


def make_crowd(seed: int) -> list[Worker]:
    """The 30 workers, named w01, w02, … in an order that does not tell their kind."""
    rng = random.Random(f"crowd|{seed}")
    kinds = [kind for kind, size in CROWD_SIZES.items() for _ in range(size)]
    rng.shuffle(kinds)
    return [
        Worker(f"w{number:02d}", kind, min(0.995, max(0.0, KINDS[kind].skill + rng.uniform(-0.04, 0.04))))
        if KINDS[kind].skill
        else Worker(f"w{number:02d}", kind, 0.0)
        for number, kind in enumerate(kinds, start=1)
    ]


def confusion_row(kind: str, truth: str) -> dict[str, float]:
    """What this kind of worker answers instead of `truth`, as weights that sum to 1."""
    others = [label for label in (*CATEGORIES, NONE) if label != truth]
    near = LOOK_ALIKES.get(truth, CATEGORIES)
    spread = KINDS[kind].spread
    row = {label: spread / len(others) for label in others}
    ranks = {label: 1 / (rank + 1) if truth != NONE else 1.0 for rank, label in enumerate(near)}
    to_none = 0.25 if truth != NONE else 0.0
    scale = (1 - spread) * (1 - to_none) / sum(ranks.values())
    for label, weight in ranks.items():
        row[label] += scale * weight
    if to_none:
        row[NONE] += (1 - spread) * to_none
    return row


def difficulty(photo: str, truth: str, seed: int) -> float:
    """0 (anybody sees it) to 1 (nobody can tell), the same for every worker."""
    drawn = random.Random(f"difficulty|{seed}|{photo}").betavariate(0.6, 2.4)
    return min(1.0, drawn + 0.1) if truth == NONE else drawn


def tempting_answer(photo: str, truth: str, seed: int) -> str:
    """The wrong answer that this photo suggests, to every worker alike."""
    row = confusion_row("average", truth)
    return random.Random(f"tempting|{seed}|{photo}").choices(list(row), list(row.values()))[0]


def answer(worker: Worker, photo: str, truth: str, choices: list[str], seed: int) -> tuple[str, float]:
    """(label out of `choices`, seconds taken). Raises ValueError without choices."""
    if not choices:
        raise ValueError("a worker needs at least one choice")
    rng = random.Random(f"answer|{seed}|{worker.name}|{photo}")
    kind = KINDS[worker.kind]
    seconds = round(kind.pace * rng.lognormvariate(0, 0.45), 2)
    if worker.kind == "constant":
        label = CONSTANT_ANSWER
    elif worker.kind == "clicker":
        label = rng.choice([choice for choice in choices if choice != UNSURE] or choices)
    else:
        hardness = difficulty(photo, truth, seed)
        seconds = round(seconds * (1 + hardness), 2)
        label = _looked(worker, photo, truth, hardness, seed, rng)
    if label not in choices:
        label = UNSURE if UNSURE in choices else rng.choice(choices)
    return label, seconds


def _looked(worker: Worker, photo: str, truth: str, hardness: float, seed: int, rng: random.Random) -> str:
    """The answer of a worker who looks at the photo."""
    kind = KINDS[worker.kind]
    if rng.random() < 2 * kind.unsure * hardness:
        return UNSURE
    if rng.random() < worker.skill * (1 - kind.slope * hardness):
        label = truth
    elif rng.random() < TEMPTED:
        label = tempting_answer(photo, truth, seed)
    else:
        row = confusion_row(worker.kind, truth)
        label = rng.choices(list(row), list(row.values()))[0]
    return SWAPPED.get(label, label) if worker.kind == "swapper" else label
