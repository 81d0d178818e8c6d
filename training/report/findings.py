"""The report's statistical sections: the answer, what label error costs, what the next votes would buy, the
arms, and how they would look on unverified labels."""

from __future__ import annotations

from html import escape
from typing import Any

from annotation_site.figures import number_of, points
from training.report import plots
from training.report.page_parts import figure, interval, note, section, table


def opening(metrics: dict[str, Any]) -> str:
    """The primary contrast, what it rests on, and the warnings."""
    first = next(iter(metrics["arms"].values()))
    facts = (
        f"{number_of(metrics['test_images'], 'test image')} with references, "
        f"{number_of(max(row['n_train'] for row in metrics['arms'].values()), 'train picture')}, "
        f"{number_of(len(first['seeds']), 'seed')} an arm, model {metrics['model']} on {metrics['device']}. "
        "Intervals are 95%, over test images and seeds."
    )
    primary = metrics["primary"]
    answer = ""
    if primary:
        sure = primary["lo"] > 0 or primary["hi"] < 0
        size = f"{abs(100 * primary['value']):.1f}"
        effect = f"{'gains' if primary['value'] > 0 else 'loses'} {size} points of test accuracy"
        effect = "makes no difference to test accuracy" if size == "0.0" else effect
        told = "" if sure else "; the data cannot tell the two apart"
        answer = (
            f'<p class="answer">Training on the consensus instead of the majority {effect} '
            f"(95% interval {points(primary['lo'])} to {points(primary['hi'])}, "
            f"p = {primary['p']:.2g}){told}.</p>"
        )
    if metrics["smallest_difference"] is not None:
        facts += (
            f" A run like this one sees a difference of {100 * metrics['smallest_difference']:.1f} points "
            "in four cases of five."
        )
    warnings = "".join(f'<p class="warn">Note: {escape(line)}.</p>' for line in metrics["warnings"])
    return f"{answer}{note(facts)}{warnings}"


def label_error_cost(metrics: dict[str, Any]) -> str:
    """The curve of accuracy against label error, and its slope in words."""
    title, fit = "What label error costs", metrics["curve"]
    words = metrics["label_error_cost"]["words"]
    if fit is None:
        return section(title, f"{words} A curve needs three arms whose label error is known and differs.")
    more = (
        f"Labels without error would give {interval(fit['at_zero'])}. The arms lie "
        f"{100 * fit['residual']:.1f} points from the curve. Label errors rest on "
        f"{metrics['label_error_basis']}."
    )
    aside = [point["arm"] for point in fit["points"] if not point["fitted"]]
    if aside:
        more += f" Shown but not fitted, because they differ in more than label error: {', '.join(aside)}."
    plot = figure(plots.curve(fit), "Test accuracy against label accuracy of each arm, with the fitted curve")
    return section(title, words, plot, note(more))


def next_votes(metrics: dict[str, Any]) -> str:
    """Labels by number of votes, and what more votes would bring."""
    found = metrics["next_votes"]
    title = "What the next votes would buy"
    if not found["next"]:
        return section(title, found["words"])
    rows = [[str(row["votes"]), interval(row), "–", "–"] for row in found["label_accuracy"]]
    rows.append([f"all, {found['votes_per_picture']:.1f}", interval(found["majority"]), "–", "–"])
    main = len(rows) - 1
    rows += [
        [
            f"{row['more']} more, expected",
            interval(row["label_accuracy"]),
            interval(row["label_gain"], signed=True),
            interval(row["top1_gain"], signed=True),
        ]
        for row in found["next"]
    ]
    head = ("votes a picture", "majority right", "labels, points", "test accuracy, points")
    more = "An even number of votes adds ties: it often buys nothing before the next odd one."
    if check := found["check"]:
        more += (
            f" Foretold from one vote fewer, {number_of(check['votes'], 'vote')} would be right on "
            f"{interval(check['foretold'])}; they are on {interval(check['measured'])}."
        )
    return section(title, found["words"], table(head, rows, main), note(more))


def arms(metrics: dict[str, Any]) -> str:
    """Every arm with its label error, accuracy and difference; the other contrasts below."""
    top5 = any(row["top5"] for row in metrics["arms"].values())
    rows = [_arm_row(arm, row, row["minus_majority"], top5) for arm, row in metrics["arms"].items()]
    order = list(metrics["arms"])
    head = ["arm", "pictures", "label error", "top-1", *(["top-5"] if top5 else []), "minus majority, points"]
    main = order.index("consensus") if "consensus" in order else None
    words = (
        "All arms draw on the same pictures and take as many steps, with the same initialisation and order "
        "in each seed; the last weights count. Consensus minus majority was named before the run; p of all "
        "other contrasts is Holm's. The label error of soft labels is that of their likeliest class."
    )
    others = [row for row in metrics["contrasts"] if not row["contrast"].endswith("minus majority")]
    more = ""
    if others:
        lines = [
            [row["contrast"], interval(row, signed=True), f"{row['p_holm']:.2g}"]
            for row in others
            if row["p_holm"] is not None
        ]
        more = table(("contrast", "points", "p"), lines)
    return f"<h2>The labellings</h2>{table([*head, 'p'], rows, main)}{note(words)}{more}{_audit(metrics)}"


def _arm_row(arm: str, row: dict[str, Any], other: dict[str, Any] | None, top5: bool) -> list[str]:
    chance = None if other is None else other["p"] if other["p_holm"] is None else other["p_holm"]
    return [
        arm,
        str(row["n_train"]),
        interval(row["label_error_interval"]),
        interval(row["top1"]),
        *([interval(row["top5"])] if top5 else []),
        interval(other, signed=True),
        "–" if chance is None else f"{chance:.2g}",
    ]


def _audit(metrics: dict[str, Any]) -> str:
    """The evaluation on the audit share, which is never compared with the arms on all pictures."""
    found = metrics["audit"]
    if found is None:
        return ""
    words = (
        "More votes than every picture has: trained only on "
        f"{number_of(found['n_train'], 'picture')} of the random audit share, because elsewhere it is the "
        "hard pictures that have more. Fewer pictures, so not to be compared with the table above."
    )
    rows = [_arm_row(arm, row, row["difference"], False) for arm, row in found["arms"].items()]
    head = ("arm", "pictures", "label error", "top-1", f"minus {found['against']}, points", "p")
    return f"<h2>More votes, on the audit share</h2><p>{escape(words)}</p>{table(head, rows)}"


def noisy_test(metrics: dict[str, Any]) -> str:
    """References beside unverified labels of the same test pictures."""
    found = metrics["noisy_test"]
    title = "What unverified test labels would make of it"
    if not found["arms"]:
        return section(title, f"Not shown: {found['words']}")
    sets = ("reference", "consensus", "one_vote")
    rows = [[arm, *(interval(row[name]) for name in sets)] for arm, row in found["arms"].items()]
    if found["contrast"]:
        differences = (interval(found["contrast"][name], signed=True) for name in sets)
        rows.append(["consensus minus majority, points", *differences])
    head = ("test accuracy on", "references", "their consensus", "one vote")
    why = (
        "One must not report the two on the right: such labels err where voters err, and a model taught by "
        "the same voters repeats their errors and is praised for it; arms near the test labels' own method "
        "gain, and models better than the labels look worse. All other figures here rest on references."
    )
    return section(title, found["words"], table(head, rows), note(why))
