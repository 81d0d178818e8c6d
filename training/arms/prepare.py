"""Which arms a release can give, and their labels on the train pictures that all of them can use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from annotation_site.figures import number_of
from training.arms import ARMS, AUDIT, FIRST_VOTES, NEED_VOTES, NOISE_CROWD, ArmError, Labellings, Targets
from training.arms.ballots import Ballots, positions, read_ballots
from training.release import Release

ALL = "all"
CONFIDENCE = 0.9
MOST_FIRST_VOTES = 9
"""`all` tries the first 1, 2, ... votes up to so many."""
MOST_LACKING = 0.1
"""Below this share of pictures without what an arm needs, it joins a preset; above, only when asked for by
name. Of the audit share likewise, pictures with too few usable votes."""

Ints = np.ndarray


@dataclass(frozen=True)
class _Train:
    """The release's n train pictures. `reference`, `consensus`: int64[n]; `sure`: bool[n]."""

    release: Release
    images: list[str]
    ballots: Ballots
    reference: Ints
    consensus: Ints
    sure: Ints
    confidence: float

    @classmethod
    def of(cls, release: Release, confidence: float) -> _Train:
        train = release.split("train")
        images = list(train["image"])
        said = train["confidence"] if "confidence" in train else pd.Series(np.nan, index=train.index)
        return cls(
            release,
            images,
            read_ballots(release.votes, images, release.classes),
            positions(train["reference"], release.classes),
            positions(train["category"], release.classes),
            # A picture of which nothing is said is not left out.
            ~(pd.to_numeric(said, errors="coerce").to_numpy(dtype=float) < confidence),
            confidence,
        )

    def fewest(self, rows: Ints | None = None) -> int:
        """Usable votes that every picture (of `rows`) with one has at least; 0 where no picture has any."""
        given = self.ballots.given if rows is None else self.ballots.given[rows]
        return int(given[given > 0].min()) if (given > 0).any() else 0

    def audit_votes(self) -> int:
        """Usable votes that nearly all audited pictures have; 0 where none was audited."""
        given = np.sort(self.ballots.given[self.ballots.audited])
        return int(given[int(MOST_LACKING * len(given))]) if len(given) else 0

    def absent(self, rows: Ints) -> str:
        """Up to five categories of which `rows` (int64 or bool) hold no picture, for a line."""
        have = set(self.consensus[rows].tolist())
        return ", ".join([name for at, name in enumerate(self.release.classes) if at not in have][:5])


def known_arm(arm: str) -> bool:
    """Whether an arm of that name can exist."""
    return (arm in ARMS and arm != "majority_kN") or FIRST_VOTES.fullmatch(arm) is not None


def unknown_arm(arm: str) -> str:
    """The line for an arm of no such name."""
    return f"unknown arm {arm!r}; known are {', '.join(ARMS)} (N: a number), and all"


def default_arms(
    release: Release, wanted: Sequence[str], confidence: float = CONFIDENCE
) -> tuple[list[str], list[str]]:
    """Of a preset's arms (or of `all`) those that this release can give, and a warning for each that it
    cannot."""
    train = _Train.of(release, confidence)
    if ALL in wanted:
        most = min(train.fewest(), MOST_FIRST_VOTES)
        first = [f"majority_k{k}" for k in range(1, most + 1)]
        more = train.audit_votes()
        first += [f"majority_k{more}"] if train.fewest() < more else []
        at = ARMS.index("majority_kN")
        wanted = [*ARMS[:at], *first, *ARMS[at + 1 :]]
    arms: list[str] = []
    left_out: dict[str, list[str]] = {}
    for arm in wanted:
        reason = _lacking(train, arm)
        try:
            if reason is None:
                _refuse(train, arm, np.arange(len(train.images)))
        except ArmError as error:
            reason = str(error).removeprefix(f"{arm}: ")
        if reason is None:
            arms.append(arm)
        else:
            left_out.setdefault(reason, []).append(arm)
    return arms, [f"{', '.join(names)} left out: {reason}" for reason, names in left_out.items()]


def _lacking(train: _Train, arm: str) -> str | None:
    """Why an arm that was not asked for by name would take too many pictures from all arms, or None."""
    voted = float((train.ballots.given > 0).mean())
    judged = float((train.reference >= 0).mean())
    named = "; named in --arms, all arms train on those alone"
    if (arm in NEED_VOTES or FIRST_VOTES.fullmatch(arm)) and voted < 1 - MOST_LACKING:
        share = f"only {voted:.0%} of the train pictures have" if voted else "no train picture has"
        return f"{share} a usable vote{named * (voted > 0)}"
    if arm == "reference" and judged < 1 - MOST_LACKING:
        share = f"only {judged:.0%} of the train pictures have" if judged else "no train picture has"
        return f"{share} a reference{named * (judged > 0)}"
    soft = set(train.release.posteriors["image"]).issuperset(train.images)
    if arm == "soft_posterior" and not soft:
        return f"the release has no posteriors for some train pictures{named}"
    return None


def _refuse(train: _Train, arm: str, rows: Ints) -> None:
    """Raise `ArmError` for an arm that cannot be made on these train pictures (int64[m])."""
    if arm in NOISE_CROWD and not train.ballots.given[rows].any():
        raise ArmError(f"{arm}: the release has no usable votes on train pictures to take mistakes from")
    if arm == "confident" and (absent := train.absent(rows[train.sure[rows]])):
        raise ArmError(
            f"confident: no train picture of {absent} has a confidence of {train.confidence:g} or more; "
            "give a lower --confidence"
        )
    needs, fewest = 3 if arm == "budget_3" else 1, train.fewest(rows)
    if arm == "budget_3" and fewest < needs:
        raise ArmError(
            f"budget_3: it needs three usable votes on every train picture; some have {fewest} "
            "(those with more are the hard ones)"
        )
    first = FIRST_VOTES.fullmatch(arm)
    if first and int(first[1]) > fewest:
        _audit_rows(train, int(first[1]), rows)


def _audit_rows(train: _Train, k: int, rows: Ints) -> Ints:
    """int64: of `rows`, the audited pictures with `k` usable votes and more.

    Raises:
        ArmError: there are none, too few of them have so many, or a class has none.
    """
    audited = rows[train.ballots.audited[rows]]
    enough = audited[train.ballots.given[audited] >= k]
    line = f"majority_k{k}: every train picture has {number_of(train.fewest(rows), 'usable vote')} at least"
    if len(enough) < (1 - MOST_LACKING) * len(audited) or not len(enough):
        held = (
            f"{k} and more have only {len(enough)} of {number_of(len(audited), 'picture')} drawn for audit"
            if len(audited)
            else "the release has no random audit share, which alone could answer for more"
        )
        raise ArmError(f"{line}, and {held}; give a smaller number")
    if absent := train.absent(enough):
        raise ArmError(f"{line}; its audit share, which has more, holds no picture of {absent}")
    return enough


def prepare(
    release: Release,
    arms: Sequence[str],
    readable: Ints | None = None,
    confidence: float = CONFIDENCE,
) -> Labellings:
    """Label the train pictures for every arm, on the pictures that all of them can use.

    `readable`: bool[train pictures], False where the file does not decode; all True by default. Raises
    `ArmError` for an arm that the release cannot give.
    """
    strange = [arm for arm in arms if not known_arm(arm)]
    if strange:
        raise ArmError(unknown_arm(strange[0]))
    train = _Train.of(release, confidence)
    fixed = {arm: make(release, train.images) for arm, make in _MAKERS.items() if arm in arms}
    fixed |= {"consensus": Targets(train.consensus), "reference": Targets(train.reference)}
    keep = np.ones(len(train.images), dtype=bool) if readable is None else readable.copy()
    warnings: list[str] = []
    for arm in arms:
        usable = _usable(train, arm, fixed)
        if not usable.any():
            raise ArmError(f"{arm}: no train picture has a label for it in this release")
        if lacking := int((~usable).sum()):
            warnings.append(
                f"{arm} has no usable label for {lacking:,} of "
                f"{number_of(len(train.images), 'train picture')}: left out of all arms"
            )
        keep &= usable
    rows = np.flatnonzero(keep)
    if absent := train.absent(rows):
        raise ArmError(f"no train picture of {absent} is left that all arms can use")
    for arm in arms:
        _refuse(train, arm, rows)
    main, audit_arms, audit = _apart(train, arms, rows, warnings)
    whole = bool((train.reference[rows] >= 0).all())
    warnings += _remarks(train, arms, rows)
    return Labellings(
        release=release,
        arms=(*main, *audit_arms),
        images=tuple(train.images[row] for row in rows),
        rows=rows,
        reference=train.reference[rows],
        base=(train.reference if whole else train.consensus)[rows],
        base_name="reference" if whole else "consensus",
        ballots=train.ballots.take(rows),
        sure=train.sure[rows],
        audit=audit,
        warnings=warnings,
        _fixed={arm: _take(targets, rows) for arm, targets in fixed.items()},
    )


def _remarks(train: _Train, arms: Sequence[str], rows: Ints) -> list[str]:
    """What `confident` drops, and where the order of votes comes from."""
    lines = []
    if "confident" in arms:
        dropped = int((~train.sure[rows]).sum())
        lines.append(
            f"confident: drops those with a confidence below {train.confidence:g}: {dropped:,} of "
            f"{number_of(len(rows), 'train picture')}{'; it is the consensus arm then' * (not dropped)}"
        )
    if not train.ballots.timed and any(FIRST_VOTES.fullmatch(arm) for arm in arms):
        lines.append("votes carry no time: the first votes of majority_kN are drawn at random by seed")
    return lines


def _usable(train: _Train, arm: str, fixed: dict[str, Targets]) -> Ints:
    """bool[n]: the train pictures that the arm has a label for."""
    if arm in fixed:
        return fixed[arm].labels >= 0
    if arm in NEED_VOTES or FIRST_VOTES.fullmatch(arm):
        return train.ballots.given > 0
    return train.consensus >= 0


def _apart(
    train: _Train, arms: Sequence[str], rows: Ints, warnings: list[str]
) -> tuple[list[str], list[str], Ints]:
    """The run's arms; those that only the audit share can answer, the most votes that all pictures have
    among them to compare with; and their pictures (int64, positions in `rows`)."""
    fewest = train.fewest(rows)
    first = {arm: int(found[1]) for arm in arms if (found := FIRST_VOTES.fullmatch(arm))}
    more = {arm: k for arm, k in first.items() if k > fewest}
    if not more:
        return list(arms), [], np.array([], dtype=np.int64)
    most = max(more.values())
    audit = np.searchsorted(rows, _audit_rows(train, most, rows))
    apart = number_of(len(audit), "picture")
    warnings.append(
        f"{', '.join(more)}: some train pictures have only {number_of(fewest, 'usable vote')}, and hard ones "
        f"have more: evaluated apart, on {apart} of the random audit share with {most}"
    )
    numbers = sorted({*more.values(), max(fewest, 1)})
    kept = [arm for arm in arms if arm not in more]
    if not kept:
        raise ArmError(
            f"{', '.join(more)}: evaluated on the audit share alone; name an arm for all pictures too"
        )
    return kept, [f"{AUDIT}majority_k{k}" for k in numbers], audit


def _take(targets: Targets, rows: Ints) -> Targets:
    return Targets(targets.labels[rows], None if targets.soft is None else targets.soft[rows])


def _dawid_skene(release: Release, images: list[str]) -> Targets:
    """Dawid & Skene (1979) over every vote of the release; more votes tell more of each worker."""
    from quality.aggregation import aggregate  # the estimators load slowly; other arms do without

    frame = release.votes[["image", "worker", "label"]].rename(columns={"image": "task"})
    settled = aggregate(frame, method="dawid_skene").consensus.set_index("task")["label"]
    return Targets(positions(settled.reindex(images), release.classes))


def _soft_posterior(release: Release, images: list[str]) -> Targets:
    """The posterior over the release's classes, rescaled to sum 1; -1 where a picture has none."""
    rows = positions(release.posteriors["image"], images)
    columns = positions(release.posteriors["category"], release.classes)
    inside = (rows >= 0) & (columns >= 0)
    soft = np.zeros((len(images), len(release.classes)), dtype=np.float64)
    soft[rows[inside], columns[inside]] = release.posteriors["probability"].to_numpy(dtype=float)[inside]
    total = soft.sum(axis=1)
    labels = np.where(total > 0, soft.argmax(axis=1), -1)
    return Targets(labels, (soft / np.maximum(total, 1e-12)[:, None]).astype(np.float32))


_MAKERS: dict[str, Callable[[Release, list[str]], Targets]] = {
    "dawid_skene": _dawid_skene,
    "soft_posterior": _soft_posterior,
}
