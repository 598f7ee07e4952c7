"""`import xp`: what the commands do, as functions, and nothing that is printed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import xp
from dsl.errors import ArgumentError, SpecError, WarehouseError
from tests.xp.small_study import write_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XP_STORE", raising=False)
    return write_study(tmp_path / "study", n_items=4)


def test_a_study_is_planned_applied_queried_and_reported_from_python_and_nothing_is_printed(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = xp.load(spec)
    planned = study.plan()
    assert len(planned.todo) == 6
    assert "2 cells, 6 steps: 0 done, 6 to run" in str(planned)
    assert json.loads(planned.to_json())["todo"] == list(planned.todo)

    applied = study.apply(in_process=True)
    assert (applied.n_done, applied.failures) == (6, ())
    assert applied.report == Path("reports/small.html")
    page = applied.report.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "This study is not finished" not in page
    assert study.plan().todo == ()

    found = study.query("select language, count(*) as n from completions group by all order by all")
    assert found.to_dict("list") == {"language": ["en", "fr"], "n": [4, 4]}
    assert found.equals(
        xp.open().query("select language, count(*) as n from completions group by all order by all")
    )
    assert study.report(Path("elsewhere.html")) == Path("elsewhere.html")
    assert [path.name for path in xp.open(".xp").report("small", format="latex")] == [
        "small.tex",
        "small.md",
        "small-figures",
    ]
    assert capsys.readouterr() == ("", "")


def test_the_page_on_python_can_be_followed(spec: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.DOTALL)
    for path in spec.parent.iterdir():
        path.rename(path.name)
    Path(spec.name).rename("study.yaml")
    names: dict[str, Any] = {}
    exec(code, names)
    assert (names["applied"].n_done, names["applied"].failures) == (6, ())
    assert names["page"] == names["applied"].report
    assert len(names["means"]) == 2
    assert len(names["answers"]) == 8


def test_the_store_is_the_one_named_or_that_of_the_environment(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert xp.load(spec).store == Path(".xp")
    monkeypatch.setenv("XP_STORE", "there")
    assert xp.load(str(spec)).store == Path("there")
    assert xp.load(spec, store="here").store == Path("here")


def test_overrides_and_targets_are_those_of_the_commands(spec: Path) -> None:
    planned = xp.load(spec, overrides=["languages=[en]"]).plan(["data"])
    assert [step_id.partition("-")[0] for step_id in planned.todo] == ["data"]


def test_the_report_is_of_the_study_that_the_overrides_name(spec: Path) -> None:
    xp.load(spec).apply(in_process=True, report=False)
    study = xp.load(spec, overrides=["experiment=other"])
    study.apply(in_process=True, report=False)
    page = study.report()
    assert page == Path("reports/other.html")
    assert "was last applied from" not in page.read_text("utf-8")


def test_a_plan_that_was_read_is_the_one_that_runs(spec: Path) -> None:
    study = xp.load(spec)
    applied = study.apply(study.plan(["data"]), in_process=True, report=False)
    assert (applied.n_done, applied.report) == (2, None)
    assert not Path("reports").exists()


def test_a_report_is_written_of_what_is_there_and_says_what_is_missing(spec: Path) -> None:
    study = xp.load(spec)
    applied = study.apply(study.plan(["data"]), in_process=True)
    assert applied.report is not None
    assert "This study is not finished" in applied.report.read_text("utf-8")


def test_a_report_that_cannot_be_written_is_a_note_and_no_failure(spec: Path) -> None:
    Path("reports").write_text("a file where the folder would be")
    applied = xp.load(spec).apply(in_process=True)
    assert (applied.n_done, applied.report) == (6, None)
    assert applied.notes[-1].startswith("The report was not written: reports")


def test_errors_are_exceptions_with_the_sentences_of_the_commands(spec: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing.yaml: no such file"):
        xp.load("nothing.yaml").plan()
    with pytest.raises(ArgumentError, match="no step is named by --target dpo"):
        xp.load(spec).plan(["dpo"])
    with pytest.raises(WarehouseError, match="there is no warehouse in nowhere yet"):
        xp.open("nowhere")
    xp.load(spec).apply(in_process=True, report=False)
    with pytest.raises(WarehouseError, match="read-only"):
        xp.open().query("delete from step_completions")


def test_importing_xp_loads_nothing_of_what_it_stands_on() -> None:
    program = "import sys, xp; print(sorted({n.split('.')[0] for n in sys.modules} & {*sys.argv[1:]}))"
    names = ["dsl", "runners", "warehouse", "pydantic", "duckdb", "pandas", "rich", "typer", "torch"]
    done = subprocess.run([sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
