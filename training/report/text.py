"""The arms as a table for the terminal."""

from __future__ import annotations

from typing import Any

from training.arms import AUDIT


def text_table(metrics: dict[str, Any]) -> str:
    """The arms as text, figures in percent; then what they mean, in words."""
    audit = (metrics["audit"] or {"arms": {}})["arms"]
    rows = metrics["arms"] | {f"{AUDIT}{arm}": row for arm, row in audit.items()}
    width = max(len(arm) for arm in rows)
    lines = [f"{'arm':<{width}}  pictures  label error  test accuracy (95% interval)  minus majority"]
    for arm, row in rows.items():
        error = "        ?" if row["label_error"] is None else f"{100 * row['label_error']:8.1f}%"
        top = row["top1"]
        figure = f"{100 * top['value']:5.1f}%  ({100 * top['lo']:.1f} to {100 * top['hi']:.1f})"
        other = row.get("minus_majority")
        against = (
            f"{100 * other['value']:+.1f}  ({100 * other['lo']:+.1f} to {100 * other['hi']:+.1f})"
            if other
            else ""
        )
        lines.append(f"{arm:<{width}}  {row['n_train']:>8}  {error:>11}  {figure:<29}  {against}".rstrip())
    lines += [metrics[key]["words"] for key in ("label_error_cost", "next_votes", "noisy_test")]
    lines += [f"warning: {line}" for line in metrics["warnings"]]
    return "\n".join(lines)
