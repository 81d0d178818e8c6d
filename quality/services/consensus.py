"""One quality-control pass over a round: votes in; consensus, skills and further requests out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from django.db.models.functions import Coalesce

from annotation_site.models import Round, Task
from annotation_site.services.locking import short_write
from annotation_site.services.rounds import order_by_confidence, reopen_tasks, request_votes, settle_tasks
from annotation_site.services.tables import votes_table
from ingest.models import Dataset
from quality.aggregation import BadVotes, aggregate
from quality.agreement import accuracy_interval
from quality.models import Consensus, QCPass, WorkerSkill
from quality.opinion import Finding, in_todays_words, leading
from quality.services.adjudication import decisions, with_decisions
from quality.services.forecast import forecast_of, priced, vote_price
from quality.services.known import settled_references
from quality.services.label_figures import keep_figures
from quality.services.own_agreement import keep_own_agreement
from quality.services.settling import Judged, Wish, judge, numbers_of, with_decided
from quality.services.stored import (
    ABSTAIN,
    CHUNK,
    Answers,
    as_answer,
    category_keys,
    known_labels,
    read_tasks,
    slices,
    write_consensus,
    write_skills,
)
from quality.stopping import ASK_AGAIN, EXHAUSTED, SETTLED, Decision, within_budget

FIGURES = ("method", "votes", "settled", "exhausted", "asked_again", "votes_asked", "mean_confidence")


class ImageConsensus(NamedTuple):
    """What the rounds say about one picture; `posterior` maps labels to probabilities of at least 0.0005."""

    image_id: int
    label: str
    confidence: float
    votes: int
    posterior: dict[str, float]
    round_id: int


@dataclass(frozen=True)
class PassReport:
    """A pass and what is derived from it, as `aggregate --json` prints it."""

    qc_pass: QCPass
    tasks: int
    workers_flagged: int
    estimated_label_accuracy: dict[str, Any] | None
    price: float
    waiting_for_sample: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data; counts describe the round after the pass, `forecast` what it still takes (or None)."""
        made = self.qc_pass
        return {
            "round": made.round_id,
            "method": made.method,
            "votes": made.votes,
            "tasks": self.tasks,
            "settled": made.settled,
            "exhausted": made.exhausted,
            "asked_again": made.asked_again,
            "votes_asked": made.votes_asked,
            "mean_confidence": made.mean_confidence,
            "forecast": made.forecast and priced(made.forecast, self.price),
            "waiting_for_sample": self.waiting_for_sample,
            "estimated_label_accuracy": self.estimated_label_accuracy,
            "workers_flagged": self.workers_flagged,
        }


def aggregate_round(
    round: Round, method: str = "auto", budget: int | None = None, pictures: pd.DataFrame | None = None
) -> QCPass:
    """Compute the round's consensus anew and decide which tasks settle and which get more votes.

    The stopping rule is `settling`'s; what it says depends on the counted votes, gold and the round's wishes
    alone, never on an earlier pass: a task that was settled is open again where new evidence on the workers
    leaves it unsure (unless the round is closed). A task that an expert decided has that label and is
    settled, whatever its votes say.

    1. Read the counted votes and the tasks. Votes that arrive later wait for the next pass.
    2. Compute, outside any transaction: a pure function of the votes, gold and the round's parameters.
    3. Write Consensus and WorkerSkill rows in chunks. A pass that is killed here is repaired by the next one.
    4. Settle, exhaust, or ask for more votes, through the labelling site; in a round that wants it, the least
       sure tasks come first from now on.
    5. Forecast what it still takes, and record the pass, unless nothing has changed since the last one.

    Args:
        budget: at most so many votes more are asked for in this pass, where they save most errors; None: all
            that the rule wants. Votes asked for earlier and not given yet are not part of it.
        pictures: a classifier's `task,label,probability` (`pictures.in_round(...).table`): one more voter in
            this pass (`method` then says `...+pictures`); the next pass without it rests on votes alone.

    Raises:
        BadVotes: the votes cannot be weighed so; or a repeat round, which is evidence on people only.
    """
    if round.is_repeat:
        raise BadVotes(f"it repeats round {round.parent_id}: see quality_report for how people agree with it")
    votes = votes_table(round)
    tasks = read_tasks(round)
    voted = tasks[np.isin(tasks["id"], votes["task"].to_numpy(np.int64))]
    known = known_labels(round, voted)
    gold = pd.DataFrame({"task": [str(t) for t in known], "label": list(known.values())}, dtype=object)
    choices = [label for label in round.choices() if label not in ABSTAIN]
    result = aggregate(votes, method=method, gold=gold, labels=choices, pictures=pictures)
    given = np.bincount(np.searchsorted(tasks["id"], votes["task"].to_numpy(np.int64)), minlength=len(tasks))
    decided = decisions(round)
    counts = dict(zip(tasks["id"].tolist(), given.tolist(), strict=True)) if decided else {}
    answers = with_decisions(Answers.of(result, votes), decided, counts)
    by_expert = numbers_of(tasks, decided)
    judged = with_decided(judge(round, tasks, votes, result, given), by_expert)
    write_consensus(round, answers)
    write_skills(round, result)
    keep_own_agreement(round, votes, known)
    plain = ~tasks["gold"] & (tasks["state"] != Task.State.WITHDRAWN) & ~by_expert
    decision = judged.decision(Wish.of(round), plain)
    asked = _act(round, tasks, judged, decision, plain, decided, budget)
    confidence = answers.table["confidence"]
    if round.order == Round.Order.UNSURE:
        order_by_confidence(round, dict(zip(answers.tasks.tolist(), confidence.tolist(), strict=True)))
    keep_figures(round.dataset)
    return _record(
        round,
        method=str(result.summary["method"]),
        votes=len(votes),
        asked_again=asked.tasks,
        votes_asked=asked.votes,
        mean_confidence=float(np.round(confidence.mean(), 6)) if len(confidence) else None,
        forecast=forecast_of(round, judged, decision, plain, len(result.votes.labels)),
    )


class _Asked(NamedTuple):
    """Tasks that have their least votes and stay unsure, and how many more votes they wait for."""

    tasks: int
    votes: int


def _act(
    round: Round,
    tasks: np.ndarray,
    judged: Judged,
    decision: Decision,
    plain: np.ndarray,
    decided: Iterable[int],
    budget: int | None,
) -> _Asked:
    """Settle, exhaust and ask again, as `decision` says of the `plain` tasks (bool[n]).

    Gold is settled by its known answer, gold that screens only by its votes; neither is asked again.
    """
    state, held, now = decision.state, judged.held, tasks["state"]
    standing = now != Task.State.WITHDRAWN
    gold = standing & tasks["gold"]
    known = numbers_of(tasks, known_labels(round, tasks[gold]))
    free = plain & ~held
    settled = (free & (state == SETTLED)) | (gold & (known | (state == SETTLED)))
    settled |= standing & numbers_of(tasks, decided)
    exhausted = free & (state == EXHAUSTED)
    settled_now = settled & (now != Task.State.SETTLED)
    settle_tasks(
        round,
        tasks["id"][settled_now].tolist(),
        tasks["id"][exhausted & (now != Task.State.EXHAUSTED)].tolist(),
    )
    round.refresh_from_db(fields=["state"])  # it may have been closed while the votes were weighed
    if round.state == Round.State.CLOSED:
        return _Asked(0, 0)
    again = free & (state == ASK_AGAIN)
    wanted = np.maximum(tasks["wanted"], judged.given).astype(np.int64)
    more = np.where(again, np.maximum(judged.given + decision.ask - wanted, 0), 0)
    more = within_budget(more, judged.gain, int(more.sum()) if budget is None else budget)
    raised = more > 0
    total = wanted + more
    request_votes(round, dict(zip(tasks["id"][raised].tolist(), total[raised].tolist(), strict=True)))
    reopen_tasks(round, tasks["id"][again & ~raised & (now != Task.State.OPEN)].tolist())
    unsure = again & (judged.given >= judged.least)
    return _Asked(int(unsure.sum()), int((total - judged.given)[unsure].sum()))


def _record(round: Round, **figures: Any) -> QCPass:
    """Keep the pass. One that found nothing new is the last one again."""
    with short_write():
        now = Round.objects.select_for_update(no_key=True).get(pk=round.pk)
        figures |= {"settled": now.tasks_settled, "exhausted": now.tasks_exhausted}
        last = now.qc_passes.order_by("-number").first()
        if last and all(getattr(last, name) == figures[name] for name in FIGURES):
            return last
        return QCPass.objects.create(round=now, number=last.number + 1 if last else 1, **figures)


def pass_report(qc_pass: QCPass) -> PassReport:
    """What `aggregate --json` prints about a pass."""
    round = Round.objects.get(pk=qc_pass.round_id)
    flagged = WorkerSkill.objects.filter(round=round).exclude(flags="").count()
    # Under the preset only a sample that is not there yet leaves an open round without a forecast.
    waits = bool(Wish.of(round).preset) and qc_pass.forecast is None and round.state != Round.State.CLOSED
    price = vote_price(round)
    return PassReport(qc_pass, round.tasks_total, flagged, estimated_accuracy(round), price, waits)


def estimated_accuracy(round: Round) -> dict[str, Any] | None:
    """Share of the round's consensus that the references confirm, with a 95% Wilson interval; None without.

    Tasks with a known (gold) answer are left out: their consensus is that answer.
    """
    references = settled_references(round.dataset)
    tasks = read_tasks(round, references)
    tasks = tasks[tasks["state"] != Task.State.WITHDRAWN]
    known, keys = known_labels(round, tasks), category_keys(round)
    truth = {
        int(task["id"]): as_answer(round, references[int(task["image"])], keys.get(int(task["category"]), ""))
        for task in tasks
        if int(task["id"]) not in known
    }
    right = total = 0
    for chunk in slices(truth):
        for task_id, label in Consensus.objects.filter(task_id__in=chunk).values_list("task_id", "label"):
            total += 1
            right += truth[task_id] == label
    if not total:
        return None
    lo, hi = accuracy_interval(right, total)
    return {"value": right / total, "lo": lo, "hi": hi, "n": total, "basis": "references"}


def consensus_by_image(dataset: Dataset) -> Iterator[ImageConsensus]:
    """One row for each labelled picture, by the id of its group's representative, in order of that id.

    `quality.opinion` says which round's word counts. After a `yes`, `posterior` holds the proposed category
    alone; the rest of the probability belongs to no label. Withdrawn tasks say nothing.
    """
    rows = (
        Consensus.objects.filter(task__round__dataset=dataset)
        .exclude(task__state=Task.State.WITHDRAWN)
        .annotate(stands=Coalesce("task__image__group__representative_id", "task__image_id"))
        .order_by("stands", "task_id")
        .values_list(
            "stands", "task__round_id", "label", "confidence", "posterior", "task__category__key",
            "task__state", "votes",
        )
    )  # fmt: skip
    successors = dataset.categories.successors()
    for image_id, said in groupby(rows.iterator(CHUNK), key=lambda row: row[0]):
        findings = (Finding(*row[1:6], row[6] != Task.State.OPEN, row[7]) for row in said)
        told = leading(in_todays_words(findings, successors))
        if told is not None:
            label, row = told
            posterior = row.posterior if row.proposed is None else {label: row.confidence}
            yield ImageConsensus(image_id, label, row.confidence, row.votes, posterior, row.round)
