"""Pages of `docs/` that are made from the code, and what is said of the project elsewhere in them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_pages_made_from_the_code_are_up_to_date() -> None:
    pages = [
        str(page) for page in sorted((ROOT / "docs").rglob("*.md")) if "[[[cog" in page.read_text("utf-8")
    ]
    assert len(pages) == 5
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", *pages]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"make pages\n{done.stdout}{done.stderr}"


def test_every_dependency_is_on_its_page_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[^A-Za-z0-9_.-]", one)[0] for one in asked} - {project["name"]}
    rows = re.findall(
        r"^\| (\S+) \|(?: [^|\n]+ \|){4}$",
        (ROOT / "docs" / "dependencies.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert sorted(row for row in rows if row != "package") == sorted(names)
