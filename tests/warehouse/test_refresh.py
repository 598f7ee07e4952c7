"""Statistics of a slice: what is not planned would have had no rows."""

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dsl.plan.study import ContrastPlan
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.relations import computed_tables
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


def test_models_that_are_computed_together_have_the_statistics_of_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the last digit of sums, whose order differs between two runs as well."""
    write_study(tmp_path, models={"tiny": 1000, "small": 2000}, languages=("en", "fr"), n_items=2)
    groups, compute = list[list[str]](), refresh._compute_slice
    monkeypatch.setattr(
        refresh, "_compute_slice", lambda c, slice_: [groups.append(slice_["models"]), compute(c, slice_)]
    )

    def rows(most: int) -> dict[str, list[Any]]:
        monkeypatch.setattr(refresh, "_MOST_ROWS", most)
        with connect(tmp_path / WAREHOUSE) as connection:
            run_file(connection, refresh.HERE / "load" / "sql" / "all_stale.sql")
            refresh.refresh_stale(connection)
            return {
                table: [
                    [pytest.approx(value) if isinstance(value, float) else value for value in row]
                    for row in connection.execute(f"from {table} order by all").fetchall()
                ]
                for table in computed_tables()
            }

    together, apart = rows(10**6), rows(1)
    assert groups == [["small", "tiny"], ["small"], ["tiny"]]
    assert {table for table, found in together.items() if not found} <= {"contrasts_beside_people"}
    for table, found in together.items():
        assert found == apart[table], table


def test_statistics_of_a_study_without_answers_are_not_planned_and_would_have_no_rows(
    maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.cell("zero_shot", scores={"contains": {"1": 1.0}})
    maker.cell("sft", scores={"contains": {"1": 0.0}})
    shutil.rmtree(maker.folder / "steps")
    study = maker.study(contrasts=(ContrastPlan(name="gain", of="sft", against="zero_shot"),))
    with monkeypatch.context() as patched:
        for name in ("_compute_slice", "trend_rows", "contrasts_beside_people", "correct_families"):
            patched.setattr(refresh, name, None)
        rebuild(maker.folder)
    with connect(maker.folder / WAREHOUSE) as connection:
        slice_ = {"experiment": study.experiment, "dataset": "quiz", "models": ["tiny"]}
        run_file(connection, refresh.HERE / "statistics" / "slice.sql", **slice_)
        refresh._compute_slice(connection, slice_)
        assert [
            table for table in computed_tables() if connection.execute(f"from {table}").fetchone() is not None
        ] == []


@pytest.mark.parametrize(("n_methods", "n_models"), [(1, 1), (2, 1), (1, 2)])
def test_a_part_of_a_study_s_statistics_is_passed_over_only_where_it_has_no_rows(
    n_methods: int, n_models: int, maker: StoreMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ("zero_shot", "sft")[:n_methods]
    for method, number in product(methods, range(1, 1 + n_models)):
        scores = {"1": 1.0, "2": 0.0, "3": float(method == "sft")}
        maker.cell(method, model=f"m{number}", num_parameters=number, scores={"contains": scores})
    gain = ContrastPlan(name="gain", of="sft", against="zero_shot")
    maker.study(contrasts=(gain,) if n_methods == 2 else ())

    def rows() -> dict[str, list[Any]]:
        rebuild(maker.folder)
        with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
            return {
                table: connection.execute(f"from {table} order by all").fetchall()
                for table in computed_tables()
            }

    found = rows()
    assert (len(found["contrast_tests"]), len(found["size_trends"])) == (n_methods - 1, n_models - 1)
    always = dict.fromkeys(refresh._OF_STUDY_MADE_FROM, "$experiment is not null")
    monkeypatch.setattr(refresh, "_OF_STUDY_MADE_FROM", always)
    assert rows() == found
