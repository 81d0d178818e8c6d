"""Mechanical Turk's batch results: the CSV of the requester's site.

One row an assignment: `HITId`, `WorkerId`, `AssignmentStatus`, the inputs as `Input.x`, the answers as
`Answer.y`; after a review also `Approve` and `Reject` (Requester UI Guide, "Reviewing assignments offline").
Crowd HTML elements write `Answer.taskAnswers` as JSON, and radio buttons one true-or-false column a choice.
"""

from __future__ import annotations

import json

import pandas as pd

from ingest.tables import BadTable
from quality.readers.record import Asked, Ballot, Read

PICTURE = ("Input.image_url", "Input.image", "Input.url", "Input.img_url")
TRUTHS = {"true", "false", ""}


def is_mturk(frame: pd.DataFrame) -> bool:
    """Whether the columns are those of batch results."""
    return {"HITId", "WorkerId"} <= set(frame.columns)


def read_mturk(frame: pd.DataFrame, path: str, asked: Asked) -> Read:
    """Votes of the assignments that were not rejected.

    Raises:
        BadTable: no answer column, or several and none of them asked for.
    """
    ballot = Ballot("mturk")
    task = _task_column(frame)
    answers = _answer_columns(frame, path, asked)
    status = frame["AssignmentStatus"] if "AssignmentStatus" in frame else pd.Series("", index=frame.index)
    refused = status.str.lower().eq("rejected")
    if "Reject" in frame:
        refused |= frame["Reject"].str.strip().ne("")
    ballot.dropped["rejected"] += int(refused.sum())
    kept = frame[~refused]
    for name, worker, *cells in kept[[task, "WorkerId", *answers]].itertuples(index=False, name=None):
        if len(answers) > 1:
            labels = [
                column.rsplit(".", 1)[-1]
                for column, cell in zip(answers, cells, strict=True)
                if cell.lower() == "true"
            ]
        else:
            labels = _labels(cells[0])
        ballot.add(name, worker, labels)
    ballot.dropped += type(ballot.dropped)()  # forgets the reasons that never came
    return ballot.read()


def _task_column(frame: pd.DataFrame) -> str:
    for name in PICTURE:
        if name in frame:
            return name
    inputs = [column for column in frame.columns if column.startswith("Input.")]
    return inputs[0] if len(inputs) == 1 else "HITId"


def _answer_columns(frame: pd.DataFrame, path: str, asked: Asked) -> list[str]:
    """One column with labels, or the true-or-false columns of one question."""
    every = [column for column in frame.columns if column.startswith("Answer.")]
    if asked.answer:
        names = [column for column in every if column in (asked.answer, f"Answer.{asked.answer}")]
        names = names or [column for column in every if column.startswith(f"Answer.{asked.answer}.")]
        if not names:
            raise BadTable(f"{path}: no answer {asked.answer} (answers there: {', '.join(every) or 'none'})")
        return names
    if not every:
        raise BadTable(f"{path}: batch results of Mechanical Turk without an Answer column")
    questions = {column.rsplit(".", 1)[0] for column in every}
    truths = all(set(frame[column].str.lower()) <= TRUTHS for column in every)
    if len(every) == 1 or (len(questions) == 1 and truths and questions != {"Answer"}):
        return every
    raise BadTable(f"{path}: several answers ({', '.join(every)}): --answer-column says which is meant")


def _labels(cell: str) -> list[str]:
    """The label in a cell: its text, or what the JSON of crowd HTML elements chose."""
    if not cell.lstrip().startswith(("[", "{")):
        return [cell]
    try:
        return _inside(json.loads(cell))
    except ValueError:
        return [cell]


def _inside(value: object) -> list[str]:
    if isinstance(value, list):
        return [label for each in value for label in _inside(each)]
    if not isinstance(value, dict):
        return [] if value is None else [str(value)]
    if "label" in value:
        return _inside(value["label"])
    if "labels" in value:
        return _inside(value["labels"])
    if value and all(isinstance(each, bool) for each in value.values()):
        return [name for name, on in value.items() if on]
    return [label for each in value.values() for label in _inside(each)]
