"""The card's section on how the labels came about: who voted, on what terms, how far they agree."""

from __future__ import annotations

from typing import Any

from annotation_site.figures import number_of
from export import layout
from export.card.card_facts import CardFacts, Experts, RoundFacts
from export.card.datasheet import plain, section
from export.card.vote_statistics import Agreement, figure

IMPORT = "import"
"""The provider of workers whose votes `import_votes` took in."""
WORDS = 1500
"""Most characters of instructions that are quoted."""


def labelling(facts: CardFacts) -> str:
    """Preprocessing, cleaning, labelling: what was done to pictures, who labelled, how far they agree."""
    return section(
        "Preprocessing, cleaning, labelling",
        pixels(facts.release["parameters"]),
        f"{_blind(facts.providers)} Rounds:",
        "\n".join(_round(facts, told) for told in facts.rounds) or "- no round on record",
        *_instructions(facts.rounds),
        _people(facts),
        _agreement(facts),
        _confused(facts),
        _experts(facts.experts),
        "Train and val carry the workers' consensus, test carries the answer of experts who looked blind. "
        "`confidence` is the consensus' probability, `posteriors.parquet` holds it for every category (given "
        "that the picture shows one of them), `votes.parquet` holds every counted vote, so that labels can "
        "be made anew in another way.",
    )


def _blind(providers: dict[str, int]) -> str:
    """Whether workers saw each other's answers; of votes from elsewhere nobody here knows."""
    if not providers.get(IMPORT):
        return "Workers voted blind: nobody saw another's answer."
    unknown = "were given elsewhere, and whether those workers saw each other's answers is not on record"
    if len(providers) == 1:
        return f"The votes {unknown}."
    return f"Workers voted blind: nobody saw another's answer. Votes that were taken over {unknown}."


def pixels(parameters: dict[str, Any]) -> str:
    """What was done to the pictures."""
    side = parameters.get("longest_side")
    told = (
        f"Pictures whose longer side has more than {side:,} pixels were made smaller to that and encoded "
        "again; the others have the pixels that were found."
        if side
        else "Pixels are as found, bit for bit."
    )
    return (
        f"{told} Camera data, location and comments were taken out of the files; pictures that lay on their "
        "side by their EXIF were turned upright and encoded again; formats other than JPEG, PNG and WebP "
        "became PNG. A file is named by the SHA-256 of its original."
    )


def _round(facts: CardFacts, told: RoundFacts) -> str:
    question = "which category?" if told.question == "classify" else "is it this category?"
    cast = facts.votes.rounds.get(told.id)
    parts = [f"- {plain(told.title) or 'round ' + told.id}: {question}"]
    if cast:
        votes, workers = number_of(cast.votes, "vote"), number_of(cast.workers, "worker")
        parts.append(f" In this release: {votes} by {workers}.")
    parts.append(f" {_terms(told, cast.seconds if cast else None)}")
    if told.access != "everyone":
        parts.append(" For invited workers only.")
    if cast and cast.agreement:
        parts.append(f" {agreement(cast.agreement)}.")
    return "".join(parts)


def _terms(told: RoundFacts, seconds: float | None) -> str:
    """How many votes were asked for, what they rest on, what was paid."""
    if told.taken_over:
        slow = f" A vote took {seconds:.1f} s (median)." if seconds else ""
        return f"Taken over: how many votes were asked for, of whom and for what pay is not on record.{slow}"
    asked = (
        f"{told.votes_min} to {told.votes_max} votes a picture, until the consensus is "
        f"{told.confidence:.0%} sure"
    )
    if told.audit_rate:
        asked += f"; {told.audit_rate:.0%} of the pictures, at random, got the most votes whatever was said"
    if told.gold_rate:
        asked += f"; {told.gold_rate:.0%} of what a worker saw had a known answer"
    return f"{asked}. {_pay(told.price, seconds)}"


def _pay(price: float, seconds: float | None) -> str:
    slow = f" A vote took {seconds:.1f} s (median)" if seconds else ""
    if not price:
        return f"Unpaid.{slow}{'.' if slow else ''}"
    hourly = f", so the pay is {price * 3600 / seconds:.2f} USD an hour" if seconds else ""
    return f"Paid {price:g} USD a vote.{slow}{hourly}{'.' if slow else ''}"


def _instructions(rounds: list[RoundFacts]) -> list[str]:
    """What workers were told, each text once."""
    quoted: dict[str, list[str]] = {}
    for told in rounds:
        if told.instructions.strip():
            name = f"{plain(told.title) or 'round ' + told.id} (version {told.instructions_version})"
            quoted.setdefault(told.instructions.strip(), []).append(name)
    parts = []
    for text, names in quoted.items():
        short = text if len(text) <= WORDS else text[:WORDS].rstrip() + " …"
        lines = "\n".join(f"> {line}".rstrip() for line in short.splitlines())
        parts.append(f"Instructions of {', '.join(names)}:\n\n{lines}")
    return parts


def _people(facts: CardFacts) -> str:
    counts, cost = facts.release["counts"], facts.release["cost"]
    origins = {"site": "people of this site", IMPORT: "taken over from an earlier campaign"}
    came = ", ".join(f"{n:,} {origins.get(name, 'from ' + name)}" for name, n in facts.providers.items())
    voided = ", ".join(f"{n:,} {reason}" for reason, n in facts.voided.items() if n)
    paid = f" {number_of(cost['votes'], 'vote')} cost {cost['usd']} USD, without fees." if cost else ""
    cast = f"{number_of(counts['votes'], 'vote')} by {number_of(counts['workers'], 'worker')}"
    return (
        f"{cast}{f' ({came})' if came else ''}; their "
        "names are pseudonyms that differ from release to release, and nothing else is told of them."
        f"{f' Votes that do not count: {voided}.' if voided else ''}{paid}"
    )


def _agreement(facts: CardFacts) -> str:
    """All rounds of a question together, where there are several."""
    if len(facts.votes.rounds) < 2:
        return ""
    words = {"classify": "Which category?", "verify": "Is it this category?"}
    lines = [f"- {words[question]} {agreement(found)}" for question, found in facts.votes.agreement.items()]
    return "How far workers agree, all rounds together:\n\n" + "\n".join(lines) if lines else ""


def agreement(found: Agreement) -> str:
    """The measures of agreement with their intervals."""
    return (
        f"On {number_of(found.tasks, 'task')} with two votes and more: agreement of two votes "
        f"{figure(found.observed)}, Krippendorff's alpha {figure(found.alpha)}, Fleiss' kappa "
        f"{figure(found.kappa)}"
    )


def _confused(facts: CardFacts) -> str:
    names = facts.names | {layout.NONE: "none of these"}
    rows = [
        f"| {plain(names.get(pair['first'], pair['first']))} "
        f"| {plain(names.get(pair['second'], pair['second']))} "
        f"| {pair['tasks']:,} | {pair['share']:.1%} |"
        for pair in facts.votes.confused
    ]
    if not rows:
        return ""
    head = "| one says | another says | pictures | share of all disagreement |\n|---|---|---:|---:|"
    return "\n".join(["What is taken for what:\n", head, *rows])


def _experts(told: Experts) -> str:
    if not told.answers:
        return "No expert has answered."
    agree = (
        f" Two or more answered {told.twice:,} of them, and agree on {told.unanimous:,} "
        f"({told.unanimous / told.twice:.1%})."
        if told.twice
        else " No picture was answered by two of them."
    )
    return (
        f"References: {number_of(told.people, 'expert')} gave {number_of(told.answers, 'answer')}, blind, "
        f"for {number_of(told.pictures, 'picture')} of the dataset.{agree}"
    )


def accuracy(release: dict[str, Any]) -> str:
    """Label accuracy in a sentence, with its interval and what it rests on."""
    found = release["label_accuracy"]
    if not found:
        return "Label accuracy was not measured: no picture has both votes and an expert's answer."
    return (
        f"Label accuracy {found['value']:.1%} (95% interval {found['lo']:.1%} to {found['hi']:.1%}, "
        f"{number_of(found['n'], 'picture')}; {found['basis']})."
    )
