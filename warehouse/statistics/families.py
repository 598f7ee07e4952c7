"""Families of tests: corrects the p-values of a study and gives its contrasts the intervals that go with them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np

from warehouse.query import fetch
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import Correction, correct, smallest_corrected
from warehouse.statistics.estimates import Estimate
from warehouse.statistics.gaps import WelchTest
from warehouse.statistics.pairs import TEST, Columns, Row, gaps_between_languages, read_pairs, scale_width
from warehouse.statistics.sign_flips import smallest_p_value

_GAP = (*TEST, "other_language", "other_of_train_languages", "other_against_train_languages")

_CORRECTED = {
    **dict.fromkeys(("place", "n_tests"), "bigint"),
    **dict.fromkeys(("family", "correction"), "varchar"),
    **dict.fromkeys(("p_corrected", "ci_low_corrected", "ci_high_corrected", "smallest_p_corrected"), "double"),
}


def correct_families(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Correct the tests of a study, family by family: Holm over what it declared, else Benjamini–Hochberg, or –Yekutieli where arms are shared."""
    tests = fetch(
        connection,
        """
        select
            tests.rowid as place,
            tests.* exclude (experiment),
            contrasts.of,
            contrasts.against,
            contrasts.is_declared and list_contains(contrasts.on_judges, estimates.judge) as is_confirmatory,
            estimates.n
        from contrast_tests as tests
        join contrasts using (experiment, contrast)
        join contrast_estimates as estimates
            using (experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure)
        where tests.experiment = ?
        order by place
        """,
        [experiment],
    )
    gaps = fetch(
        connection, "select rowid as place, * exclude (experiment) from language_gaps where experiment = ? order by place", [experiment]
    )
    explored = [row for row in tests if not row["is_confirmatory"]]
    families: list[tuple[str, str, Correction, list[dict[str, Any]]]] = [
        ("contrast_tests", "confirmatory", "holm", [row for row in tests if row["is_confirmatory"]]),
        ("contrast_tests", "exploratory", "benjamini_yekutieli" if _share_arms(explored) else "benjamini_hochberg", explored),
        ("language_gaps", "exploratory", "benjamini_yekutieli", gaps),
    ]
    found: dict[str, dict[int, dict[str, Any]]] = {"contrast_tests": {}, "language_gaps": {}}
    for table, family, correction, rows in families:
        made = [row for row in rows if row["p_value"] is not None]
        corrected = dict(zip((row["place"] for row in made), correct([row["p_value"] for row in made], correction), strict=True))
        for row in rows:
            one = corrected.get(row["place"])
            found[table][row["place"]] = {
                "place": row["place"],
                "family": family,
                "correction": correction,
                "n_tests": len(made),
                "p_corrected": one and one.p_value,
                "alpha": one and one.alpha,
                "smallest_p_corrected": smallest_corrected(smallest_p_value(row["n"]), len(made), correction),
            }
    for dataset, model in {(row["dataset"], row["model"]): None for row in (*tests, *gaps)}:
        pairs = read_pairs(connection, {"experiment": experiment, "dataset": dataset, "model": model})
        _corrected_intervals(found, connection, experiment, pairs, tests, gaps, (dataset, model))
    for table, rows in found.items():
        smallest = ", smallest_p_corrected = corrected.smallest_p_corrected" if table == "contrast_tests" else ""
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


def _corrected_intervals(
    found: Mapping[str, dict[int, dict[str, Any]]],
    connection: duckdb.DuckDBPyConnection,
    experiment: str,
    pairs: Sequence[tuple[Row, Columns]],
    tests: Sequence[Row],
    gaps: Sequence[Row],
    slice_: tuple[str, str],
) -> None:
    """Put into `found` the intervals of one slice at the levels at which the corrections test."""
    here = {tuple(row[name] for name in TEST): row for row in tests if (row["dataset"], row["model"]) == slice_}
    for place, columns in pairs:
        row = here[tuple(place[name] for name in TEST)]
        differences = columns["difference"][~np.isnan(columns["difference"])]
        estimate = None if row["df"] is None else Estimate(float(differences.mean()), row["standard_error"], row["df"])
        if row["p_value"] is not None:
            _put(found["contrast_tests"][row["place"]], PairedTest(differences, scale_width(columns), estimate))
    between = {tuple(row[name] for name in _GAP): row for row in gaps if (row["dataset"], row["model"]) == slice_}
    for place, gap in gaps_between_languages(connection, experiment, pairs):
        row = between[tuple(place[name] for name in _GAP)]
        if row["p_value"] is not None:
            over_seeds = None if row["df"] is None else Estimate(gap.estimate, row["standard_error"], row["df"])
            _put(found["language_gaps"][row["place"]], replace(gap, over_seeds=over_seeds).test)


def _put(corrected: dict[str, Any], test: PairedTest | WelchTest) -> None:
    corrected["ci_low_corrected"], corrected["ci_high_corrected"] = test.interval(corrected["alpha"]) or (None, None)


def _share_arms(tests: Sequence[Row]) -> bool:
    """Return True where a method is in several of the contrasts."""
    contrasts = {(row["contrast"], row["of"], row["against"]) for row in tests}
    arms = [arm for _, *both in contrasts for arm in both]
    return len(set(arms)) < len(arms)
