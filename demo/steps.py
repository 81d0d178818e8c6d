"""The steps of the demo. Each runs the real stages as processes and keeps a plain result in the state."""

import csv
import hashlib
import http.client
import json
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from demo import database
from demo.crowd import make_crowd
from demo.plan import NONE, BadPhoto, Plan, check_photos, make_plan, pick, read_category_names, read_labels
from demo.processes import ROOT, DemoError, Processes, check_port, free_port
from demo.state import State
from demo.summary import copies_found
from demo.workers import Crowd, SiteError, Tally
from ingest.progress import progress

NAME = "clothing"
VERSION = "1.0.0"
GOLD = 50
MAX_PASSES = 10
VISITORS = 240
VISITORS_ROUNDS = {
    "classify": "Your turn: which piece of clothing is it?",
    "verify": "Your turn: is it what it was searched as?",
}
CATEGORIES = ROOT / "demo" / "categories.csv"
# Opens the release as anybody would; in a process of its own because torch is large.
OPEN_RELEASE = """
import json, sys
from torchvision.datasets import ImageFolder
parts = {part: ImageFolder(f"{sys.argv[1]}/{part}") for part in ("train", "val", "test")}
picture, index = parts["train"][0]
print(json.dumps({"classes": parts["train"].classes, **{part: len(found) for part, found in parts.items()}}))
"""


class Demo:
    """One run of the demo in one data folder."""

    def __init__(self, data: Path, state: State, processes: Processes) -> None:
        self.data = data
        self.files = data / "demo"
        self.state = state
        self.processes = processes
        self.seed = int(state.options["seed"])
        self.labels = pick(read_labels(), state.options["small"])
        self.crowd = make_crowd(self.seed)
        self.address = ""
        self.at_work: Crowd | None = None

    @property
    def release(self) -> Path:
        """The release folder."""
        return self.data / "releases" / f"{NAME}-{VERSION}"

    @property
    def run(self) -> Path:
        """The training run's folder."""
        return self.data / "runs" / f"{NAME}-{VERSION}"

    def splits(self) -> str:
        """Train/val/test in percent: enough test photos, or with few photos every class in val."""
        return "62/8/30" if len(self.labels) >= 1500 else "45/25/30"

    def plan(self) -> Plan:
        """What the photo site serves; made once."""
        path = self.files / "plan.json"
        if not path.exists():
            self.files.mkdir(parents=True, exist_ok=True)
            try:
                check_photos(self.labels)
            except BadPhoto as problem:
                raise DemoError(str(problem)) from None
            make_plan(self.labels, list(read_category_names()), self.seed).write(path)
        return Plan.read(path)

    # --- 1 ------------------------------------------------------------------------------------------------

    def crawl(self) -> dict[str, Any]:
        """Make the database and the dataset, then crawl the photo site with the real crawler."""
        plan = self.plan()
        manage = self.processes.manage
        manage("migrate", "--verbosity", "0", stage="making the database")
        if NAME not in database.datasets(self.data):
            made = ("create_dataset", NAME, "--categories", str(CATEGORIES), "--splits", self.splits())
            manage(*made, "--title", "Clothing (demo)", "--licence", "CC0-1.0", "--json", stage="the dataset")
        # URLs hold the port, so a crawl that goes on needs the same one.
        port = int(self.state.once("port", lambda: self.state.options["port"] or free_port()))
        check_port(port, "the photo site")
        host = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "demo.server", "--plan", str(self.files / "plan.json")]
        log = self.files / "photo-site.log"
        with self.processes.serving(
            [*command, "--port", str(port)], f"http://{host}/robots.txt", log, "the photo site"
        ):
            sources = [f"{category}=http://{host}/gallery/{category}/" for category in plan.galleries]
            found = manage(
                "ingest", NAME, *sources, "--allow-host", host, "--rate", "400", "--json", stage="the crawl"
            )
            hits = fetch_json(host, "/stats")
        links = sum(len(paths) for paths in plan.galleries.values())
        return {"links": links, "outcomes": database.outcomes(NAME), "hits": hits, "ingest": found}

    # --- 2 ------------------------------------------------------------------------------------------------

    def dedup(self) -> dict[str, Any]:
        """Group near-duplicates, and compare with what was planted."""
        self.processes.manage("dedup", NAME, "--json", stage="finding near-duplicates")
        groups = database.groups(NAME)
        kinds, wrong = copies_found(self.plan(), groups)
        return {
            "images": len(groups),
            "unique": len(set(groups.values())),
            "kinds": [asdict(kind) for kind in kinds],
            "wrong_merges": wrong,
        }

    # --- 3 ------------------------------------------------------------------------------------------------

    def prepare(self) -> dict[str, Any]:
        """Gold, references, accounts, and the round."""
        manage = self.processes.manage
        photo_of = self.plan().photo_of()
        asked = sorted({image for image in database.groups(NAME).values() if image in photo_of})
        truth = {image: self.labels[photo_of[image]] for image in asked}
        gold = choose_gold(truth, min(GOLD, max(10, len(truth) // 20)))
        write_csv(self.files / "gold.csv", ("image", "label"), [(i, truth[i]) for i in gold])
        references = [(image, label, "published") for image, label in truth.items()]
        write_csv(self.files / "references.csv", ("image", "label", "expert"), references)
        manage("add_gold", NAME, str(self.files / "gold.csv"), "--json", stage="gold")
        manage("add_reference", NAME, str(self.files / "references.csv"), "--json", stage="references")
        self.make_accounts()
        round_id = database.open_round(NAME)
        if round_id is None:
            made = manage(
                *("open_round", NAME, "--question", "classify", "--votes-min", "3", "--votes-max", "9"),
                *("--confidence", "0.95", "--gold-rate", "0.08", "--audit", "0.05", "--batch-size", "50"),
                *("--title", "Which piece of clothing?", "--seed", str(self.seed), "--json"),
                stage="opening the round",
            )
            round_id = int(made["round"])
        return {"round": round_id, "tasks": len(asked), "gold": len(gold), "references": len(references)}

    def make_accounts(self) -> None:
        """Thirty workers, an annotator and a curator, with passwords that only the data folder knows."""
        path = self.files / "users.csv"
        if not path.exists():
            people = [(worker.name, "annotator") for worker in self.crowd]
            people += [("annotator", "annotator"), ("curator", "curator")]
            rows = [(name, secrets.token_urlsafe(8), role, NAME) for name, role in people]
            write_csv(path, ("username", "password", "role", "dataset"), rows, mode=0o600)
        if not database.has_users(list(self.passwords())):
            self.processes.manage("create_user", "--from-csv", str(path), stage="accounts")

    def passwords(self) -> dict[str, str]:
        """Password by user name."""
        with (self.files / "users.csv").open(newline="") as file:
            return {row["username"]: row["password"] for row in csv.DictReader(file)}

    # --- 4 and 5 ------------------------------------------------------------------------------------------

    def label(self) -> dict[str, Any]:
        """The crowd gives every task its first votes, through the site."""
        prepared = self.state.done["prepare"]
        return self.vote(3 * prepared["tasks"])

    def quality(self) -> dict[str, Any]:
        """Passes of consensus and further votes, until nothing more is asked."""
        passes: list[dict[str, Any]] = []
        votes = 0
        while len(passes) < MAX_PASSES:
            passes.append(
                self.processes.manage(
                    "aggregate", NAME, "--method", "dawid_skene", "--json", stage="the consensus"
                )
            )
            asked = int(passes[-1]["votes_asked"])
            if not asked:
                break
            given = self.vote(asked)["votes"]
            votes += given
            if not given:  # everybody has seen what is left
                break
        return {"passes": passes, "more_votes": votes}

    def vote(self, expected: int) -> dict[str, Any]:
        """The crowd works until the site has nothing left; how many votes came."""
        self.start_site()
        if self.at_work is None:
            self.at_work = Crowd(
                self.address,
                int(self.state.done["prepare"]["round"]),
                self.crowd,
                self.passwords(),
                self.plan().photo_of(),
                self.labels,
                self.seed,
            )
        with progress(total=expected, what="votes", unit="vote") as bar:
            try:
                tally = self.at_work.work(voted=bar.update)
            except SiteError as error:
                raise DemoError(f"{error}; see the end of {self.files / 'site.log'}") from None
        return spoken(tally)

    def start_site(self) -> None:
        """The labelling site, as `make serve` runs it, until the demo ends."""
        if self.address:
            return
        bind = f"127.0.0.1:{free_port()}"
        self.processes.serve(
            [
                *(sys.executable, "-m", "gunicorn", "annotation_site.wsgi"),
                *("--workers", "1", "--threads", "8", "--bind", bind, "--log-level", "warning"),
            ],
            f"http://{bind}/healthz",
            self.files / "site.log",
            "the labelling site",
        )
        self.address = f"http://{bind}"

    # --- 6 ------------------------------------------------------------------------------------------------

    def publish(self) -> dict[str, Any]:
        """Close the round, export the release, verify it, open it with torchvision."""
        manage = self.processes.manage
        round_id = int(self.state.done["prepare"]["round"])
        if database.open_round(NAME) == round_id:
            manage("close_round", str(round_id), stage="closing the round")
        votes = self.files / "votes.csv"
        manage("export_votes", NAME, str(votes), stage="exporting the votes")
        if not (self.release / "SHA256SUMS").exists():
            folder = str(self.data / "releases")
            manage("export_release", NAME, VERSION, "--output", folder, "--json", stage="the release")
        verified = manage("verify_release", str(self.release), "--json", stage="verifying the release")
        command = [sys.executable, "-c", OPEN_RELEASE, str(self.release)]
        opened = self.processes.run(command, "opening the release with torchvision's ImageFolder")
        self.open_rounds_for_visitors()
        return {"verified": bool(verified["ok"]), "folder": json.loads(opened)}

    def open_rounds_for_visitors(self) -> None:
        """Work for whoever logs in after the demo: one open round of each question, on some of the photos."""
        representatives = sorted(set(database.groups(NAME).values()))
        chosen = self.files / "visitors.csv"
        write_csv(chosen, ("image",), [(image,) for image in representatives[:VISITORS]])
        limits = ("--votes-min", "1", "--votes-max", "5", "--gold-rate", "0.1", "--audit", "0")
        for question, title in VISITORS_ROUNDS.items():
            if not database.has_round(NAME, title):
                self.processes.manage(
                    *("open_round", NAME, "--question", question, "--title", title, "--json"),
                    *("--images", str(chosen), *limits),
                    stage="opening a round for visitors",
                )

    # --- 7 ------------------------------------------------------------------------------------------------

    def retrain(self) -> dict[str, Any]:
        """Retrain the baseline under several labellings; the trainer reads the release folder alone."""
        command = [sys.executable, "manage.py", "retrain", f"{NAME}-{VERSION}", "--preset", "quick"]
        if not (ROOT / "training" / "management" / "commands" / "retrain.py").exists():
            command = [sys.executable, "-m", "training.retrain", str(self.release), "-o", str(self.run)]
            command += ["--preset", "quick"]
        self.processes.run(command, "retraining")
        written = sorted(self.data.glob("runs/*/metrics.json"), key=lambda path: path.stat().st_mtime)
        if not written:
            raise DemoError(f"retraining wrote no metrics.json under {self.data / 'runs'}")
        return {"run": str(written[-1].parent)}


def choose_gold(truth: dict[str, str], count: int) -> list[str]:
    """About `count` images, every label in turn, in the order of a hash of the image: nobody's choice."""
    waiting: dict[str, list[str]] = {}
    for image in sorted(truth, key=lambda i: hashlib.sha256(f"gold|{i}".encode()).digest()):
        waiting.setdefault(truth[image], []).append(image)
    labels = sorted(waiting, key=lambda label: (label == NONE, label))
    chosen: list[str] = []
    while len(chosen) < count and any(waiting.values()):
        for label in labels:
            if waiting[label] and len(chosen) < count:
                chosen.append(waiting[label].pop(0))
    return chosen


def spoken(tally: Tally) -> dict[str, Any]:
    """A tally as plain data; `votes` are those that the site stored."""
    return {
        "votes": tally.statuses["stored"],
        "statuses": dict(tally.statuses),
        "workers": sum(count > 0 for count in tally.by_worker.values()),
    }


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], mode: int | None = None
) -> None:
    """Write a table, whole or not at all."""
    beside = path.with_suffix(".part")
    beside.touch(mode or 0o644)
    with beside.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    beside.replace(path)


def fetch_json(host: str, path: str) -> Any:
    """GET of a JSON document on this machine."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
