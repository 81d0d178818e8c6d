"""Labellers without pause over HTTP, for `vote_path.py`: claim, answer, send, again. Standard library only.

Reads a plan from standard input, prints what was measured: milliseconds of each claim, send and pair, and
every answer that the site confirmed. A process of its own: what it works does not count as the site's.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import sys
import threading
import time
import uuid
from typing import Any


class Caller:
    """One kept connection, as a browser has it."""

    def __init__(self, host: str, port: int) -> None:
        self.connection = http.client.HTTPConnection(host, port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"Content-Type": "application/json", "Connection": "keep-alive"}

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one call."""
        text = None if body is None else json.dumps(body)
        # Without it the kernel waits up to 40 ms for more before it tells a server that data came.
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.connection.request(method, path, text, self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if self.connection.sock is None:  # the server closed it
            self.connection.connect()
        return answer.status, json.loads(data) if data else None


class Labeller(threading.Thread):
    """One person; what was measured stays in its lists."""

    def __init__(self, plan: dict[str, Any], who: dict[str, str], end: float) -> None:
        super().__init__(daemon=True)
        self.plan, self.who, self.end = plan, who, end
        self.rng = random.Random(who["name"])
        self.claims: list[float] = []
        self.sends: list[float] = []
        self.confirmed: list[list[Any]] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Work until the time is over."""
        call = Caller(self.plan["host"], self.plan["port"])
        call.headers["Authorization"] = self.who["authorization"]
        turn = self.assay if self.plan["site"] == "assay" else self.label_studio
        while time.perf_counter() < self.end:
            try:
                if not turn(call):
                    return
            except (OSError, http.client.HTTPException, KeyError, TypeError) as problem:
                self.errors.append(repr(problem)[:200])
                return

    def timed(self, into: list[float], call: Caller, path: str, body: object) -> tuple[int, Any]:
        """One POST, its milliseconds added to `into`."""
        begun = time.perf_counter()
        status, data = call("POST", path, body)
        into.append(1000 * (time.perf_counter() - begun))
        return status, data

    def assay(self, call: Caller) -> bool:
        """Lease a batch and send its answers."""
        claim = f"/api/v1/rounds/{self.plan['round']}/claim"
        status, batch = self.timed(self.claims, call, claim, {"size": self.plan["size"]})
        if status != 200:
            self.errors.append(f"claim {status}: {str(batch)[:200]}")
            return False
        labels = batch["choices"]
        votes = [
            {"task": t["task"], "label": self.rng.choice(labels), "seconds": 1.5} for t in batch["tasks"]
        ]
        body = {"assignment": batch["assignment"], "key": str(uuid.uuid4()), "votes": votes}
        status, data = self.timed(self.sends, call, "/api/v1/votes", body)
        if status != 200:
            self.errors.append(f"votes {status}: {str(data)[:200]}")
            return False
        stored = {r["task"] for r in data["results"] if r["status"] == "stored"}
        self.confirmed += [[self.who["name"], v["task"], v["label"]] for v in votes if v["task"] in stored]
        return True

    def label_studio(self, call: Caller) -> bool:
        """Ask for the next task and send an annotation, as its page does."""
        project = self.plan["project"]
        path = f"/api/dm/actions/?id=next_task&project={project}"
        status, task = self.timed(self.claims, call, path, {})
        if status != 200:
            self.errors.append(f"next_task {status}: {str(task)[:200]}")
            return False
        label = self.rng.choice(self.plan["labels"])
        result = [{
            "id": uuid.uuid4().hex[:10], "type": "choices", "from_name": "label", "to_name": "image",
            "origin": "manual", "value": {"choices": [label]},
        }]  # fmt: skip
        body = {"result": result, "lead_time": 1.5, "draft_id": 0, "parent_prediction": None,
                "parent_annotation": None, "project": project}  # fmt: skip
        path = f"/api/tasks/{task['id']}/annotations/?project={project}"
        status, data = self.timed(self.sends, call, path, body)
        if status != 201:
            self.errors.append(f"annotation {status}: {str(data)[:200]}")
            return False
        self.confirmed.append([self.who["name"], task["id"], label])
        return True


def main() -> None:
    """Run the plan."""
    plan = json.load(sys.stdin)
    begun = time.perf_counter()
    people = [Labeller(plan, who, begun + plan["seconds"]) for who in plan["people"]]
    for person in people:
        person.start()
    for person in people:
        person.join()
    took = time.perf_counter() - begun
    told = {"claims": [], "sends": [], "pairs": [], "confirmed": [], "errors": []}  # type: dict[str, list[Any]]
    for person in people:
        told["claims"] += person.claims
        told["sends"] += person.sends
        told["pairs"] += [a + b for a, b in zip(person.claims, person.sends, strict=False)]
        told["confirmed"] += person.confirmed
        told["errors"] += person.errors
    json.dump({"seconds": took, **told}, sys.stdout)


if __name__ == "__main__":
    main()
