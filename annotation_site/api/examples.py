"""Examples in the API's description: of the names in its addresses, and of what is sent."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
IN_ADDRESSES: dict[str, Any] = {
    "name": "birds",
    "version": "1.0.0",
    "round_id": 3,
    "planned_id": 7,
    "task_id": 4711,
    "source_id": 2,
    "group_id": 58,
    "link_id": 12,
    "token_id": 5,
    "quiz_id": 4,
    "near_id": 9,
    "run_id": 1,
    "sha256": SHA256,
    "code": "w5f0c2a91b3",
    "username": "mei",
    "role": "annotator",
    "key": "finch",
    "language": "zh-hans",
}
"""What a name between braces may stand for."""


def shown(**example: Any) -> ConfigDict:
    """`model_config` of a Schema that is sent: the description shows the example, and the page offers it."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def fill_in(paths: dict[str, Any]) -> None:
    """Give the parameters in addresses their examples, and each call its first sentence as a summary."""
    for methods in paths.values():
        for operation in methods.values():
            operation["summary"] = operation["description"].partition("\n")[0].partition(". ")[0].rstrip(".")
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and parameter["name"] in IN_ADDRESSES:
                    parameter["example"] = IN_ADDRESSES[parameter["name"]]
