"""`make`: which build of torch is installed, and what is asked before weights under a licence come.

Python, pip and xp are replaced by a script that writes down its arguments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """#!/bin/sh
case "$*" in
--version) echo Python 3.13.0; exit ;;
"-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/xp; exit ;;
"-m pip freeze") cat installed; exit ;;
esac
echo "$*" >> calls
case "$*" in *+cpu*) [ -e has_cpu ] ;; esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, on a machine without a GPU whose index has no CPU build of torch."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name, text in (("python", SCRIPT), ("nvidia-smi", "#!/bin/sh\nexit 1\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "installed").touch()
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", *words, "PYTHON=./python"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
    )


def installed(folder: Path) -> list[str]:
    """Return the arguments of each call of pip, upgrades of itself aside."""
    calls = (folder / "calls").read_text().splitlines()
    prefix = "-m pip install --quiet "
    return [
        call.removeprefix(prefix) for call in calls if call.startswith(prefix) and "--upgrade" not in call
    ]


def test_without_a_gpu_and_a_cpu_build_nothing_is_downloaded_until_that_is_asked_for(folder: Path) -> None:
    stopped = make(folder, "install")
    assert stopped.returncode != 0
    assert "no CPU build of torch" in stopped.stdout
    assert "Python 3.13.0" in stopped.stdout
    assert "make install ALLOW_CUDA=1" in stopped.stdout
    assert all("+cpu" in call for call in installed(folder))
    assert make(folder, "install", "ALLOW_CUDA=1").returncode == 0
    assert any("torch===" in call and "+cpu" not in call for call in installed(folder))


def test_the_cpu_build_is_installed_where_there_is_one(folder: Path) -> None:
    (folder / "has_cpu").touch()
    assert make(folder, "install").returncode == 0
    torch = [call for call in installed(folder) if "torch" in call]
    assert len(torch) == 1
    assert torch[0].endswith("+cpu")
    assert "index" not in torch[0]


def test_torch_alone_comes_from_an_index_that_is_named(folder: Path) -> None:
    (folder / "has_cpu").touch()
    assert make(folder, "install", "TORCH_INDEX=https://example.org/cpu").returncode == 0
    assert ["--index-url https://example.org/cpu" in call for call in installed(folder)] == [
        "torch==" in call for call in installed(folder)
    ]


def test_a_torch_that_is_there_is_left_as_it_is(folder: Path) -> None:
    constraints = (folder / "constraints.txt").read_text()
    (folder / "installed").write_text(
        next(line for line in constraints.splitlines() if line.startswith("torch=="))
    )
    assert make(folder, "install").returncode == 0
    assert not [call for call in installed(folder) if "torch==" in call]


def test_the_showcase_installs_nothing_before_the_licence_is_accepted_by_name(folder: Path) -> None:
    (folder / "has_cpu").touch()
    for words in ([], ["ACCEPT_LICENSE=yes"]):
        stopped = make(folder, "showcase", *words)
        assert stopped.returncode != 0
        assert "make showcase ACCEPT_LICENSE=gemma" in stopped.stdout
    assert not (folder / "calls").exists()
    assert make(folder, "showcase", "ACCEPT_LICENSE=gemma").returncode == 0
    assert sum("gemma3-270m" in call for call in installed(folder)) == 1
    assert "apply specs/showcase.yaml --yes" in (folder / "calls").read_text().splitlines()
    assert make(folder, "showcase").returncode == 0, "once installed, nothing is asked again"


def test_the_makefile_names_no_host() -> None:
    assert "://" not in (ROOT / "Makefile").read_text("utf-8")
