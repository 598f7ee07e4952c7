"""Every command in the pages: its options are known; what can be run on the README's ten-line study is run,
with what the page leaves to its reader put in."""

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


IN_PLACE_OF = {
    "A": "mine",
    "B": "second",
    "BUNDLE": "bundled.zip",
    "COMMAND": "plan",
    "FILE": "study.yaml",
    "PATH": "other",
    "SPEC": "study.yaml",
    "STORE": "other",
    "…": "select 1",
}
"""Words that a page leaves to its reader -> those of the ten-line study. `other` is a copy of its store, and
`second` the study under another name."""

IN_FULL = {
    "xp bundle --no-adapters": "xp bundle --no-adapters study.yaml again.zip",
    "xp export --format": "xp export --format parquet study.yaml",
    "xp init --languages": "xp init --languages en",
    "xp plan --out": "xp plan --out plan.json study.yaml",
    "xp rebuild --bundle": "xp rebuild --bundle bundled.zip --store of_a_bundle",
}
"""Commands with an option that is named without its value."""

NOT_RUN = (
    "xp view",  # serves until Ctrl-C
    "xp push",  # takes the weights of a training
    "xp apply --share",  # a bucket
    "xp rebuild --warehouse",  # a server of PostgreSQL
    "xp show CELL --tokens",  # weights
    "xp --install-completion",  # changes the shell of whoever runs it
    "xp import",  # files of other tools, as the page on exchange has them
)


def _completed(command: str) -> str | None:
    """Return a command as it can be run on the ten-line study: words in capitals and dots replaced, the study
    put where a spec is missing. None for the bare name of a command that needs more, for a spec of ours,
    which is another study, and for what is not run."""
    if command in IN_FULL:
        return IN_FULL[command]
    is_not_run = f"{command} ".startswith(tuple(f"{one} " for one in NOT_RUN))
    if is_not_run or COMMANDS[command] == "exchange.md" or " specs/" in command:
        return None
    words = [IN_PLACE_OF.get(word, word) for word in shlex.split(command)]
    tries = [words] if len(words) == 2 else [words, [*words, "study.yaml"]]
    return next((shlex.join(one) for one in tries if _is_complete(one)), None)


def _is_complete(words: Sequence[str]) -> bool:
    asked, rest = _parts(shlex.join(words))
    if asked is not XP and "--help" not in rest:
        try:
            asked.make_context(asked.name, list(rest))
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
            "xp apply study.yaml --set experiment=second --yes --in-process --no-report",
            "xp sample study.yaml --output labels.csv",
            "xp bundle study.yaml bundled.zip",
        ):
            done = _run(command)
            assert done.exit_code == 0, done.output
        shutil.copytree(".xp", "other")
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


@pytest.mark.parametrize("command", [command for command in OF_XP if _completed(command)])
def test_commands_of_the_pages_run(
    command: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path if command.startswith("xp init") else study)
    for name in ("labels", "exported", "of_a_bundle"):  # which commands do not overwrite
        shutil.rmtree(study / name, ignore_errors=True)
    completed = _completed(command)
    assert completed is not None
    done = _run(completed)
    assert done.exit_code == 0, f"{COMMANDS[command]}: {completed}\n{done.output}"


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
