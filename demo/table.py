"""The demo's closing table, as text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.summary import Share

KEPT = ("stored", "same_bytes", "same_url", "found")


def closing_table(
    done: Mapping[str, Any],
    seconds: Mapping[str, float],
    labels: Mapping[str, Share],
    arms: Sequence[tuple[str, float | None, Share]],
) -> str:
    """What was found, kept, voted, settled and learnt. `done`: the steps' results by name."""
    lines = ["", "What the demo measured", "======================"]
    lines += crawl_lines(done["crawl"]) + dedup_lines(done["dedup"]) + vote_lines(done)
    n = next(iter(labels.values())).n if labels else 0
    lines += ["", f"Label accuracy against the references ({n:,} images without gold; 95 % interval)"]
    lines += [f"  {name:<24}{share}" for name, share in labels.items()]
    test = arms[0][2].n if arms else 0
    lines += ["", f"Test accuracy after retraining ({test:,} referenced test images; 95 % interval)"]
    for arm, error, share in arms:
        wrong = "" if error is None else f"   {100 * error:4.1f} % of its training labels wrong"
        lines.append(f"  {arm:<24}{share}{wrong}")
    spent = ", ".join(f"{name} {seconds[name]:.0f}" for name in done if seconds.get(name, 0) >= 1)
    lines += ["", f"Seconds: {spent}; {sum(seconds.values()):.0f} in all"]
    return "\n".join(lines)


def crawl_lines(crawl: Mapping[str, Any]) -> list[str]:
    """Links found and what became of them."""
    outcomes, hits = crawl["outcomes"], crawl["hits"]
    refused = ", ".join(f"{n} {why}" for why, n in sorted(outcomes.items()) if why not in KEPT)
    again = outcomes.get("same_bytes", 0) + outcomes.get("same_url", 0)
    return [
        f"Found      {crawl['links']:,} links, {outcomes.get('stored', 0):,} pictures kept, "
        f"{again} met again",
        f"Refused    {refused or 'none'}",
        f"Robots     {hits.get('private', 0)} requests into the folder that robots.txt closes",
    ]


def dedup_lines(dedup: Mapping[str, Any]) -> list[str]:
    """Near-copies planted and found."""
    kinds = dedup["kinds"]
    lines = [
        f"Unique     {dedup['unique']:,} of {dedup['images']:,} images; "
        f"{dedup['wrong_merges']} different photos wrongly taken for one",
        "",
        "Near-copies             planted   crawled     found",
    ]
    for kind in kinds:
        share = 100 * kind["found"] / kind["planted"] if kind["planted"] else 0.0
        counts = f"{kind['planted']:>7}{kind['crawled']:>10}{kind['found']:>10}"
        lines.append(f"  {kind['kind']:<22}{counts}  {share:5.1f} %")
    return lines


def vote_lines(done: Mapping[str, Any]) -> list[str]:
    """How many votes it took."""
    first, more = done["label"]["votes"], done["quality"]["more_votes"]
    tasks = done["prepare"]["tasks"]
    last = done["quality"]["passes"][-1]
    return [
        "",
        f"Votes      {first + more:,} by {done['label']['workers']} workers on {tasks:,} images "
        f"({(first + more) / max(1, tasks):.1f} each): {first:,}, then {more:,} where it was unsure",
        f"Settled    {last['settled']:,} images; {last['exhausted']:,} still unsure after the most votes; "
        f"{last['workers_flagged']} workers flagged",
    ]


def farewell(release: Path, run: Path, passwords: Mapping[str, str], custom_data: Path | None) -> str:
    """Where things are, and how to look at them."""
    serve = "make serve" if custom_data is None else f"ASSAY_DATA={custom_data} make serve"
    return "\n".join(
        [
            "",
            f"Release    {release}",
            f"Report     {run / 'report.html'}",
            f"Site       {serve}, then http://127.0.0.1:8000",
            f"             as curator, password {passwords['curator']}",
            f"             as annotator, password {passwords['annotator']}",
        ]
    )
