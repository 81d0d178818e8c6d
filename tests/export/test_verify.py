"""Every broken rule is found, by name."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from export import layout
from export.checks import RULES, check_release
from export.services.publish import publish_release
from export.verify import main
from tests.export.world import World, picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(world: World, tmp_path: Path) -> Path:
    return publish_release(world.dataset, "1.0.0", tmp_path / "out").folder


def resign(folder: Path) -> None:
    """Write SHA256SUMS and the manifest's checksums anew, so that only the rule in question is broken."""
    described = json.loads((folder / layout.CROISSANT).read_text())
    for part in described["distribution"]:
        if (folder / part.get("contentUrl", "")).is_file():
            part["sha256"] = hashlib.sha256((folder / part["contentUrl"]).read_bytes()).hexdigest()
    (folder / layout.CROISSANT).write_text(json.dumps(described))
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != layout.SUMS)
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}" for p in files
    ]
    (folder / layout.SUMS).write_text("\n".join(lines) + "\n")


def edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """A change of a table."""

    def apply(folder: Path) -> None:
        frame = change(pd.read_parquet(folder / name))
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / name)

    return apply


def edit_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    """A change of a JSON file."""

    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        change(document)
        (folder / name).write_text(json.dumps(document))

    return apply


def set_first(column: str, value: object, split: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object}) if value is None else frame
        frame.loc[frame.index[frame["split"] == split][0], column] = value
        return frame

    return change


def same_group(frame: pd.DataFrame) -> pd.DataFrame:
    one = frame.index[frame["split"] == "train"][0]
    frame.loc[one, "duplicate_group"] = frame.loc[frame["split"] == "test", "duplicate_group"].iloc[0]
    return frame


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[0]]]).sort_values("image")


def first_picture(folder: Path, split: str = "train") -> Path:
    return min(p for p in (folder / split).rglob("*") if p.is_file())


def no_owl_in_val(folder: Path) -> None:
    frame = pd.read_parquet(folder / layout.MANIFEST)
    gone = frame[(frame["split"] == "val") & (frame["category"] == "owl")]
    for path in gone["path"]:
        (folder / path).unlink()
    edit(layout.MANIFEST, lambda f: f.drop(gone.index))(folder)
    for name in (layout.VOTES, layout.POSTERIORS):
        edit(name, lambda f: f[~f["image"].isin(gone["image"])])(folder)


BREAKS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a table is gone": ("files", lambda f: (f / layout.VOTES).unlink()),
    "a table is nonsense": ("files", lambda f: (f / layout.VOTES).write_bytes(b"PAR1 no")),
    "JSON is nonsense": ("files", lambda f: (f / layout.RELEASE).write_text("{")),
    "a link": ("files", lambda f: (f / "train" / "owl" / "x.jpg").symlink_to(first_picture(f))),
    "a column is gone": ("columns", edit(layout.MANIFEST, lambda t: t.drop(columns="licence"))),
    "an image twice": ("manifest", edit(layout.MANIFEST, twice)),
    "an unlisted picture": ("manifest", lambda f: (f / "train" / "owl" / "x.jpg").write_bytes(picture(99))),
    "a picture is gone": ("manifest", lambda f: first_picture(f).unlink()),
    "wrong file_sha256": ("manifest", edit(layout.MANIFEST, set_first("file_sha256", "0" * 64, "train"))),
    "another split in the row": ("manifest", edit(layout.MANIFEST, set_first("split", "val", "train"))),
    "not sorted": ("manifest", edit(layout.MANIFEST, lambda t: t.iloc[::-1])),
    "a picture is no picture": ("picture", lambda f: first_picture(f).write_bytes(b"text")),
    "another size": ("picture", edit(layout.MANIFEST, set_first("width", 99, "train"))),
    "camera data": ("metadata", lambda f: first_picture(f).write_bytes(picture(98))),
    "a group straddles": ("split", edit(layout.MANIFEST, same_group)),
    "a class is missing": ("classes", no_owl_in_val),
    "a wrong index": ("classes", edit_json(layout.CATEGORIES, lambda c: c[0].update(index=1))),
    "no reference in test": ("reference", edit(layout.MANIFEST, set_first("reference", None, "test"))),
    "another reference": ("reference", edit(layout.MANIFEST, set_first("reference", "wren", "test"))),
    "no probability": ("label", edit(layout.MANIFEST, set_first("confidence", 1.5, "train"))),
    "a bare label": ("label", edit(layout.MANIFEST, set_first("confidence", None, "val"))),
    "sealed, and open": ("sealed", edit_json(layout.RELEASE, lambda r: r["parameters"].update(sealed=True))),
    "no source": ("provenance", edit(layout.MANIFEST, set_first("source_url", None, "train"))),
    "no licence": ("provenance", edit(layout.MANIFEST, set_first("licence", "", "train"))),
    "a vote is gone": ("votes", edit(layout.VOTES, lambda t: t.iloc[1:])),
    "a stranger's vote": ("votes", edit(layout.VOTES, lambda t: t.assign(image="f" * 64))),
    "a soft label too much": ("posteriors", edit(layout.POSTERIORS, lambda t: t.assign(probability=0.9))),
    "a soft label twice": ("posteriors", edit(layout.POSTERIORS, lambda t: pd.concat([t, t]))),
    "wrong counts": ("release", edit_json(layout.RELEASE, lambda r: r["counts"].update(test=1))),
    "a wrong version": ("release", edit_json(layout.RELEASE, lambda r: r.update(version="one"))),
    "another name": ("croissant", edit_json(layout.CROISSANT, lambda c: c.update(name="cats"))),
}


@pytest.mark.parametrize("what", BREAKS)
def test_each_rule_is_found_by_name_even_when_the_sums_are_right(release: Path, what: str) -> None:
    rule, damage = BREAKS[what]
    damage(release)
    if not (release / "train" / "owl" / "x.jpg").is_symlink():
        resign(release)
    found = check_release(release)
    assert rule in {p.rule for p in found}, found
    assert all(p.rule in RULES and p.path and p.detail for p in found)


def test_the_list_of_breaks_has_every_rule() -> None:
    assert {rule for rule, _ in BREAKS.values()} | {"sums"} == set(RULES)


def test_any_changed_missing_or_extra_file_is_found(release: Path, tmp_path: Path) -> None:
    files = sorted(p.relative_to(release) for p in release.rglob("*") if p.is_file())
    kinds = {p.parts[0]: p for p in files}.values()
    for number, name in enumerate(kinds):
        for act in ("change", "remove", "add"):
            copy = tmp_path / f"{number}-{act}"
            shutil.copytree(release, copy)
            if act == "change":
                data = bytearray((copy / name).read_bytes())
                data[len(data) // 2] ^= 1
                (copy / name).write_bytes(data)
            elif act == "remove":
                (copy / name).unlink()
            else:
                (copy / name).with_name("extra.txt").write_text("?")
            assert check_release(copy), f"{act} {name} went unnoticed"


def test_the_commands_say_the_same(release: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(release), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "errors": []}
    call_command("verify_release", str(release), stdout=StringIO())
    first_picture(release).unlink()
    assert main([str(release), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert set(report["errors"][0]) == {"rule", "path", "detail"}
    with pytest.raises(CommandError) as caught:
        call_command("verify_release", str(release), stdout=StringIO())
    assert caught.value.returncode == 1
    assert main([str(release / "nowhere")]) == 2


def test_it_runs_without_django(release: Path) -> None:
    code = "import sys, export.verify as v; v.main(sys.argv[1:]); assert 'django' not in sys.modules"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(release)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "sound" in done.stdout
