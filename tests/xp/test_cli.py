"""The commands as a person types them: exit codes and what is printed. What a process can change (its exit
code, its end, a pipe, no terminal) is tried with processes, all else in this one."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.xp.commands import xp
from tests.xp.small_study import HANG_SECONDS
from xp.schema import schema_text
from xp.starter import NEEDED, QUESTIONS, SCHEMA, STARTED

ROOT = Path(__file__).resolve().parents[2]

SPEC = """\
experiment: typed
languages: ["en", "fr"]
models: {echo: {base: {engine: echo}}}
data:
  asked:
    rows: {path: "asked_{language}.jsonl"}
    columns: {item: item, instruction: instruction, answers: answers}
evaluate: [asked]
methods:
  zero: {method: icl, num_fewshot: 0}
  three: {method: icl, num_fewshot: 3}
judges: {correct: {judge: contains}, empty: {judge: empty}}
contrasts: {gain: {of: three, against: zero}}
"""


def typed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "xp", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, input="", timeout=HANG_SECONDS
    )


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that was applied once."""
    folder = tmp_path_factory.mktemp("typed")
    for language in ("en", "fr"):
        rows = [
            {
                "item": f"q{n}",
                "instruction": f"What about {n}, <b>bold</b> \x1b[31mred\x1b[0m in {language}?",
                "answers": [str(n)],
            }
            for n in range(4)
        ]
        (folder / f"asked_{language}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
        )
    (folder / "study.yaml").write_text(SPEC, "utf-8")
    done = xp("apply", "study.yaml", "--yes", "--no-report", "--in-process", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_plan_before_and_after_says_what_is_to_run_and_that_nothing_is(
    applied: Path, tmp_path: Path
) -> None:
    before = xp("plan", "study.yaml", "--store", str(tmp_path / "empty"), cwd=applied)
    assert "4 cells, 10 steps: 0 done, 10 to run" in before.stdout
    assert not (tmp_path / "empty").exists(), "a plan makes nothing"
    after = xp("plan", "study.yaml", cwd=applied)
    assert "10 done, 0 to run" in after.stdout
    assert "Nothing to run" in after.stdout


def test_a_plan_as_json_lists_every_step(applied: Path) -> None:
    found = json.loads(xp("plan", "study.yaml", "--json", cwd=applied).stdout)
    assert len(found["steps"]) == 10
    assert found["todo"] == []
    assert {cell["method"] for cell in found["cells"]} == {"zero", "three"}


def test_a_second_apply_runs_nothing_and_says_so(applied: Path) -> None:
    again = xp("apply", "study.yaml", cwd=applied)
    assert again.returncode == 0
    assert again.stdout == (
        "Nothing to run: all 10 steps of typed have their results.\nReport: reports/typed.html\n"
    )


def test_apply_without_yes_asks_and_runs_nothing_where_there_is_no_terminal(
    applied: Path, tmp_path: Path
) -> None:
    done = typed("apply", "study.yaml", "--store", str(tmp_path / "store"), cwd=applied)
    assert done.returncode == 2
    assert "pass --yes" in done.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan", "nothing.yaml"), 2, "nothing.yaml: no such file"),
        (("validate", "study.yaml", "--set", "judges.empty.judge=empti"), 2, "Did you mean `empty`?"),
        (("plan", "study.yaml", "--target", "dpo-*"), 2, "no step is named by --target dpo-*"),
        (("query", "select nothing"), 2, "nothing"),
        (("query", "select 1; drop table cells"), 2, ""),
        (("query", "select 1", "--store", "elsewhere"), 1, "there is no warehouse in elsewhere yet"),
        (("show", "thre/en"), 2, "Did you mean `three`?"),
        (("report", "other"), 1, "other"),
        (("plan",), 2, "Missing argument"),
        (("apply", "study.yaml", "--jobs", "0"), 2, "--jobs"),
    ],
)
def test_what_is_wrong_is_reported_in_a_line_with_its_exit_code(
    applied: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = xp(*arguments, cwd=applied)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_exit_code_of_a_refusal_is_that_of_its_process(applied: Path) -> None:
    for arguments in (("plan", "nothing.yaml"), ("query", "select 1", "--store", "elsewhere")):
        here, there = xp(*arguments, cwd=applied), typed(*arguments, cwd=applied)
        assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)


def test_query_shows_every_method_in_every_language(applied: Path) -> None:
    sql = "select method, language, count(*) as n from completions group by all order by all"
    assert xp("query", sql, "--format", "csv", cwd=applied).stdout.splitlines() == [
        "method,language,n",
        "three,en,4",
        "three,fr,4",
        "zero,en,4",
        "zero,fr,4",
    ]
    assert json.loads(xp("query", sql, "--format", "json", cwd=applied).stdout)[0] == {
        "method": "three",
        "language": "en",
        "n": 4,
    }


def test_a_query_cannot_read_or_write_files(applied: Path) -> None:
    for sql in (
        "select * from read_csv('asked_en.jsonl')",
        "copy (select 1) to 'out.csv'",
        "attach 'x.db'",
        "install httpfs",
    ):
        assert xp("query", sql, cwd=applied).returncode == 2
    assert not (applied / "out.csv").exists()


def test_show_puts_all_methods_answers_to_an_item_side_by_side_and_no_control_character_reaches_the_terminal(
    applied: Path,
) -> None:
    shown = xp("show", "en", "--item", "q2", cwd=applied).stdout
    assert shown.count("━━ q2 · en · echo") == 2
    assert "correct: 1" in shown
    assert "<b>bold</b>" in shown
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown
    assert (
        xp("show", "three/fr", "--limit", "1", cwd=applied)
        .stdout.rstrip()
        .endswith("1 of 4 answers; --limit shows more")
    )


def test_status_names_the_studies_of_a_store(applied: Path) -> None:
    assert "typed: 10 of 10 steps done" in xp("status", cwd=applied).stdout
    assert json.loads(xp("status", "--json", cwd=applied).stdout)["studies"][0]["n_done"] == 10


def test_the_store_may_be_named_before_the_command_and_the_nearest_name_counts(
    applied: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere, here = str(tmp_path / "elsewhere"), str(applied / ".xp")
    monkeypatch.setenv("XP_STORE", elsewhere)
    for arguments in (
        ("--store", here, "status"),
        ("status", "--store", here),
        ("--store", elsewhere, "status", "--store", here),
    ):
        assert xp(*arguments, cwd=tmp_path).stdout.startswith(f"{here}: 1 study"), arguments
    assert xp("status", cwd=applied).stdout.startswith(f"{elsewhere}: 0 studies")
    monkeypatch.delenv("XP_STORE")
    assert xp("status", cwd=applied).stdout.startswith(".xp: 1 study")


def test_report_prints_its_path_and_is_one_file(applied: Path) -> None:
    done = xp("report", "study.yaml", cwd=applied)
    assert done.stdout == "reports/typed.html\n"
    assert [p.name for p in (applied / "reports").iterdir()] == ["typed.html"]


def test_rebuild_gives_the_same_answers(applied: Path) -> None:
    sql = "select * from score_by_cell order by all"
    before = xp("query", sql, "--format", "csv", cwd=applied).stdout
    (applied / ".xp" / "warehouse.duckdb").unlink()
    assert xp("rebuild", cwd=applied).returncode == 0
    assert xp("query", sql, "--format", "csv", cwd=applied).stdout == before


def test_deleting_one_step_s_folder_makes_plan_name_exactly_it_and_what_hangs_on_it(applied: Path) -> None:
    cell = next(
        c
        for c in json.loads(xp("plan", "study.yaml", "--json", cwd=applied).stdout)["cells"]
        if c["method"] == "three"
    )
    folder = applied / ".xp" / "steps" / cell["generate"]
    aside = folder.rename(applied / "aside")
    todo = json.loads(xp("plan", "study.yaml", "--json", cwd=applied).stdout)["todo"]
    aside.rename(folder)
    assert sorted(todo) == sorted({cell["generate"], *(judged["step"] for judged in cell["judges"].values())})


def test_init_writes_a_study_that_plans_and_overwrites_nothing(tmp_path: Path) -> None:
    first = xp("init", cwd=tmp_path)
    assert first.returncode == 0
    assert f"pip install --no-deps {NEEDED}\n" in first.stdout
    assert {p.name for p in tmp_path.iterdir()} == {
        "study.yaml",
        SCHEMA,
        *(f"questions_{language}.jsonl" for language in STARTED),
    }
    assert "9 cells" in xp("plan", "study.yaml", cwd=tmp_path).stdout
    before = (tmp_path / "study.yaml").read_text("utf-8")
    assert before.startswith(f"# yaml-language-server: $schema={SCHEMA}\n")
    assert f"{{package: {NEEDED}}}" in before
    assert (tmp_path / SCHEMA).read_text("utf-8") == schema_text()
    assert xp("init", "another/study.yaml", cwd=tmp_path).returncode == 0
    again = xp("init", cwd=tmp_path)
    assert again.returncode == 1
    assert "already there" in again.stderr
    assert (tmp_path / "study.yaml").read_text("utf-8") == before


def test_init_writes_a_prompt_text_in_each_language_that_is_named_and_a_study_that_names_it(
    tmp_path: Path,
) -> None:
    assert xp("init", "--languages", ",".join(QUESTIONS), "study.yaml", cwd=tmp_path).returncode == 0
    assert {p.stem for p in (tmp_path / "prompts").iterdir()} == {*QUESTIONS}
    assert f"{3 * len(QUESTIONS)} cells" in xp("plan", "study.yaml", cwd=tmp_path).stdout
    assert (
        "found `Polish`; must be language codes" in xp("init", "--languages", "Polish", cwd=tmp_path).stderr
    )


def test_a_prompt_text_to_fill_in_is_refused_line_by_line_until_it_is(tmp_path: Path) -> None:
    assert xp("init", "--languages", "pl", cwd=tmp_path).returncode == 0
    refused = xp("validate", "study.yaml", cwd=tmp_path).stderr
    text = (tmp_path / "prompts" / "pl.yaml").read_text("utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        assert (f"prompts/pl.yaml:{number}:" in refused) == (
            line.endswith('""') and "preamble" not in line
        ), line
    (tmp_path / "prompts" / "pl.yaml").write_text(text.replace(': ""', ': "# Tekst:"'), "utf-8")
    rows = '{"item": "1", "instruction": "Ile?", "answers": ["8"]}\n'
    (tmp_path / "questions_pl.jsonl").write_text(rows, "utf-8")
    assert "study.yaml is valid" in xp("validate", "study.yaml", cwd=tmp_path).stdout


def test_questions_to_fill_in_have_the_items_of_those_that_are_there(tmp_path: Path) -> None:
    assert xp("init", "--languages", "en,pl", cwd=tmp_path).returncode == 0
    items = [
        [
            json.loads(line)["item"]
            for line in (tmp_path / f"questions_{language}.jsonl").read_text("utf-8").splitlines()
        ]
        for language in ("en", "pl")
    ]
    assert items[0] == items[1]


def test_the_version_is_that_of_the_installed_distribution(tmp_path: Path) -> None:
    done = xp("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"xp {version('xp-lab')}\n")


def test_the_shell_is_reported_how_to_complete_and_the_words_it_asks_for(tmp_path: Path) -> None:
    def shell(command: str, **asked: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **asked}
        done = subprocess.run(
            ["bash", "-c", f"{command}; true"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "complete -o default -F _xp_completion xp" in shell(f"{sys.executable} -m xp --show-completion")
    words = shell(f"{sys.executable} -m xp", _XP_COMPLETE="complete_bash", COMP_WORDS="xp re", COMP_CWORD="1")
    assert words.split() == ["report", "rebuild"]


def test_a_pipe_that_is_closed_early_ends_a_query_quietly(applied: Path) -> None:
    command = f"{sys.executable} -m xp query 'select * from range(100000)' --format csv | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=applied,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "range\n"
    assert "Traceback" not in done.stderr
