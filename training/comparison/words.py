"""What a comparison says, in plain words, and what to know before believing it."""

from __future__ import annotations

from annotation_site.figures import number_of, points
from training.comparison.paired import Comparison, Difference
from training.comparison.runs import Run

FEW_IMAGES = 300
ENOUGH_NAMED = 5
MOST_PICTURES, MOST_SEEDS = 1_000_000, 1_000
SAME = ("seeds", "arms", "preset", "folds", "confidence")
"""Settings in which runs may differ without their nets being of another kind."""


def answers(comparison: Comparison) -> list[str]:
    """One sentence or two for each run: better, worse, or not to be told."""
    return [_answer(comparison, row) for row in comparison.primary]


def _answer(comparison: Comparison, row: Difference) -> str:
    base, found = comparison.base.name, row.difference
    ends = sorted((abs(found.lo), abs(found.hi)))
    if row.told_apart:
        verb = "beats" if found.value > 0 else "falls behind"
        return (
            f"{row.run} {verb} {base} by {100 * abs(found.value):.1f} points "
            f"({100 * ends[0]:.1f} to {100 * ends[1]:.1f})."
        )
    if not len(found.draws):
        return (
            f"{row.run} and {base} cannot be told apart: they share {number_of(row.n, 'test picture')} only."
        )
    sees = f"sees {100 * row.smallest:.1f} points in four cases of five"
    if row.smallest >= 1:
        sees = "is too small to see any difference in four cases of five"
    return (
        f"{row.run} and {base} cannot be told apart: {points(found.value)} points "
        f"({points(found.lo)} to {points(found.hi)}). A comparison like this one {sees}{_what_it_takes(row)}."
    )


def _what_it_takes(row: Difference) -> str:
    """How many pictures or seeds would show a difference as small as the one that was measured."""
    if row.needs is None:
        return "; what was measured is too near to nothing to be looked for"
    pictures, seeds, both = row.needs
    wanted = f"; to see {100 * abs(row.difference.value):.1f}, "
    ways = []
    if pictures is not None and pictures <= MOST_PICTURES:
        ways.append(f"about {_rounded(pictures)} test pictures with as many seeds")
    if seeds is not None and row.seeds > 1 and seeds <= MOST_SEEDS:
        ways.append(f"about {_rounded(seeds)} seeds with these pictures")
    if not ways:
        times = f"{_rounded(both)} times as many test pictures"
        ways.append(f"{times} and seeds" if row.seeds > 1 else times)
    return f"{wanted}{' or '.join(ways)} would be needed"


def _rounded(number: float) -> str:
    """Upwards to two figures: these are rough."""
    size = 10 ** max(0, len(str(int(number))) - 2)
    return f"{int(-(-number // size) * size):,}"


def basis(comparison: Comparison) -> str:
    """On which pictures and seeds the figures rest."""
    shared = comparison.shared
    seeds = sorted({row.seeds for row in comparison.primary})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    words = (
        f"Trained on {comparison.arm}; {number_of(len(shared.images), 'test picture')} that all runs "
        f"answered, paired by picture and by {many} {'seed' if many == '1' else 'seeds'}; intervals are 95%."
    )
    seen = [f"{100 * row.smallest:.1f}" for row in comparison.primary if row.told_apart]
    if seen:
        words += f" In four cases of five such a comparison sees {' and '.join(seen)} points."
    if any(shared.only.values()):
        more = ", ".join(f"{count:,} of {name}" for name, count in shared.only.items() if count)
        words += f" Left out, because not all runs have them: {more}."
    if shared.differing:
        words += f" Left out, because their references differ: {shared.differing:,}."
    if shared.units < len(shared.images):
        words += f" Copies are drawn together: {shared.units:,} different pictures."
    return words


def categories_told(comparison: Comparison, run: Run) -> str:
    """The categories that changed for sure, or that none did."""
    rows = [row for row in comparison.categories if row.run == run.name]
    sure = [row for row in rows if row.told_apart]
    if not sure:
        judged = sum(len(row.difference.draws) > 0 for row in rows)
        return f"No category of {judged} is told apart (Holm, 5%)."
    ordered = sorted(sure, key=lambda row: -abs(row.difference.value))
    named = [f"{row.of} {points(row.difference.value)}" for row in ordered[:ENOUGH_NAMED]]
    more = f" and {len(sure) - ENOUGH_NAMED} more" if len(sure) > ENOUGH_NAMED else ""
    return f"Told apart (Holm, 5%), in points: {', '.join(named)}{more}."


def settings_changed(comparison: Comparison) -> dict[str, list[str]]:
    """Setting -> its value in each run, where they are not all the same."""
    told = [run.metrics.get("settings") or {} for run in comparison.runs]
    keys = dict.fromkeys(key for settings in told for key in settings)
    table = {key: [_spelt(settings.get(key)) for settings in told] for key in keys if key != "arms"}
    return {key: values for key, values in table.items() if len(set(values)) > 1}


def _spelt(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "–" if value is None else str(value)


def warnings(comparison: Comparison) -> list[str]:
    """What a reader must know before believing the figures."""
    runs, lines = comparison.runs, []
    kinds = [key for key in settings_changed(comparison) if key not in SAME]
    prints = {run.release["fingerprint"] for run in runs}
    if kinds and len(prints) > 1:
        lines.append(
            f"the runs differ in their releases and in {', '.join(kinds[:ENOUGH_NAMED])}: "
            "what is measured is both together"
        )
    if len({run.release["name"] for run in runs}) > 1:
        lines.append("the runs are of different datasets")
    classes = [set(run.metrics.get("classes") or []) for run in runs]
    if any(each != classes[0] for each in classes):
        counts = ", ".join(f"{run.name}: {len(each)}" for run, each in zip(runs, classes, strict=True))
        lines.append(f"the runs know different categories ({counts}): more of them are harder to tell")
    fewest = min(row.seeds for row in comparison.primary)
    if fewest == 1:
        lines.append("one seed: the intervals hold the chance of the test pictures only, not of training")
    elif len({seeds for run in runs for seeds in [run.seeds[comparison.arm]]}) > 1:
        lines.append("the runs have different seeds: each pair is compared on those that both have")
    if len(comparison.shared.images) < FEW_IMAGES:
        lines.append(f"only {number_of(len(comparison.shared.images), 'test picture')}: intervals are wide")
    return lines
