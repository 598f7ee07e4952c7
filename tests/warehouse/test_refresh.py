"""Statistics of a slice: what is not planned would have had no rows."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.migrate import computed_tables
from warehouse.statements import run_file
from warehouse.statistics import refresh

PASSED_OVER = tuple(refresh._MADE_FROM)


def computed(store: Path) -> list[Any]:
    """Number of rows of each view that may be passed over, in a store that is loaded anew."""
    rebuild(store)
    with connect(store / WAREHOUSE, read_only=True) as connection:
        return [
            found
            for view in PASSED_OVER
            for found in connection.execute(f"select count(*) from {view}").fetchall()
        ]


def test_a_view_is_passed_over_only_where_it_has_no_rows(
    tmp_path: Path, maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_judge = tmp_path / "every judge"
    write_study(every_judge, models={"tiny": 1000}, languages=("en",), n_items=2)
    maker.cell(scores={"contains": {"1": 1.0, "2": 0.0}})
    maker.study()
    full = computed(every_judge)
    assert (0,) not in full
    assert computed(maker.folder) == [(0,)] * len(PASSED_OVER)
    monkeypatch.setattr(refresh, "_MADE_FROM", {"method_scores": "bool_or(true)"})
    assert computed(every_judge) == full
    assert computed(maker.folder) == [(0,)] * len(PASSED_OVER)


def test_statistics_of_a_study_without_answers_are_not_planned_and_would_have_no_rows(
    maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.cell("zero_shot", scores={"contains": {"1": 1.0}})
    maker.cell("sft", scores={"contains": {"1": 0.0}})
    shutil.rmtree(maker.folder / "steps")
    study = maker.study(contrasts=(ContrastPlan(name="gain", of="sft", against="zero_shot"),))
    called = list[str]()

    def spied(name: str) -> Callable[..., Any]:
        real = getattr(refresh, name)
        return lambda *arguments: called.append(name) or real(*arguments)

    for name in ("_compute_slice", "trend_rows"):
        monkeypatch.setattr(refresh, name, spied(name))
    rebuild(maker.folder)
    assert called == []
    with connect(maker.folder / WAREHOUSE) as connection:
        slice_ = {"experiment": study.experiment, "dataset": "quiz", "model": "tiny"}
        run_file(connection, refresh.HERE / "statistics" / "slice.sql", **slice_)
        refresh._compute_slice(connection, slice_)
        assert [
            table for table in computed_tables() if connection.execute(f"from {table}").fetchone() is not None
        ] == []
