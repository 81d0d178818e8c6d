"""The arms: labellings of the same train pictures, made from the release's own votes.

| arm | label of a train picture |
|---|---|
| `one_vote` | one of its usable votes at random, drawn anew for each seed |
| `majority` | most usable votes; ties at random by seed |
| `majority_kN` | the same of its first N usable votes; where votes carry no time, of N at random by seed |
| `dawid_skene` | Dawid-Skene over all votes of the release |
| `consensus` | the release's category |
| `soft_posterior` | the release's posterior over the classes, as a soft target |
| `soft_votes` | the shares of its usable votes, as a soft target |
| `confident` | the consensus, without pictures whose confidence is below the setting `confidence` |
| `cleaned` | the consensus, without pictures that confident learning flags (`quality.issues`, out of fold) |
| `cleaned_control` | the consensus, without as many pictures of each category drawn at random by seed |
| `budget_1` | one of its usable votes at random: N pictures, N votes |
| `budget_3` | majority of three of its usable votes at random, on N/3 pictures drawn by seed: N votes too |
| `reference` | the experts' label |
| `noise_sym_10/20/40` | the base label, replaced with that chance by another class, each equally likely |
| `noise_crowd_10/20/40` | the same, by a class that wrong votes on the base label say, in their proportions |

The base label is the reference where all train pictures have one, else the consensus. All arms of a run draw
on the same pictures, those that every arm has a label for; what that leaves out is counted. Arms that drop
some of these take as many optimiser steps as the others. A `majority_kN` with more votes than every picture
has would train on hard pictures, which get more votes: it is evaluated apart (`audit_majority_kN`), on the
random audit share of the release alone. `noise_crowd` hits the pictures that `noise_sym` hits.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from annotation_site.figures import number_of
from training.arms import noise
from training.arms.ballots import Ballots, majority, one_vote, shares
from training.arms.subsets import class_wise_control, random_part
from training.release import Release

NOISE_SYM = {f"noise_sym_{percent}": percent / 100 for percent in (10, 20, 40)}
NOISE_CROWD = {f"noise_crowd_{percent}": percent / 100 for percent in (10, 20, 40)}
NOISE = NOISE_SYM | NOISE_CROWD
SOFT = ("soft_posterior", "soft_votes")
FEWER = ("confident", "cleaned", "cleaned_control", "budget_3")
"""Arms that train on some of the pictures only."""
FIRST_VOTES = re.compile(r"majority_k([1-9]\d{0,3})")
AUDIT = "audit_"
ARMS = (
    "one_vote",
    "majority",
    "majority_kN",
    "dawid_skene",
    "consensus",
    *SOFT,
    *FEWER[:3],
    "budget_1",
    "budget_3",
    "reference",
    *NOISE,
)
NEED_VOTES = ("one_vote", "majority", "dawid_skene", "soft_votes", "budget_1", "budget_3")

Ints = np.ndarray
Floats = np.ndarray


class ArmError(ValueError):
    """An arm that this release cannot give; the message is one line for the user."""


@dataclass(frozen=True)
class Targets:
    """What an arm teaches. `labels`: int64[n] class indices of all pictures; `soft`: float32[n, classes] or
    None; `rows`: int64[m], the pictures that it is taught on, or None for all."""

    labels: Ints
    soft: Floats | None = None
    rows: Ints | None = None


@dataclass(frozen=True)
class Labellings:
    """The arms of one run over one common set of n train pictures.

    `arms`: those of the run, then those on the audit share. `images`: ids, sorted. `rows`: int64[n], their
    rows in the release's train split. `reference`: int64[n], class index or -1 where no expert judged.
    `base`: int64[n], what noise is added to. `sure`: bool[n], confidence at least the setting's. `audit`:
    int64[m], the pictures of arms on the audit share. `flagged`: bool[n], by confident learning, or None
    before it ran.
    """

    release: Release
    arms: tuple[str, ...]
    images: tuple[str, ...]
    rows: Ints
    reference: Ints
    base: Ints
    base_name: str
    ballots: Ballots
    sure: Ints
    audit: Ints
    warnings: list[str]
    flagged: Ints | None = None
    _fixed: dict[str, Targets] = field(default_factory=dict)

    def targets(self, arm: str, seed: int) -> Targets:
        """What `arm` teaches under `seed`; the same arguments give the same labels."""
        name = arm.removeprefix(AUDIT)
        if first := FIRST_VOTES.fullmatch(name):
            labels = majority(self.ballots.first(int(first[1]), seed), seed)
            return Targets(labels, rows=self.audit if name != arm else None)
        classes = len(self.release.classes)
        if arm in NOISE_SYM:
            return Targets(noise.symmetric_noise(self.base, NOISE[arm], classes, seed))
        if arm in NOISE_CROWD:
            mistakes = noise.crowd_mistakes(self.ballots.counts, self.base, classes)
            return Targets(noise.crowd_noise(self.base, NOISE[arm], mistakes, seed))
        consensus = self._fixed["consensus"].labels
        if arm == "confident":
            return Targets(consensus, rows=np.flatnonzero(self.sure))
        if arm in ("cleaned", "cleaned_control"):
            assert self.flagged is not None, "confident learning comes first"
            kept = ~self.flagged
            if arm == "cleaned_control":
                kept = class_wise_control(consensus, self.flagged, seed)
            return Targets(consensus, rows=np.flatnonzero(kept))
        return self._of_votes(arm, seed)

    def _of_votes(self, arm: str, seed: int) -> Targets:
        """Arms that read the votes under a seed, and those that are the same under each."""
        counts = self.ballots.counts
        if arm in ("one_vote", "budget_1"):
            return Targets(one_vote(counts, seed))
        if arm == "majority":
            return Targets(majority(counts, seed))
        if arm == "soft_votes":
            return Targets(majority(counts, seed), shares(counts))
        if arm == "budget_3":
            part = random_part(len(self.images), len(self.images) // 3, seed)
            return Targets(majority(self.ballots.some(3, seed), seed), rows=part)
        return self._fixed[arm]

    def with_flagged(self, flagged: Ints, *, lenient: bool) -> Labellings:
        """These with what confident learning flagged; if it would empty a class, `ArmError`, or, where
        `lenient`, these without the two arms that need it, and a warning."""
        found = dataclasses.replace(self, flagged=flagged)
        consensus = self._fixed["consensus"].labels
        empty = sorted(set(consensus.tolist()) - set(consensus[~flagged].tolist()))
        if not empty:
            share = f"{int(flagged.sum()):,} of {number_of(len(flagged), 'train picture')}"
            self.warnings.append(f"cleaned: confident learning flags {share}, which it drops")
            return found
        line = f"cleaned leaves no train picture of {self.named(empty)}"
        if not lenient:
            raise ArmError(f"{line}; run without cleaned and cleaned_control, or with more pictures")
        self.warnings.append(f"{line}: left out")
        kept = tuple(arm for arm in self.arms if not arm.startswith("cleaned"))
        return dataclasses.replace(found, arms=kept)

    def named(self, classes: Sequence[int]) -> str:
        """Category ids of some class indices, for a line; at most five."""
        return ", ".join(self.release.classes[index] for index in classes[:5])

    def check(self, seeds: int) -> None:
        """Every arm that drops pictures has some of each class left under each seed, else `ArmError`; other
        arms only warn (a rare class may be outvoted)."""
        for arm in self.arms:
            for seed in range(seeds):
                targets = self.targets(arm, seed)
                taught = targets.labels if targets.rows is None else targets.labels[targets.rows]
                absent = np.flatnonzero(np.bincount(taught, minlength=len(self.release.classes)) == 0)
                if not len(absent):
                    continue
                line = f"{arm} has no train picture of {self.named(absent.tolist())} under seed {seed}"
                if targets.rows is not None:
                    raise ArmError(f"{line}; run without {arm}, or with more pictures of it")
                self.warnings.append(line)
                break
