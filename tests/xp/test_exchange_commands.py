"""`xp import` and `xp export` on the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.xp.imports.imported import RECORD, SAMPLES
from xp.cli import app


def _run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


def test_an_import_says_what_it_wrote_and_what_to_do_next(tmp_path: Path) -> None:
    assert _run("import", "every-eval-ever", RECORD, "--out", tmp_path / "out") == (
        0,
        f"{tmp_path}/out/choice.yaml: 2 answers\n"
        "  the files do not name the language of the questions: --language en\n"
        f"next: xp apply {tmp_path}/out/choice.yaml\n",
    )


def test_a_file_of_another_form_is_an_error_of_the_arguments(tmp_path: Path) -> None:
    code, said = _run("import", "inspect", RECORD, "--out", tmp_path / "out")
    assert code == 2
    assert "not a log of Inspect" in said


def test_an_export_of_an_imported_study_lists_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _run("import", "lm-eval", *SAMPLES, "--language", "sums_{language}")
    assert _run("export", "imported/sums.yaml", "--format", "inspect")[0] == 1, "nothing is applied yet"
    assert _run("apply", "imported/sums.yaml", "--yes", "--in-process", "--no-report")[0] == 0
    code, said = _run("export", "imported/sums.yaml", "--format", "parquet")
    assert code == 0
    assert said.splitlines() == [
        "exported/sums/completions.parquet: 6 rows",
        "exported/sums/verdicts.parquet: 12 rows",
        "exported/sums/croissant.json: the description of both",
    ]
    assert _run("export", "sums", "--format", "inspect")[0] == 2, "the folder holds something"
