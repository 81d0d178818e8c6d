"""What users read is true: commands, make targets and settings are documented, and have examples."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("ingest", "annotation_site", "quality", "export", "training")
COMMANDS = sorted(
    path.stem
    for stage in STAGES
    for path in (ROOT / stage / "management" / "commands").glob("*.py")
    if not path.stem.startswith("_")
)
MODULES = sorted(
    f"{stage}.{path.stem}"
    for stage in STAGES
    for path in (ROOT / stage).glob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
README = (ROOT / "README.md").read_text()
MANUAL = README + (ROOT / "docs" / "guide.md").read_text()


def test_there_are_commands_to_check():
    assert {"ingest", "dedup", "open_round", "aggregate", "export_release"} <= set(COMMANDS)
    assert {"quality.aggregate", "ingest.dedup", "training.retrain", "export.verify"} <= set(MODULES)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_names_the_command(command):
    assert re.search(rf"manage\.py {command}\b", MANUAL), f"docs/guide.md lacks `manage.py {command}`"


@pytest.mark.parametrize("module", MODULES)
def test_the_manual_names_the_module(module):
    assert f"python -m {module}" in MANUAL, f"docs/guide.md lacks `python -m {module}`"


def test_every_command_has_an_example_in_its_help(tmp_path):
    """One process asks every command for its help, as `--help` prints it."""
    script = (
        "import sys, django; django.setup()\n"
        "from django.core.management import load_command_class, get_commands\n"
        "apps = get_commands()\n"
        "for name in sys.argv[1:]:\n"
        "    command = load_command_class(apps[name], name)\n"
        "    text = command.create_parser('manage.py', name).format_help()\n"
        "    assert f'manage.py {name}' in text.split('xample', 1)[-1], f'{name}: no example in --help'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *COMMANDS],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
            "ASSAY_DATA": str(tmp_path),
            "PATH": "",
            "PYTHONPATH": str(ROOT),
        },
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_every_setting_is_documented():
    source = "\n".join(p.read_text() for s in STAGES for p in (ROOT / s).rglob("*.py"))
    names = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', source)) | set(
        re.findall(r'flag\("([A-Z_]+)"', source)
    )
    names -= {"DJANGO_SETTINGS_MODULE"}
    assert len(names) > 5
    missing = sorted(n for n in names if f"`{n}`" not in README)
    assert not missing, f"README.md, Settings: {', '.join(missing)} missing"


def test_every_make_target_is_in_help():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"\.PHONY: (.*)", makefile).group(1).split())
    listed = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert phony - listed == {"install", "install-dev"}


def test_ci_runs_what_the_readme_says():
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in README


def test_links_in_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target} is not there"


def test_every_picture_of_the_documents_is_shown_and_is_small():
    told = MANUAL + (ROOT / "docs" / "pages.md").read_text()
    pictures = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".jpg", ".webp")]
    assert not [path.name for path in pictures if f"{path.name})" not in told]
    assert sum(path.stat().st_size for path in pictures) < 2_500_000


@pytest.mark.parametrize("module", MODULES)
def test_unusable_arguments_get_one_line(module, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(module).main(["--nonsense"])
    told = capsys.readouterr()
    assert (stop.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert f"python -m {module} --help" in told.err
