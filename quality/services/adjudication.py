"""Experts' decisions on disputed tasks: they settle the consensus of that task, and prove nothing.

A decision is given with the votes in view. So it never becomes a Reference (the test split and every claim
of accuracy rest on blind answers), and no worker's skill is learned from it: it replaces the consensus of its
own task after the votes were weighed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from annotation_site.models import Round, Task
from annotation_site.services.locking import short_write
from annotation_site.services.rounds import reopen_tasks, settle_tasks
from quality.models import Adjudication, Consensus
from quality.services.followups import CHUNK, DECIDED
from quality.services.stored import ABSTAIN, Answers, category_keys


class UnusableDecision(ValueError):
    """A decision that cannot be kept; the message is one sentence for the expert."""


def adjudicate(task: Task, label: str, expert: str) -> Adjudication:
    """Settle a disputed task by an expert's decision: at once, and in every later pass.

    1. Keep who decided what, and when; an earlier decision stays in the record and no longer counts.
    2. Write the consensus as the next pass will write it again.
    3. Settle the task: it collects no more votes.

    Raises:
        UnusableDecision: the label is no answer to the round's question, or the task cannot be disputed.
    """
    round = task.round
    _check(task, label)
    category_of = {key: pk for pk, key in category_keys(round).items()}
    with short_write():
        made = Adjudication.objects.create(task=task, label=label, expert=expert)
        Consensus.objects.update_or_create(
            task=task,
            defaults={
                "label": label,
                "category_id": category_of.get(label),
                "confidence": 1.0,
                "votes": task.votes,
                "tie": False,
                "method": DECIDED,
                "posterior": {label: 1.0},
            },
        )
        settle_tasks(round, [task.pk])
    return made


def take_back(task: Task, expert: str) -> None:
    """Undo the decision on a task: it is open again, and the next pass weighs its votes anew.

    Raises:
        UnusableDecision: nothing was decided about it.
    """
    if task.pk not in decisions(task.round, [task.pk]):
        raise UnusableDecision("Nothing was decided about this picture.")
    with short_write():
        Adjudication.objects.create(task=task, label="", expert=expert)
        Consensus.objects.filter(task=task, method=DECIDED).delete()
        reopen_tasks(task.round, [task.pk])


def _check(task: Task, label: str) -> None:
    round = task.round
    if round.is_repeat:
        raise UnusableDecision("A repeat round measures people; decide in the round that it repeats.")
    if task.gold:
        raise UnusableDecision("This is gold: its answer is known.")
    if task.state == Task.State.WITHDRAWN:
        raise UnusableDecision("This picture was withdrawn.")
    if label in ABSTAIN or label not in round.choices():
        raise UnusableDecision(f"{label[:100]!r} is no answer to this round's question.")


def decisions(round: Round, task_ids: list[int] | None = None) -> dict[int, str]:
    """Task id -> the label that an expert decided (the newest decision; none where it was taken back)."""
    held = Adjudication.objects.filter(task__round=round)
    if task_ids is not None:
        held = held.filter(task_id__in=task_ids)
    newest = dict(held.order_by("id").values_list("task_id", "label").iterator(CHUNK))
    return {task_id: label for task_id, label in newest.items() if label}


def with_decisions(answers: Answers, decided: Mapping[int, str], given: Mapping[int, int]) -> Answers:
    """The answers of the votes, with experts' decisions in their place. Pure; `answers` stays as it is.

    Args:
        decided: task id -> label. given: task id -> counted votes, for tasks on which everyone abstained.
    """
    if not decided:
        return answers
    tasks = np.union1d(answers.tasks, np.fromiter(decided, np.int64, len(decided)))
    old = np.searchsorted(answers.tasks, tasks)
    there = np.isin(tasks, answers.tasks)
    by_expert = np.isin(tasks, list(decided))
    columns = {
        "task": tasks,
        "label": [decided.get(t, "") for t in tasks.tolist()],
        "confidence": 1.0,
        "votes": [given.get(t, 0) for t in tasks.tolist()],
        "tie": False,
        "method": DECIDED,
    }
    table = pd.DataFrame(columns).astype({"label": object, "method": object})
    kept = there & ~by_expert
    for column in ("label", "confidence", "votes", "tie", "method"):
        values = table[column].to_numpy(copy=True)
        values[kept] = answers.table[column].to_numpy()[old[kept]]
        table[column] = values
    end = len(answers.post_label) + np.cumsum(by_expert)
    at = np.minimum(old, max(len(answers.tasks) - 1, 0))
    start_of = answers.post_start[at] if len(answers.tasks) else end
    end_of = answers.post_end[at] if len(answers.tasks) else end
    return replace(
        answers,
        tasks=tasks,
        table=table,
        post_start=np.where(by_expert, end - 1, start_of),
        post_end=np.where(by_expert, end, end_of),
        post_label=np.concatenate([answers.post_label, table["label"].to_numpy(object)[by_expert]]),
        post_probability=np.concatenate([answers.post_probability, np.ones(int(by_expert.sum()))]),
    )
