"""Terminal output: safe, fit for the terminal's encoding, and an error in a sentence where it cannot be
written. Folders may have any name."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.xp.small_study import HANG_SECONDS, as_a_terminal_does, wait_for
from tests.xp.test_cli import ROOT
from warehouse.connect import WAREHOUSE
from xp.cli import app
from xp.commands.output import exit_on_error
from xp.sampling import guarded, unguarded

DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
ESC, BELL, RLO = "\x1b]0;title\x07", "\x07", "\u202egnp.exe"
ITEMS = ["plain", f"esc{ESC}", f"rlo{RLO}", "two\nlines", "c1\x9b31m"]


def write_study(folder: Path, name: str = "odd") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"item": item, "instruction": f"What is {n}? é 日本", "answers": [str(n)]}
        for n, item in enumerate(ITEMS)
    ]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": name,
        "question": f"Does it drive {ESC} {RLO}?",
        "caveats": [f"A caveat {ESC}\x9b31m"],
        "languages": ["en"],
        "models": {"echo": {"base": {"engine": "echo"}}},
        "data": {
            "q": {
                "rows": {"path": "{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            }
        },
        "evaluate": ["q"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        "decoding": {"max_new_tokens": 16},
        "judges": {"length": {"judge": "length"}},
    }
    spec = folder / "study.yaml"
    spec.write_text(json.dumps(study), "utf-8")
    return spec


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was applied, whose texts would drive a terminal."""
    folder = tmp_path_factory.mktemp(f"rlo{RLO}esc{ESC}".replace("/", "_"))
    spec = write_study(folder)
    applied = xp("apply", spec, "--yes", "--in-process", "--no-report", "--store", folder / "store")
    assert applied.exit_code == 0, applied.output
    assert "Does it drive" in applied.output
    assert not DRIVES.search(applied.output)
    return spec


def xp(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "SPEC"),
        ("plan", "SPEC", "--json"),
        ("validate", "SPEC"),
        ("status",),
        ("status", "--json"),
        ("show", "zero_shot/en"),
        ("show", "zero_shot/en", "--item", ITEMS[1]),
        ("show", "zero_shot/en", "--item", f"none{ESC}"),
        ("show", f"none{ESC}"),
        ("plan", "SPEC", "--set", f"a{ESC}"),
        ("plan", "SPEC", "--target", f"a{ESC}"),
        ("query", f"select '{ESC}' as x"),
        ("query", f"select error('{ESC}')"),
        ("report", f"none{ESC}"),
        ("sample", "SPEC", "--output", "CSV"),
        ("diff", "SPEC", "odd"),
        ("diff", f"none{ESC}", "SPEC"),
        ("rebuild",),
    ],
    ids=lambda arguments: " ".join(arguments).translate({27: None, 7: None}),
)
def test_no_command_prints_what_drives_a_terminal(spec: Path, arguments: tuple[str, ...]) -> None:
    paths = {"SPEC": spec, "CSV": spec.parent / f"labels{RLO}.csv"}
    found = xp(*(paths.get(argument, argument) for argument in arguments), "--store", spec.parent / "store")
    assert found.output
    assert not DRIVES.search(found.output), found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    if "--json" in arguments:
        json.loads(found.stdout)


def test_a_comparison_of_hostile_studies_drives_no_terminal(tmp_path: Path) -> None:
    spec = write_study(tmp_path)
    apply = ("apply", spec, "--yes", "--in-process", "--no-report", "--store", tmp_path / "store")
    assert xp(*apply).exit_code == 0
    spec.write_text(spec.read_text("utf-8").replace("A caveat ", "Another\\u009b31m"), "utf-8")
    rows = (tmp_path / "en.jsonl").read_text("utf-8").replace("What is", "How much is")
    (tmp_path / "en.jsonl").write_text(rows.replace("日本", "no more"), "utf-8")
    assert xp(*apply).exit_code == 0
    found = xp("diff", "odd~1", "odd", "--store", tmp_path / "store")
    assert "caveats: " in found.output
    assert f"{len(ITEMS)} of {len(ITEMS)} differ: " in found.output
    assert not DRIVES.search(found.output), found.output


def typed(
    *arguments: str | Path | bytes, encoding: str = "utf-8", to: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [os.fsencode(sys.executable), b"-m", b"xp", *(os.fsencode(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    with open(to or os.devnull, "wb") as out:
        return subprocess.run(
            command,
            env=environment,
            stdout=out if to else subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=HANG_SECONDS,
            check=False,
        )


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "ascii"])
def test_a_terminal_that_lacks_a_character_is_shown_its_escape(spec: Path, encoding: str) -> None:
    found = typed("show", "zero_shot/en", "--store", spec.parent / "store", encoding=encoding)
    assert found.returncode == 0, found.stderr
    assert "\\u65e5\\u672c" in found.stdout.decode(encoding)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [("show", "zero_shot/en"), ("query", "select 1"), ("status",), ("apply", "SPEC", "--yes", "--no-report")],
)
def test_output_that_cannot_be_written_ends_in_a_sentence(spec: Path, arguments: tuple[str, ...]) -> None:
    words = (spec if argument == "SPEC" else argument for argument in arguments)
    found = typed(*words, "--store", spec.parent / "store", to="/dev/full")
    assert found.returncode == 1
    assert found.stderr.decode().strip() == "xp: the output cannot be written: No space left on device"


def test_ctrl_c_ends_a_query_that_runs_for_long(spec: Path) -> None:
    sql = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b"
    command = [sys.executable, "-m", "xp", "query", sql, "--store", str(spec.parent / "store")]
    running = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=as_a_terminal_does,
    )
    try:
        process, file = psutil.Process(running.pid), str(spec.parent / "store" / WAREHOUSE)
        wait_for(lambda: [one for one in process.open_files() if one.path == file])
        begun = process.cpu_times().user
        wait_for(lambda: process.cpu_times().user > begun + 1)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=HANG_SECONDS)
    finally:
        running.kill()
    assert (running.returncode, out) == (130, b"")
    assert told.startswith(b"interrupted")


def test_more_rows_than_there_can_be_are_refused(spec: Path) -> None:
    assert (
        xp(
            "show", "zero_shot/en", "--limit", "99999999999999999999", "--store", spec.parent / "store"
        ).exit_code
        == 2
    )


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores, in folders that a pattern would find."""
    parent = tmp_path_factory.mktemp("beside")
    for folder in ("aXb", "a1b"):
        other = parent / folder
        assert (
            xp(
                "apply", write_study(other), "--yes", "--in-process", "--no-report", "--store", other / folder
            ).exit_code
            == 0
        )
    return parent


@pytest.mark.parametrize("name", ["a*b", "a[1]b", "{x}'%20\n"])
def test_a_folders_name_is_no_pattern(beside: Path, name: str) -> None:
    spec, store = write_study(beside / name), beside / name / name
    for command in (("apply", spec, "--yes", "--in-process", "--no-report"), ("rebuild",), ("status",)):
        found = xp(*command, "--store", store)
        assert found.exit_code == 0, found.output
    found = xp("query", "select count(*) as n from step_completions", "--format", "csv", "--store", store)
    assert found.output.split() == ["n", str(len(ITEMS))]


@pytest.mark.parametrize("name", ["a?b", "back\\slash"])
def test_a_folder_that_can_hold_no_database_is_reported_before_anything_runs(
    tmp_path: Path, name: str
) -> None:
    spec = write_study(tmp_path / name)
    assert (
        xp("apply", spec, "--yes", "--in-process", "--no-report", "--store", tmp_path / "store").exit_code
        == 0
    ), "as long as the store lies elsewhere"
    found = xp("apply", spec, "--yes", "--in-process", "--no-report", "--store", tmp_path / name / "store")
    assert found.exit_code == 1
    assert "Name another folder by `--store`" in found.stderr
    assert not (tmp_path / name / "store" / "steps").exists()


def test_a_name_that_is_not_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/und\xff"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes only text")
    for command in ((b"plan", folder + b"/study.yaml"), (b"status", b"--store", folder)):
        found = typed(*command)
        assert found.returncode == 2
        assert b"its name is not UTF-8" in found.stderr
        assert b"Traceback" not in found.stderr


@pytest.mark.parametrize(
    "unseen",
    ["", "\u200b", "\ufeff", "\u2060", "\xa0", " ", "\x00", "\u200b\ufeff ", "\u202e", "\xad", "\ufe0f"],
)
@pytest.mark.parametrize("sign", "=+-@＝＋－＠")
def test_a_formula_behind_characters_that_are_not_seen_is_guarded(unseen: str, sign: str) -> None:
    assert guarded(f"{unseen}{sign}1+1") == f"'{unseen}{sign}1+1"


@given(st.text(st.sampled_from("'=a \u200b\ufeff\t")))
def test_what_is_guarded_is_read_back_as_it_was(text: str) -> None:
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_ctrl_c_ends_in_a_sentence_also_where_duckdb_hears_it(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, exit_on_error():
        raise error
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted; `xp apply` goes on from here\n"


@pytest.mark.parametrize("message", ["Query interrupted by a bug of ours", "other"])
def test_another_runtime_error_keeps_its_traceback(message: str) -> None:
    with pytest.raises(RuntimeError, match=message), exit_on_error():
        raise RuntimeError(message)
