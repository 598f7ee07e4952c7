"""Refusals of `xp export`, and cells that have nothing to export."""

from pathlib import Path
from typing import get_args

import pytest

from dsl.errors import ArgumentError
from dsl.plan.diff import diff
from tests.xp.exports.exported import exported
from tests.xp.small_study import plan_of, step_ids, write_study
from xp.apply import apply
from xp.exports.exporting import ExportFormat, export_results
from xp.render.exchange import exported_as_text

FORMATS = get_args(ExportFormat)


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_holds_something_is_left_alone(
    format: ExportFormat, store: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(ArgumentError, match="is not empty, and nothing in it is overwritten"):
        exported(format, store, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_study_that_is_not_there_is_refused(format: ExportFormat, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"has no study `hart`\. Did you mean `hard`"):
        export_results(format, store / "warehouse.duckdb", "hart", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_cells_without_answers_are_counted(format: ExportFormat, tmp_path: Path) -> None:
    spec, store = write_study(tmp_path, n_items=2), tmp_path / "store"
    plan = plan_of(spec)
    apply(diff(plan, frozenset(), step_ids(plan, "judge")[:1]), store, in_process=True)
    exported_ = export_results(format, store / "warehouse.duckdb", "small", tmp_path / "out")
    assert exported_.n_without == 1
    assert exported_as_text(exported_).endswith("not written: 1 cell without answers; `xp apply` makes them")
