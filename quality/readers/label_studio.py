"""Label Studio's exports "JSON" and "JSON-MIN" with choices (labelstud.io/guide/task_format).

JSON: a list of tasks, each with `data` and `annotations`; an annotation has `completed_by` (a number, or a
user), `was_cancelled` (skipped) and `result`, where a choice is `{"type": "choices", "from_name": question,
"value": {"choices": [label]}}`. JSON-MIN: a list of annotations, the answer under its question's name as a
text or `{"choices": [...]}`, the worker as `annotator`. Predictions are no votes and are not read.
"""

from __future__ import annotations

from typing import Any

from ingest.tables import BadTable
from quality.readers.record import Asked, Ballot, Read

PICTURES = ("image", "img", "photo", "picture", "url")
META = {
    "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "inner_id",
    "total_annotations", "comment_count", "file_upload", "project", "was_cancelled", "ground_truth",
}  # fmt: skip
Record = dict[str, Any]


def read_label_studio(path: str, records: list[Record], asked: Asked) -> Read:
    """Votes of an export in either form.

    Raises:
        BadTable: neither form, no choices in it, or several questions and none of them asked for.
    """
    if any("annotations" in record or "completions" in record for record in records):
        return _full(path, records, asked)
    if any("annotation_id" in record or "annotator" in record for record in records):
        return _minimal(path, records, asked)
    raise BadTable(f"{path}: JSON, but no export of Label Studio (no annotations) nor of CVAT (no tags)")


def _full(path: str, records: list[Record], asked: Asked) -> Read:
    ballot = Ballot("label_studio")
    question = asked.answer or _only(
        path, sorted({name for record in records for name in _questions(record)})
    )
    names = _task_names([_mapping(record.get("data")) for record in records], [r.get("id") for r in records])
    for name, record in zip(names, records, strict=True):
        given = _annotations(record)
        if not given:
            ballot.dropped["task_without_annotation"] += 1
        for annotation in given:
            if annotation.get("was_cancelled") or annotation.get("skipped"):
                ballot.dropped["skipped"] += 1
                continue
            labels = [
                str(label)
                for part in _parts(annotation)
                if part.get("from_name") == question
                for label in _choices(part.get("value"))
            ]
            ballot.add(name, _worker(annotation.get("completed_by")), labels)
    return ballot.read()


def _minimal(path: str, records: list[Record], asked: Asked) -> Read:
    ballot = Ballot("label_studio_min")
    found = {
        key for record in records for key, value in record.items() if key not in META and _choices(value)
    }
    found -= set(PICTURES) if found - set(PICTURES) else set()
    listed = {k for k in found if any(isinstance(record.get(k), dict | list) for record in records)}
    common = found & {"choice", "choices", "label", "class", "category"}
    question = asked.answer or _only(path, sorted(common or listed or found))
    names = _task_names(records, [record.get("id") for record in records], distinct=False)
    for name, record in zip(names, records, strict=True):
        if record.get("was_cancelled"):
            ballot.dropped["skipped"] += 1
        else:
            ballot.add(
                name, _worker(record.get("annotator")), [str(x) for x in _choices(record.get(question))]
            )
    return ballot.read()


def _only(path: str, questions: list[str]) -> str:
    if not questions:
        raise BadTable(f"{path}: no choices in it: only single choices are votes")
    if len(questions) > 1:
        raise BadTable(
            f"{path}: several questions ({', '.join(questions)}): --answer-column says which is meant"
        )
    return questions[0]


def _questions(record: Record) -> set[str]:
    parts = [part for annotation in _annotations(record) for part in _parts(annotation)]
    return {str(part.get("from_name")) for part in parts if _choices(part.get("value"))}


def _annotations(record: Record) -> list[Record]:
    given = record.get("annotations", record.get("completions"))
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _parts(annotation: Record) -> list[Record]:
    result = annotation.get("result")
    return [part for part in result if isinstance(part, dict)] if isinstance(result, list) else []


def _choices(value: object) -> list[str]:
    """The labels in `"cat"`, `["cat"]` or `{"choices": ["cat"]}`."""
    if isinstance(value, dict):
        value = value.get("choices", value.get("choice"))
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _worker(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return "" if value is None else str(value)


def _mapping(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _task_names(data: list[Record], ids: list[object], *, distinct: bool = True) -> list[str]:
    """The picture's address where every task has one (and its own), else the task's number."""
    for key in PICTURES:
        names = [each.get(key) for each in data]
        if all(isinstance(name, str) and name for name in names) and (
            not distinct or len(set(map(str, names))) == len(names)
        ):
            return [str(name) for name in names]
    return ["" if number is None else str(number) for number in ids]
