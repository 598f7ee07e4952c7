"""Every command in the pages: its options are known; what can be run on the README's ten-line study is
run."""

import csv
import glob
import importlib.util
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer import TyperException
from typer.main import get_command
from typer.testing import CliRunner, Result

from xp.cli import app
from xp.starter import QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "tests/detectors")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
XP: Any = get_command(app)
"""Any: typer keeps the classes of commands to itself."""


def _commands() -> dict[str, str]:
    """Return each command of the pages, of a line of its own in a block, indented or fenced, or in backticks,
    with the first page that has it."""
    found: dict[str, str] = {}
    for page in PAGES:
        for line, quoted in _code_of(page.read_text("utf-8")):
            command = re.sub(r"\s+# .*", "", line) or quoted
            if re.match(r"(xp|make|(\.venv/bin/)?python) \S", command) and not command.startswith("xp  "):
                found.setdefault(command, page.name)
    return found


def _code_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of a page's blocks of code, and what stands in backticks."""
    is_fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced:
            yield line.strip(), ""
        yield from re.findall(r"^ {4}(\S.*)$|`([^`]+)`", line)


COMMANDS = _commands()
OF_XP = [command for command in COMMANDS if command.startswith("xp ")]


def _parts(command: str) -> tuple[Any, Sequence[str]]:
    """Return the command that is asked for and its words."""
    words = shlex.split(command)[1:]
    return (
        (XP, words)
        if words[0].startswith("-") or words[0] == "COMMAND"
        else (XP.commands[words[0]], words[1:])
    )


def _can_be_run(command: str) -> bool:
    """Return True for what names all that it needs, and no word in capitals or dots to be replaced."""
    asked, words = _parts(command)
    if asked is XP or any(word.isupper() or word == "…" for word in words):
        return False
    try:
        asked.make_context(asked.name, list(words))
    except TyperException:
        return False
    return True


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the README's study, on models that echo, applied once, and with labels to be
    imported."""
    folder = tmp_path_factory.mktemp("shown")
    text = _study_of_the_readme()
    echoed, n = re.subn(r"\{package: [^}]*\}", "{engine: echo}", text)
    assert n == 2
    (folder / "mine.yaml").write_text(text, "utf-8")
    (folder / "study.yaml").write_text(echoed, "utf-8")
    for language, questions in QUESTIONS.items():
        rows = [{"id": i, "text": q, "gold": a} for i, q, a in questions]
        (folder / f"asked_{language}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "xp apply study.yaml --yes --in-process --no-report",
            "xp sample study.yaml --output labels.csv",
        ):
            done = _run(command)
            assert done.exit_code == 0, done.output
    with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        drawn = list(csv.DictReader(file))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(drawn[0]))
        writer.writeheader()
        writer.writerows(row | {"score": "3"} for row in drawn)
    return folder


def _study_of_the_readme() -> str:
    found = re.search(r"## A study in ten lines\n\n((?:    .*\n)+)", (ROOT / "README.md").read_text("utf-8"))
    assert found is not None
    text = re.sub(r"^    ", "", found[1], flags=re.MULTILINE)
    assert len(text.splitlines()) == 10
    return text


def _run(command: str) -> Result:
    return CliRunner().invoke(app, shlex.split(command)[1:])


def test_the_table_of_commands_has_every_command_with_its_purpose() -> None:
    table = (ROOT / "docs" / "cli.md").read_text("utf-8").partition("[[[cog")[0]
    assert {command for command in XP.commands if f"| `xp {command}" not in table} == set()


def test_the_ten_line_study_of_the_readme_is_valid(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    done = _run("xp validate mine.yaml")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", OF_XP)
def test_commands_and_options_of_the_pages_are_known(command: str) -> None:
    asked, words = _parts(command)
    named = (option for parameter in asked.params for option in (*parameter.opts, *parameter.secondary_opts))
    options = {"--help", *named}
    assert {word for word in words if word.startswith("-")} <= options, COMMANDS[command]


def test_the_page_on_exchange_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests" / "fixtures" / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^ {4}(xp .*)$", (ROOT / "docs" / "exchange.md").read_text("utf-8"), re.MULTILINE)
    assert len(commands) > 8
    for command in commands:
        words = [path for word in shlex.split(command)[1:] for path in (sorted(glob.glob(word)) or [word])]
        done = CliRunner().invoke(
            app, [*words, *(["--in-process", "--no-report"] if words[0] == "apply" else [])]
        )
        assert done.exit_code == 0, f"{command}\n{done.output}"


def _of_the_ten_line_study(command: str) -> bool:
    """Return True for what ends by itself on the ten-line study: `xp view` serves until Ctrl-C, `xp push`
    needs a training, and a spec of ours is another study."""
    is_other = COMMANDS[command] == "exchange.md" or command.startswith(("xp view", "xp push"))
    is_other |= " specs/" in command
    return not is_other and _can_be_run(command)


@pytest.mark.parametrize("command", [command for command in OF_XP if _of_the_ten_line_study(command)])
def test_commands_of_the_pages_run(
    command: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path if command.startswith("xp init") else study)
    for folder in ("labels", "exported"):  # which `xp sample` and `xp export` do not overwrite
        shutil.rmtree(study / folder, ignore_errors=True)
    done = _run(command)
    assert done.exit_code == 0, f"{COMMANDS[command]}\n{done.output}"


def test_specs_that_commands_of_the_pages_name_are_there() -> None:
    named = {word for command in OF_XP for word in shlex.split(command) if re.match(r"specs/[^*]+$", word)}
    assert named
    assert {word for word in named if not (ROOT / word).exists()} == set()


def test_make_targets_of_pages_and_continuous_integration_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {command.split()[1] for command in COMMANDS if command.startswith("make ")} <= targets
    for name in (".ci/run", ".pre-commit-config.yaml"):
        called = set(re.findall(r"make ([a-z-]+)", (ROOT / name).read_text("utf-8")))
        assert called
        assert called <= targets, name


@pytest.mark.parametrize("command", [command for command in COMMANDS if "python -m" in command])
def test_modules_and_tests_of_the_pages_are_there(command: str) -> None:
    module, *words = command.split()[2:]
    assert importlib.util.find_spec(module), COMMANDS[command]
    if module == "benchmarks":
        assert all((ROOT / "benchmarks" / f"{name}.py").exists() for name in words), COMMANDS[command]
    for word in words:
        path, _, test = word.partition("::")
        if path.startswith("tests/"):
            assert (ROOT / path).exists(), COMMANDS[command]
            assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), COMMANDS[command]
