"""Imports fixtures and reads back what was written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsl.checks.load import load
from tests.xp.small_study import diff_of
from warehouse.connect import connect
from warehouse.statements import fetch
from xp.apply import apply
from xp.imports.importing import ImportFormat, import_results
from xp.imports.studies import ImportedStudy

RESULTS = Path(__file__).resolve().parents[2] / "fixtures" / "results"
SAMPLES = sorted((RESULTS / "lm_eval" / "acme__tiny").glob("samples_*.jsonl"))
RECORD = next((RESULTS / "every_eval_ever").glob("*[!s].json"))


def imported(
    format: ImportFormat, files: Sequence[Path], out: Path, *languages: str
) -> tuple[ImportedStudy, ...]:
    return import_results(format, files, out, languages)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def is_read_without_a_warning(spec: Path) -> bool:
    return not load(spec).warnings


def scores_after_apply(spec: Path, store: Path) -> dict[tuple[str, ...], tuple[float | None, int, int]]:
    """Apply a study and return (language, model, method, measure) -> mean, scores, unscored."""
    applied = apply(diff_of(spec, store), store, in_process=True)
    assert applied.failures == ()
    with connect(store / "warehouse.duckdb", read_only=True) as connection:
        return {
            (row["language"], row["model"], row["method"], row["measure"]): (
                row["mean_score"],
                row["n"],
                row["n_unscored"],
            )
            for row in fetch(connection, "from score_by_cell")
        }
