"""CVAT's exports: "CVAT for images 1.1" (docs.cvat.ai, XML annotation format) and the server's JSON; tags.

XML: `<annotations>` with `<meta>` and one `<image name="...">` a picture, in which a `<tag label="...">` is a
label of the whole picture. Who gave it stands only once, as the assignee of the job or task, so a file is one
worker's and several files are several workers; in a project's export each `<image>` says its `task_id`, and
`<meta>` who each task was assigned to. The owner made the task and need not have looked at one picture: a
task without an assignee votes under its own name. JSON: `tags` with `frame` and `label` or `label_id`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from ingest.tables import BadTable
from quality.readers.record import Asked, Ballot, Read

PEOPLE = ("job/assignee", "task/assignee", "project/assignee")
BY_MACHINE = "auto"


def read_cvat_xml(path: str, text: str, asked: Asked) -> Read:
    """One vote for every picture with one tag; with `asked.answer`, the tag's attribute of that name.

    Raises:
        BadTable: no XML, or not CVAT's.
    """
    try:
        # The text is decoded already: what its first line says of an encoding no longer holds.
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, encoding="utf-8")
        root = etree.fromstring(text.encode("utf-8"), parser=parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadTable(f"{path}: begins like XML but is none: {' '.join(str(error).split())[:150]}") from None
    if root.tag != "annotations" or (root.find("image") is None and root.find("meta") is None):
        raise BadTable(f"{path}: XML, but no export of CVAT for images (no <annotations> with <image>)")
    if root.find("track") is not None:
        raise BadTable(f"{path}: CVAT for video: tracks are no votes; export as CVAT for images 1.1")
    ballot = Ballot("cvat")
    assigned = _assigned(root)
    alone = "" if assigned else _worker(root) or _unnamed(path, ballot)
    shapes = 0
    for image in root.iterfind("image"):
        number = str(image.get("task_id", ""))
        worker = alone or assigned.get(number) or f"task {number}"
        tags = [tag for tag in image.iterfind("tag") if tag.get("source") != BY_MACHINE]
        shapes += sum(1 for part in image if part.tag != "tag")
        if not tags and image.find("tag") is not None:
            ballot.dropped["by_a_model"] += 1
        else:
            ballot.add(str(image.get("name", "")), worker, [x for tag in tags for x in _labels(tag, asked)])
    if shapes:
        ballot.warnings.append(f"{path}: {shapes} boxes and other shapes are no labels of pictures: not read")
    return ballot.read()


def _labels(tag: Any, asked: Asked) -> Iterator[str]:
    if not asked.answer:
        yield str(tag.get("label", ""))
        return
    for attribute in tag.iterfind("attribute"):
        if attribute.get("name") == asked.answer:
            yield str(attribute.text or "")


def _worker(root: Any) -> str:
    for place in PEOPLE:
        name = root.findtext(f"meta/{place}/username")
        if name and name.strip():
            return str(name.strip())
    return ""


def _assigned(root: Any) -> dict[str, str]:
    """Task number -> its assignee ("" where it has none), of a project's export; else nothing."""
    tasks = root.iterfind("meta/project/tasks/task")
    return {
        str(task.findtext("id", "")).strip(): str(task.findtext("assignee/username") or "").strip()
        for task in tasks
    }


def _unnamed(path: str, ballot: Ballot) -> str:
    name = Path(path).name.split(".")[0]
    ballot.warnings.append(f"{path}: it names no annotator; its votes count as worker {name!r}'s")
    return name


def read_cvat_json(path: str, records: list[dict[str, Any]]) -> Read:
    """Votes of the server's JSON; the task is the frame's number.

    Raises:
        BadTable: tags that are none.
    """
    ballot = Ballot("cvat_json")
    worker = _unnamed(path, ballot)
    chosen: dict[str, list[str]] = {}
    for record in records:
        for tag in record.get("tags") or []:
            if not isinstance(tag, dict) or "frame" not in tag or not {"label", "label_id"} & set(tag):
                raise BadTable(f"{path}: a tag without frame and label: not CVAT's JSON")
            if tag.get("source") == BY_MACHINE:
                ballot.dropped["by_a_model"] += 1
                continue
            chosen.setdefault(str(tag["frame"]), []).append(str(tag.get("label", tag.get("label_id"))))
        other = sum(len(record.get(kind) or []) for kind in ("shapes", "tracks"))
        if other:
            ballot.warnings.append(f"{path}: {other} shapes and tracks are no labels of pictures: not read")
    for frame, labels in chosen.items():
        ballot.add(frame, worker, labels)
    return ballot.read()
