"""Families of tests: corrects the p-values of a study and computes the corrected intervals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np

from warehouse.statements import fetch
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import (
    Correction,
    arms_of,
    correct,
    exploratory,
    smallest_corrected,
)
from warehouse.statistics.estimates import Estimate
from warehouse.statistics.gaps import StudentTest
from warehouse.statistics.pairs import TEST, Columns, Row, gaps_between_languages, read_pairs
from warehouse.statistics.power import smallest_p_value
from warehouse.statistics.sequential import SequentialTest, paired_test, smallest_sequential_p_value

_GAP = (*TEST, "other_language", "other_of_train_languages", "other_against_train_languages")

_CORRECTED = {
    **dict.fromkeys(("place", "n_tests"), "bigint"),
    **dict.fromkeys(("family", "correction"), "varchar"),
    **dict.fromkeys(
        ("p_corrected", "ci_low_corrected", "ci_high_corrected", "smallest_p_corrected"), "double"
    ),
}


def correct_families(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Correct the tests of a study, family by family.

    Holm over what it declared, else Benjamini–Hochberg, or –Yekutieli where arms are shared. A method and
    itself are of the family `noise`, in which each test stands alone: its false findings are counted.
    """
    tests = fetch(
        connection,
        """
        select
            tests.rowid as place,
            tests.* exclude (experiment),
            contrasts.of,
            contrasts.against,
            contrasts.method,
            contrasts.stopping_seed,
            contrasts.is_noise,
            contrasts.is_declared
                and list_has_any(
                    contrasts.on_judges, [estimates.judge, split_part(estimates.measure, ' vs ', 1)]
                ) as is_confirmatory,
            estimates.n
        from contrast_tests as tests
        join contrasts using (experiment, contrast)
        join contrast_estimates as estimates
            using (
                experiment, contrast, dataset, language, model, of_train_languages, against_train_languages,
                measure
            )
        where tests.experiment = ? and len(contrasts."by") = 0
        order by place
        """,
        [experiment],
    )
    gaps = _changes(connection, experiment, "language_gaps", 'len("by") = 0 or "by" = [\'language\']')
    trends = _changes(connection, experiment, "size_trends")
    noise = [row for row in tests if row["is_noise"]]
    every = {"contrast_tests": tests, "language_gaps": gaps, "size_trends": trends}
    explored = {
        table: [row for row in rows if not row["is_confirmatory"] and not row.get("is_noise")]
        for table, rows in every.items()
    }
    families: list[tuple[str, Correction, list[tuple[str, dict[str, Any]]]]] = [
        (
            "confirmatory",
            _confirmed_by([row for rows in every.values() for row in rows if row["is_confirmatory"]]),
            [(table, row) for table, rows in every.items() for row in rows if row["is_confirmatory"]],
        ),
        *(
            ("exploratory", _explored_by(table, rows), [(table, row) for row in rows])
            for table, rows in explored.items()
        ),
        *(("noise", "holm", [("contrast_tests", row)]) for row in noise),
    ]
    found: dict[str, dict[int, dict[str, Any]]] = {table: {} for table in every}
    for family, correction, members in families:
        made = [(table, row) for table, row in members if row["p_value"] is not None]
        corrected = correct([row["p_value"] for _, row in made], correction)
        levels = {(table, row["place"]): one for (table, row), one in zip(made, corrected, strict=True)}
        for table, row in members:
            one = levels.get((table, row["place"]))
            found[table][row["place"]] = {
                "place": row["place"],
                "family": family,
                "correction": correction,
                "n_tests": len(made),
                "p_corrected": one and one.p_value,
                "alpha": one and one.alpha,
                "smallest_p_corrected": smallest_corrected(_smallest_p_value(row), len(made), correction),
            }
    for row in trends:
        if row["p_value"] is not None:
            slope = Estimate(row["slope"], row["standard_error"], row["df"])
            _put(found["size_trends"][row["place"]], StudentTest(slope, None))
    for dataset, model in {(row["dataset"], row["model"]): None for row in (*tests, *gaps)}:
        pairs = read_pairs(connection, {"experiment": experiment, "dataset": dataset, "models": [model]})
        _corrected_intervals(found, connection, experiment, pairs, tests, gaps, (dataset, model))
    for table, rows in found.items():
        smallest = (
            ", smallest_p_corrected = corrected.smallest_p_corrected" if table == "contrast_tests" else ""
        )
        connection.execute(
            f"""
            update {table}
            set family = corrected.family, correction = corrected.correction, n_tests = corrected.n_tests,
                p_corrected = corrected.p_corrected, ci_low_corrected = corrected.ci_low_corrected,
                ci_high_corrected = corrected.ci_high_corrected{smallest}
            from (select unnest(from_json($rows, $form), recursive := true)) as corrected
            where {table}.rowid = corrected.place
            """,
            {"rows": json.dumps(list(rows.values())), "form": json.dumps([_CORRECTED])},
        )


def _changes(
    connection: duckdb.DuckDBPyConnection, experiment: str, table: str, wanted: str = "true"
) -> list[dict[str, Any]]:
    """Return rows of gaps or trends with their family.

    Confirmatory where a contrast is declared by language or size, as they are.
    """
    return fetch(
        connection,
        f"""
        select
            {table}.rowid as place,
            {table}.* exclude (experiment),
            coalesce(
                contrasts.is_declared
                and len(contrasts."by") > 0
                and list_has_any(
                    contrasts.on_judges, [{table}.judge, split_part({table}.measure, ' vs ', 1)]
                ),
                false
            ) as is_confirmatory
        from {table}
        left join contrasts using (experiment, contrast)
        where experiment = ? and ({wanted})
        order by place
        """,
        [experiment],
    )


def _confirmed_by(rows: Sequence[Row]) -> Correction:
    """Return the correction of confirmatory tests: of e-values where every one of them may stop."""
    return "e_holm" if rows and all(row.get("stopping_seed") is not None for row in rows) else "holm"


def _smallest_p_value(row: Row) -> float:
    """Return the smallest p-value that so many items can give."""
    is_stopped = row.get("stopping_seed") is not None
    return smallest_sequential_p_value(row["n"]) if is_stopped else smallest_p_value(row["n"])


def _explored_by(table: str, rows: Sequence[Row]) -> Correction:
    """Return the correction of exploratory tests.

    Any dependence is allowed for where contrasts share a method, and between languages and sizes.
    """
    if table != "contrast_tests":
        return "benjamini_yekutieli"
    sides = {(row["contrast"], row["of"], row["against"], row["method"]) for row in rows}
    return exploratory(arms_of(of, against, method) for _, of, against, method in sides)


def _corrected_intervals(
    found: Mapping[str, dict[int, dict[str, Any]]],
    connection: duckdb.DuckDBPyConnection,
    experiment: str,
    pairs: Sequence[tuple[Row, Columns]],
    tests: Sequence[Row],
    gaps: Sequence[Row],
    slice_: tuple[str, str],
) -> None:
    """Put into `found` the intervals of one slice, at the levels of their families."""
    here = {
        tuple(row[name] for name in TEST): row for row in tests if (row["dataset"], row["model"]) == slice_
    }
    for place, columns in pairs:
        row = here.get(tuple(place[name] for name in TEST))
        if row is None or row["p_value"] is None:
            continue
        differences = columns["difference"][~np.isnan(columns["difference"])]
        estimate = (
            None
            if row["df"] is None
            else Estimate(float(differences.mean()), row["standard_error"], row["df"])
        )
        _put(found["contrast_tests"][row["place"]], paired_test(columns, row["stopping_seed"], estimate))
    between = {
        tuple(row[name] for name in _GAP): row for row in gaps if (row["dataset"], row["model"]) == slice_
    }
    for place, gap in gaps_between_languages(connection, experiment, pairs):
        row = between.get(tuple(place[name] for name in _GAP))
        if row is not None and row["p_value"] is not None:
            over_seeds = (
                None if row["df"] is None else Estimate(gap.estimate, row["standard_error"], row["df"])
            )
            _put(found["language_gaps"][row["place"]], replace(gap, over_seeds=over_seeds).test)


def _put(corrected: dict[str, Any], test: PairedTest | SequentialTest | StudentTest) -> None:
    corrected["ci_low_corrected"], corrected["ci_high_corrected"] = test.interval(corrected["alpha"]) or (
        None,
        None,
    )
