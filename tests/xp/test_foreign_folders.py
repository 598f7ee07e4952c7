"""Folders `dsl`, `runners` or `warehouse` of someone's own, where xp is started, are not taken for xp's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.xp.small_study import write_study

ROOT = Path(__file__).resolve().parents[2]
RUN_MAIN = "import sys; from xp.__main__ import main; sys.exit(main())"
"""The text of the command `xp` that pip installs."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study among a package, an empty folder and a module that have the names of xp's own packages."""
    write_study(tmp_path, languages=("en",), n_items=2)
    (tmp_path / "dsl").mkdir()
    (tmp_path / "dsl" / "__init__.py").write_text("raise ImportError('not the dsl of xp')\n", "utf-8")
    (tmp_path / "runners").mkdir()
    (tmp_path / "warehouse.py").write_text("raise ImportError('not the warehouse of xp')\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("module_path", ["{here}", "{here}{sep}", "{sep}{here}", ".{sep}{here}"])
@pytest.mark.parametrize("start", [["-m", "xp"], ["-c", RUN_MAIN]], ids=["python -m xp", "xp"])
def test_a_study_beside_foreign_folders_is_planned(start: list[str], module_path: str, folder: Path) -> None:
    done = run(folder, *start, "plan", "small.yaml", module_path=module_path)
    assert done.returncode == 0, done.stderr
    assert "3 steps: 0 done, 3 to run" in done.stdout


def test_workers_run_beside_foreign_folders(folder: Path) -> None:
    done = run(folder, "-m", "xp", "apply", "small.yaml", "--yes", "--no-report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 steps done, 0 failed" in done.stdout


def test_xp_is_found_in_its_own_folder_without_being_installed(tmp_path: Path) -> None:
    shown = run(ROOT, "-m", "xp", "status", "--store", str(tmp_path / "store"), module_path="")
    assert shown.returncode == 0, shown.stderr
    assert "0 studies" in shown.stdout


def run(folder: Path, *arguments: str, module_path: str = "{here}") -> subprocess.CompletedProcess[str]:
    """Start Python in a folder. `module_path` is PYTHONPATH, `{here}` in it this project."""
    environment = {**os.environ, "PYTHONPATH": module_path.format(here=ROOT, sep=os.pathsep)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
