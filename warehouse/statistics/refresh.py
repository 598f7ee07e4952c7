"""Computes a study's statistics from the base views into tables, in the place of older ones."""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, TypeVar

import duckdb
import numpy as np

from warehouse.errors import duckdb_errors
from warehouse.relations import table_files
from warehouse.statements import HERE, fetch, run_file, transaction
from warehouse.statistics.beside_people import contrasts_beside_people
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA
from warehouse.statistics.estimates import Estimate, columns_of, mean_of
from warehouse.statistics.families import correct_families
from warehouse.statistics.gaps import Gap, StudentTest
from warehouse.statistics.paired import (
    Adjusted,
    Unscored,
    bounds_for_unscored,
    length_adjusted,
    standardised_effect,
)
from warehouse.statistics.pairs import (
    TEST,
    Columns,
    Row,
    gaps_between_languages,
    keep,
    read_pairs,
)
from warehouse.statistics.sequential import STOPPED, SequentialTest, paired_test, stopping_seeds
from warehouse.statistics.stopped import mark_stopped, stopped_contrasts
from warehouse.statistics.strengths import Comparison, strengths
from warehouse.statistics.training_seeds import Seeds, TrainingSeeds, cells_of_contrast, cells_of_gap
from warehouse.statistics.trend_rows import trend_rows

_Row = TypeVar("_Row", bound=Row)

_BY_SLICE = ("paired_scores", "contrast_tests", "language_gaps", "method_strengths")
"""Tables computed in Python for models on one data set, beside the materialised views."""

_MOST_ROWS = 20_000
"""Limit of the rows of steps whose models are computed together: planning takes most of a small slice's time,
and memory grows with a large one."""

_SEVERAL_JUDGES = "count(distinct judge) > 1"

_MADE_FROM = {
    "checked_opinions": _SEVERAL_JUDGES,
    "ifeval_accuracies": "bool_or(judge_kind = 'ifeval')",
    "judge_pairs": _SEVERAL_JUDGES,
    "judge_questions": _SEVERAL_JUDGES,
    "loop_causes": "bool_or(judge_kind = 'loop')",
    "scores_beside_errors": "bool_or(role = 'critical_error')",
    "win_rates": "bool_or(against is not null)",
}
"""Materialised view -> verdicts without which it has no rows. Planning it takes most of a small slice's
time."""

_OF_STUDY_MADE_FROM = {
    "trends": "(select count(distinct model) > 1 from method_scores where experiment = $experiment)",
    "people": (
        "exists (from judge_pairs where experiment = $experiment and 'human' in (judge_kind_a, judge_kind_b))"
    ),
    "tests": (
        "exists (from contrast_tests where experiment = $experiment)"
        " or exists (from language_gaps where experiment = $experiment)"
    ),
}
"""Part of a study's own statistics -> rows without which it has none."""


def refresh_stale(connection: duckdb.DuckDBPyConnection) -> None:
    """Compute stale statistics again, each slice and each study in a transaction of its own."""
    for experiment, dataset, models in _stale(connection):
        named = models[0] if len(models) == 1 else f"{len(models)} models"
        with duckdb_errors(f"statistics of {experiment}: {named} on {dataset}"), transaction(connection):
            refresh_slice(connection, experiment, dataset, models)
            connection.execute(
                "delete from stale_slices where experiment = ? and dataset = ? and list_contains(?, model)",
                [experiment, dataset, models],
            )
    for (experiment,) in connection.execute(
        "select experiment from experiments where not is_computed order by all"
    ).fetchall():
        with duckdb_errors(f"statistics of {experiment}"), transaction(connection):
            refresh_study(connection, experiment)
            connection.execute("update experiments set is_computed = true where experiment = ?", [experiment])


def _stale(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the stale slices as study, data set and models, those of small models together."""
    rows = connection.execute((HERE / "statistics" / "stale.sql").read_text("utf-8")).fetchall()
    for (experiment, dataset), slices in groupby(rows, lambda row: row[:2]):
        models, n_rows = list[str](), 0
        for _, _, model, n_more in slices:
            if models and n_rows + n_more > _MOST_ROWS:
                yield experiment, dataset, models
                models, n_rows = [], 0
            models.append(model)
            n_rows += n_more
        yield experiment, dataset, models


def refresh_slice(
    connection: duckdb.DuckDBPyConnection, experiment: str, dataset: str, models: Sequence[str]
) -> None:
    """Compute again the statistics of models on one data set of a study.

    To be called in a transaction, however many of its steps are done.
    """
    slice_ = {"experiment": experiment, "dataset": dataset, "models": list(models)}
    for table in (*_BY_SLICE, *(file.stem for file in table_files())):
        connection.execute(
            f"delete from {table} where experiment = $experiment and dataset = $dataset"
            " and list_contains($models, model)",
            slice_,
        )
    run_file(connection, HERE / "statistics" / "slice.sql", **slice_)
    ((has_rows,),) = connection.execute(
        "select exists (from verdicts) or exists (from completions)"
    ).fetchall()
    if has_rows:  # a study that begins has none
        _compute_slice(connection, slice_)
    for table in ("slice_models", "verdicts", "completions"):
        connection.execute(f"drop table temp.{table}")


def _compute_slice(connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, Any]) -> None:
    """Compute statistics from the temporary tables `verdicts` and `completions`."""
    experiment, models = slice_["experiment"], slice_["models"]
    for view in ("verdicts_by_item", "verdicts_by_cell"):
        text = (HERE / "views" / "base" / f"{view}.sql").read_text("utf-8")
        connection.execute(f"create or replace temp table {view} as {text}")
    run_file(connection, HERE / "statistics" / "pairs.sql", experiment=experiment, models=models)
    seeds = TrainingSeeds(connection, slice_)
    for table in ("verdicts", "verdicts_by_item", "verdicts_by_cell", "completions"):
        # what was asked again is paired by now, and no further answers of the study
        connection.execute(
            f"delete from temp.{table} where not list_contains(?, model) or is_replicate", [models]
        )
    connection.execute(
        "create or replace temp table paired_scores as from main.paired_scores "
        "where experiment = $experiment and dataset = $dataset and list_contains($models, model)"
        " order by all",
        slice_,
    )
    [made_from] = fetch(
        connection,
        f"select {', '.join(f'{of} as {view}' for view, of in _MADE_FROM.items())} from verdicts",
    )
    for file in table_files():
        if made_from.get(file.stem, True):
            connection.execute(f"insert into {file.stem} by name {file.read_text('utf-8')}")
    pairs, stopped = read_pairs(connection, slice_), stopping_seeds(connection, experiment)
    tests = [
        _test(rows, seeds.of(cells_of_contrast(place), place["measure"]), stopped.get(place["contrast"]))
        | {name: place[name] for name in TEST}
        for place, rows in pairs
    ]
    _insert(connection, "contrast_tests", experiment, tests)
    noise = {
        row["contrast"]
        for row in fetch(
            connection, "select contrast from contrasts where experiment = ? and is_noise", (experiment,)
        )
    }
    decided = stopped_contrasts(connection, experiment)
    gaps = [
        place
        | _gap(
            gap,
            seeds.of(cells_of_gap(place), place["measure"], gap.is_paired),
            decided.get(place["contrast"]),
        )
        for place, gap in gaps_between_languages(connection, experiment, pairs)
        if place["contrast"] not in noise
    ]
    _insert(connection, "language_gaps", experiment, gaps)
    compared = (HERE / "statistics" / "comparisons.sql").read_text("utf-8")
    _insert(
        connection,
        "method_strengths",
        experiment,
        _strengths(fetch(connection, compared, {"experiment": experiment})),
    )
    mark_stopped(connection, slice_, ("method_strengths", *(file.stem for file in table_files())))
    for table in ("verdicts_by_item", "verdicts_by_cell", "paired_scores"):
        connection.execute(f"drop table temp.{table}")


def refresh_study(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Compute again corrected p-values, trends with size, and contrasts beside people's labels, once the
    slices of a study are computed.

    To be called in a transaction.
    """
    for table in ("size_trends", "contrasts_beside_people"):
        connection.execute(f"delete from {table} where experiment = ?", [experiment])
    [made_from] = fetch(
        connection,
        f"select {', '.join(f'{of} as {part}' for part, of in _OF_STUDY_MADE_FROM.items())}",
        {"experiment": experiment},
    )
    if made_from["trends"]:
        run_file(connection, HERE / "statistics" / "trends.sql", experiment=experiment)
        _insert(connection, "size_trends", experiment, trend_rows(connection, experiment))
        connection.execute("drop table temp.size_trends_items")
    if made_from["people"]:
        found = contrasts_beside_people(connection, experiment)
        _insert(connection, "contrasts_beside_people", experiment, found)
    if made_from["tests"] or made_from["trends"]:
        correct_families(connection, experiment)


def _test(rows: Columns, seeds: Seeds, stopping_seed: int | None) -> dict[str, Any]:
    """Statistics of one contrast in one place, from all of its items.

    `stopping_seed`: of their order, where asking stopped by what was found.
    """
    scored = keep(rows, ~np.isnan(rows["difference"]))
    long = keep(scored, ~np.isnan(scored["characters_of"] + scored["characters_against"]))
    if stopping_seed is None:
        adjusted = length_adjusted(
            long["difference"],
            long["characters_of"],
            long["characters_against"],
            long["item_cluster"].tolist(),
        )
    else:
        adjusted = Adjusted(None, STOPPED)
    low, high = _bounds(rows)
    over_seeds = seeds.estimate(mean_of(scored["difference"])) if len(scored["item"]) else None
    test = paired_test(rows, stopping_seed, over_seeds) if len(scored["item"]) else None
    return {
        **_tested(test),
        "e_value": test.e_value if isinstance(test, SequentialTest) else None,
        **_seeds(seeds, over_seeds),
        "standardised_effect": standardised_effect(scored["difference"]),
        "bound_low": low,
        "bound_high": high,
        **{
            f"length_adjusted_{name}": value
            for name, value in columns_of(seeds.estimate(adjusted.estimate) or adjusted.estimate).items()
        },
        "unadjusted_reason": adjusted.reason,
    }


def _tested(test: PairedTest | SequentialTest | StudentTest | None) -> dict[str, Any]:
    low, high = (test and test.interval(ALPHA)) or (None, None)
    return {
        "standard_error": test and test.standard_error,
        "ci_low": low,
        "ci_high": high,
        "p_value": test and test.p_value,
    }


def _bounds(rows: Columns) -> tuple[float, float] | tuple[None, None]:
    """Bounds over the items that have a verdict, scored or not, on both sides."""
    low, high = float(rows["scale_low"][0]), float(rows["scale_high"][0])
    n_of, n_against = (rows[f"n_scored_{side}"] + rows[f"n_unscored_{side}"] for side in ("of", "against"))
    both = keep(rows, (n_of > 0) & (n_against > 0))
    if not len(both["item"]) or np.isnan(low + high):
        return None, None
    of, against = (
        Unscored(both[f"total_{side}"], both[f"n_scored_{side}"], both[f"n_unscored_{side}"])
        for side in ("of", "against")
    )
    return bounds_for_unscored(of, against, low, high)


def _gap(gap: Gap, seeds: Seeds, stopped_by: str | None) -> dict[str, Any]:
    over_seeds = seeds.estimate(gap.over_items)
    tested = _tested(None if stopped_by else replace(gap, over_seeds=over_seeds).test)
    return {
        "estimate": gap.estimate,
        **tested,
        **_seeds(seeds, over_seeds),
        "n": gap.n,
        "is_paired": gap.is_paired,
        "stopped_by": stopped_by,
    }


def _seeds(seeds: Seeds, over_seeds: Estimate | None) -> dict[str, Any]:
    return {
        "df": over_seeds and over_seeds.df,
        "variance_of_seeds": seeds.variance,
        "n_seeds": seeds.n,
        "n_seeds_missing": seeds.n_missing,
    }


def _strengths(compared: Sequence[Row]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, rows in _by(compared, "dataset", "language", "model", "judge", "measure").items():
        comparisons = [
            Comparison(
                (row["first_method"], row["first_train_languages"]),
                (row["second_method"], row["second_train_languages"]),
                row["item"],
                row["won"],
            )
            for row in rows
        ]
        for one in strengths(comparisons):
            found.append(
                {
                    **dict(zip(("dataset", "language", "model", "judge", "measure"), key, strict=True)),
                    **dict(zip(("method", "train_languages"), one.method, strict=True)),
                    "strength": one.strength,
                    "standard_error": one.standard_error,
                    "ci_low": one.ci_low,
                    "ci_high": one.ci_high,
                    "win_rate": one.win_rate,
                    "n": one.n,
                    "n_items": one.n_items,
                    "is_regularised": one.is_regularised,
                }
            )
    return found


def _by(rows: Iterable[_Row], *names: str) -> dict[tuple[Any, ...], list[_Row]]:
    groups: dict[tuple[Hashable, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _insert(connection: duckdb.DuckDBPyConnection, table: str, experiment: str, rows: Sequence[Row]) -> None:
    """Rows as one JSON text: DuckDB takes single rows a hundred times more slowly."""
    if not rows:
        return
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = current_database() and"
        " table_name = ?",
        [table],
    ).fetchall()
    statement = f"insert into {table} by name select unnest(from_json($rows, $form), recursive := true)"
    found = [{**row, "experiment": experiment} for row in rows]
    connection.execute(
        statement, {"rows": json.dumps(found, allow_nan=False), "form": json.dumps([dict(columns)])}
    )
